//! Limits on what clients may have under way (client-surface §8.4).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What all connections together have under way. Shared by the threads that read sockets.
#[derive(Debug, Default)]
pub struct Inflight {
    requests: AtomicI64,
    bytes: AtomicI64,
    large_bytes: AtomicI64,
    stale_dropped: AtomicU64,
}

impl Inflight {
    pub fn requests(&self) -> i64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn add_requests(&self, n: i64) {
        self.requests.fetch_add(n, Ordering::Relaxed);
    }

    /// Bytes of the submitted requests of connections that have any under way.
    pub fn bytes(&self) -> i64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn add_bytes(&self, n: i64) {
        self.bytes.fetch_add(n, Ordering::Relaxed);
    }

    /// Requests that became pointless while they waited to be let in.
    pub fn stale_dropped(&self) -> u64 {
        self.stale_dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn count_stale_dropped(&self) {
        self.stale_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn large_bytes(&self) -> i64 {
        self.large_bytes.load(Ordering::Relaxed)
    }

    pub fn add_large_bytes(&self, n: i64) {
        self.large_bytes.fetch_add(n, Ordering::Relaxed);
    }
}

/// `zookeeper.connection_throttle_*`: a token bucket, and a drop probability that follows how empty it is ("BLUE").
#[derive(Debug, Clone, Copy)]
pub struct ConnectThrottleSettings {
    /// 0: off.
    pub tokens: i64,
    pub fill_time_ms: i64,
    pub fill_count: i64,
    /// -1: no drop probability.
    pub freeze_time_ms: i64,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    pub decrease_ratio: f64,
    /// Tokens that a new session costs; `tokens` and `fill_count` are in the same unit.
    pub weight_new: i64,
    pub weight_renew: i64,
}

impl Default for ConnectThrottleSettings {
    fn default() -> Self {
        ConnectThrottleSettings {
            tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: -1,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weight_new: 1,
            weight_renew: 1,
        }
    }
}

/// The bucket itself. Draws randomness from a generator of its own, seeded by the shell.
#[derive(Debug)]
pub struct ConnectThrottle {
    settings: ConnectThrottleSettings,
    max_tokens: i64,
    tokens: i64,
    last_fill_ms: i64,
    last_freeze_ms: i64,
    drop_chance: f64,
    random: u64,
}

impl ConnectThrottle {
    pub fn new(settings: ConnectThrottleSettings, now_ms: i64, seed: u64) -> Self {
        let max_tokens = settings.tokens;
        ConnectThrottle {
            settings,
            max_tokens,
            tokens: max_tokens,
            last_fill_ms: now_ms,
            last_freeze_ms: now_ms,
            drop_chance: 0.0,
            random: seed | 1,
        }
    }

    #[cfg(test)]
    /// The share of connects dropped by chance.
    pub fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    /// Whether a connect may go on; `renewed` when it names an existing session.
    pub fn admit(&mut self, now_ms: i64, renewed: bool) -> bool {
        let s = self.settings;
        if s.tokens <= 0 {
            return true;
        }
        let weight = if renewed { s.weight_renew } else { s.weight_new };
        self.refill(now_ms);
        self.adjust(now_ms);
        if self.drop_chance > 0.0 && self.next_unit() < self.drop_chance {
            return false;
        }
        if self.tokens < weight {
            return false;
        }
        self.tokens -= weight;
        true
    }

    fn refill(&mut self, now_ms: i64) {
        let s = self.settings;
        let elapsed = now_ms - self.last_fill_ms;
        if elapsed > s.fill_time_ms && s.fill_time_ms > 0 {
            let refill = elapsed.saturating_mul(s.fill_count) / s.fill_time_ms;
            self.tokens = self.tokens.saturating_add(refill).min(self.max_tokens);
            self.last_fill_ms = now_ms;
        }
    }

    fn adjust(&mut self, now_ms: i64) {
        let s = self.settings;
        if s.freeze_time_ms == -1 || now_ms - self.last_freeze_ms <= s.freeze_time_ms {
            return;
        }
        let deficit = self.max_tokens - self.tokens;
        if deficit == self.max_tokens {
            self.drop_chance = (self.drop_chance + s.drop_increase).min(1.0);
        } else if deficit as f64 <= s.decrease_ratio * self.max_tokens as f64 {
            self.drop_chance = (self.drop_chance - s.drop_decrease).max(0.0);
        }
        self.last_freeze_ms = now_ms;
    }

    /// xorshift, uniform in 0..1.
    fn next_unit(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_empties_and_fills() {
        let s = ConnectThrottleSettings { tokens: 3, fill_time_ms: 100, fill_count: 1, ..Default::default() };
        let mut t = ConnectThrottle::new(s, 0, 7);
        assert_eq!((0..5).filter(|_| t.admit(0, false)).count(), 3);
        assert!(!t.admit(100, false), "refills only after more than the fill time");
        assert!(t.admit(201, false) && t.admit(201, false) && !t.admit(201, false));
    }

    #[test]
    fn weights_make_new_sessions_dearer() {
        let s = ConnectThrottleSettings { tokens: 6, weight_new: 3, weight_renew: 2, ..Default::default() };
        let mut t = ConnectThrottle::new(s, 0, 7);
        assert!(t.admit(0, false) && t.admit(0, true));
        assert!(!t.admit(0, true), "one token of six is left");
    }

    #[test]
    fn an_empty_bucket_raises_the_drop_chance() {
        let s = ConnectThrottleSettings {
            tokens: 1,
            fill_time_ms: 1_000_000,
            freeze_time_ms: 10,
            drop_increase: 0.5,
            ..Default::default()
        };
        let mut t = ConnectThrottle::new(s, 0, 7);
        assert!(t.admit(0, false));
        assert!(!t.admit(20, false) && !t.admit(40, false));
        assert_eq!(t.drop_chance(), 1.0);
    }
}
