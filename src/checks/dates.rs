//! Dates and durations as people write them in a baseline.

use jiff::ToSpan;
use jiff::civil::Date;

/// Reads `2026-09-01`, and nothing else: other orders of day and month are ambiguous.
pub fn date(text: &str) -> Option<Date> {
    let b = text.as_bytes();
    let shape = b.len() == 10 && b.iter().enumerate().all(|(i, c)| if i == 4 || i == 7 { *c == b'-' } else { c.is_ascii_digit() });
    if shape { text.parse().ok() } else { None }
}

/// Unit of a duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Days.
    Day,
    /// Seven days.
    Week,
    /// Calendar months.
    Month,
    /// Calendar years.
    Year,
}

/// A length of time in calendar units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Duration {
    /// How many; at least 1, at most 9999.
    pub count: u16,
    /// Of what.
    pub unit: Unit,
}

impl Duration {
    /// Reads `30d`, `30 days`, `2 weeks`, `6 months`, `1 year`, `12m`, `1y`, `2w`.
    pub fn parse(text: &str) -> Option<Duration> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at_checked(split)?;
        let count = digits.parse().ok().filter(|n| (1..=9999).contains(n))?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "m" | "month" | "months" => Unit::Month,
            "y" | "year" | "years" => Unit::Year,
            _ => return None,
        };
        Some(Duration { count, unit })
    }

    /// In days, where it does not depend on the calendar.
    pub fn days(self) -> Option<u32> {
        match self.unit {
            Unit::Day => Some(u32::from(self.count)),
            Unit::Week => Some(u32::from(self.count) * 7),
            Unit::Month | Unit::Year => None,
        }
    }

    /// The day that is this long after `date`; the last one that there is if it is further off.
    pub fn after(self, date: Date) -> Date {
        let n = i64::from(self.count);
        date.saturating_add(match self.unit {
            Unit::Day => n.days(),
            Unit::Week => n.weeks(),
            Unit::Month => n.months(),
            Unit::Year => n.years(),
        })
    }
}

/// Whole days from `from` to `to`; negative if `to` is earlier.
pub fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_is_a_date() {
        assert!(date("2026-09-01").is_some());
        for text in ["2026-9-1", "01.09.2026", "2026-02-30", "20260901", "2026-09-01T00:00", ""] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn months_follow_the_calendar() {
        let d = |s| Duration::parse(s).unwrap();
        assert_eq!(d("1 month").after(date("2026-01-31").unwrap()), date("2026-02-28").unwrap());
        assert_eq!(d("30d").days(), Some(30));
        assert_eq!(d("2 weeks").days(), Some(14));
        assert_eq!(d("1y").days(), None);
        for text in ["", "d", "0d", "10000d", "1 fortnight", "-1d", "1.5d", "12"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
        assert_eq!(days_between(date("2026-03-01").unwrap(), date("2026-02-27").unwrap()), -2);
    }
}
