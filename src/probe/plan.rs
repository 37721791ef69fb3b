//! What will be asked, before anything is sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Settings;
use super::ports::Ports;

/// Questions of one run at most: each takes a byte of memory, and a whole run of them takes hours at the usual rate.
pub const MOST_QUESTIONS: u64 = 1 << 28;

/// A target with the ports to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanTarget {
    /// Its address.
    pub address: IpAddr,
    /// The name under which it was asked for.
    pub name: Option<String>,
    /// Its ports; targets with the same list share it.
    pub ports: Arc<Ports>,
}

/// All targets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// In the order in which they were named, without doubles.
    pub targets: Vec<PlanTarget>,
}

impl Plan {
    /// How many ports are asked.
    pub fn questions(&self) -> u64 {
        self.targets.iter().map(|t| t.ports.len() as u64).sum()
    }

    /// How many packets are sent at least and at most, and how long that takes at least and at most.
    pub fn cost(&self, settings: &Settings) -> ((u64, u64), (Duration, Duration)) {
        let questions = self.questions();
        let echoes = if settings.echo { self.targets.len() as u64 } else { 0 };
        let least = questions + echoes;
        let most = questions * (1 + u64::from(settings.retries.max(1))) + echoes;
        let by_target = settings.target_rate.map_or(u64::MAX, |r| r.saturating_mul(self.targets.len().max(1) as u64));
        let rate = settings.rate.min(by_target).max(1);
        let time = |packets: u64, rounds: u32| Duration::from_secs_f64(packets as f64 / rate as f64) + settings.timeout.0 * rounds;
        ((least, most), (time(least, 1), time(most, 1 + settings.retries.max(1))))
    }
}

/// The numbers below `count`, each once, far from the one before: neighbours in a list are not asked one after the other, so that neither one
/// target nor one service is asked all at once.
pub fn scattered(count: u64, salt: u64) -> impl Iterator<Item = u64> {
    fn gcd(a: u64, b: u64) -> u64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    // Near the golden section, which spreads best.
    let mut step = ((count as f64 * 0.618_034) as u64).max(1);
    while count > 0 && gcd(step, count) != 1 {
        step += 1;
    }
    let start = salt.checked_rem(count).unwrap_or(0);
    (0..count).map(move |i| ((u128::from(i) * u128::from(step) + u128::from(start)) % u128::from(count.max(1))) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for count in [0, 1, 2, 3, 10, 1000, 65_535] {
            let mut all: Vec<u64> = scattered(count, 12_345).collect();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
