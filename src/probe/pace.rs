//! How fast to ask, and how long to wait for an answer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long answers take, smoothed as TCP does it (RFC 6298), over all targets.
#[derive(Debug, Default)]
pub struct RoundTrips(Mutex<Trips>);

/// Seconds.
#[derive(Debug, Default)]
struct Trips {
    /// Mean, spread and the longest.
    all: Option<(f64, f64, f64)>,
    /// The shortest of each target.
    least: HashMap<u32, f64>,
    /// The longest of these, if it is known.
    slowest: Option<f64>,
}

impl RoundTrips {
    /// A round trip that was measured.
    pub fn measured(&self, target: u32, took: Duration) {
        let took = took.as_secs_f64();
        let mut trips = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        trips.all = Some(match trips.all {
            None => (took, took / 2.0, took),
            Some((mean, spread, longest)) => (0.875 * mean + 0.125 * took, 0.75 * spread + 0.25 * (mean - took).abs(), longest.max(took)),
        });
        let least = trips.least.entry(target).or_insert(f64::INFINITY);
        if took < *least {
            *least = took;
            trips.slowest = None;
        }
    }

    /// Forgets what was measured: it was measured under other circumstances.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Trips::default();
    }

    /// How long to wait after the last question, between bounds; `unknown` where nothing was measured.
    pub fn wait(&self, bounds: (Duration, Duration), unknown: Duration) -> Duration {
        let mut trips = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slowest = trips.slowest.unwrap_or_else(|| trips.least.values().copied().fold(0.0, f64::max));
        trips.slowest = Some(slowest);
        let wait = trips.all.map_or(unknown, |(mean, spread, longest)| {
            // What took many times as long as another of the same target waited for something else: a neighbour to be found, a busy machine.
            let likely = (mean + 4.0 * spread).max(1.5 * longest).min(20.0 * slowest + 0.2);
            Duration::from_secs_f64(likely.min(60.0))
        });
        wait.clamp(bounds.0, bounds.1.max(bounds.0))
    }
}

/// Lets so many packets a second pass, and evens out pauses of at most 10 ms.
#[derive(Debug)]
pub struct Pacer {
    rate: f64,
    credit: f64,
    last: Instant,
}

impl Pacer {
    /// At so many a second.
    pub fn new(rate: u64) -> Pacer {
        Pacer { rate: rate.max(1) as f64, credit: 1.0, last: Instant::now() }
    }

    /// The rate as it is now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate.max(1.0);
    }

    /// Waits until at least one packet may go, and says how many may, `most` at most. They count as sent.
    pub fn next(&mut self, most: usize) -> usize {
        loop {
            let now = Instant::now();
            self.credit += now.duration_since(self.last).as_secs_f64() * self.rate;
            self.last = now;
            self.credit = self.credit.min((self.rate / 100.0).max(1.0));
            if self.credit >= 1.0 {
                let n = (self.credit as usize).min(most);
                self.credit -= n as f64;
                return n;
            }
            let short = (1.0 - self.credit) / self.rate;
            std::thread::sleep(Duration::from_secs_f64(short.clamp(20e-6, 0.05)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_round_trips_within_its_bounds() {
        let trips = RoundTrips::default();
        let bounds = (Duration::from_millis(100), Duration::from_secs(2));
        assert_eq!(trips.wait(bounds, Duration::from_millis(500)), Duration::from_millis(500));
        trips.measured(0, Duration::from_millis(1));
        assert_eq!(trips.wait(bounds, Duration::from_millis(500)), bounds.0);
        trips.measured(0, Duration::from_millis(1000));
        assert_eq!(trips.wait(bounds, Duration::ZERO), Duration::from_millis(220));
        // Another target is far away.
        trips.measured(1, Duration::from_millis(600));
        assert!(trips.wait(bounds, Duration::ZERO) >= Duration::from_millis(900));
        trips.measured(1, Duration::from_secs(50));
        assert_eq!(trips.wait(bounds, Duration::ZERO), bounds.1);
        trips.forget();
        assert_eq!(trips.wait(bounds, Duration::from_millis(500)), Duration::from_millis(500));
    }

    #[test]
    fn no_more_than_the_rate_passes() {
        let mut pacer = Pacer::new(2000);
        let began = Instant::now();
        let mut sent = 0;
        while sent < 200 {
            sent += pacer.next(64);
        }
        assert!(began.elapsed() >= Duration::from_millis(85), "{:?}", began.elapsed());
    }
}
