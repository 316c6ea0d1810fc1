//! Which new connections a server takes.

use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;

use super::socket::host;
use crate::config::Limits;

/// What happens to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    /// The client has to show that its address is its own (RFC 9000 §8.1.2)
    Retry,
    /// CONNECTION_REFUSED
    Refuse,
}

/// Counts the handshakes under way, altogether and per host.
pub(super) struct Admission {
    max_connections: usize,
    max_handshakes: usize,
    max_per_host: usize,
    handshakes: FxHashMap<IpAddr, usize>,
    under_way: usize,
    pub(super) refused: u64,
    pub(super) retries: u64,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_connections: limits.max_connections,
            max_handshakes: limits.max_handshakes,
            max_per_host: limits.max_handshakes_per_address,
            handshakes: FxHashMap::default(),
            under_way: 0,
            refused: 0,
            retries: 0,
        }
    }

    /// `connections`: how many there are; `validated`: the address is known to be the client's.
    pub(super) fn judge(&mut self, from: SocketAddr, connections: usize, validated: bool) -> Verdict {
        let under_way = self.handshakes.get(&host(from.ip())).copied().unwrap_or(0);
        // Before its address is validated, a host can be blamed for what another sends in its name
        let too_many = self.max_per_host.saturating_mul(4).max(16);
        if connections >= self.max_connections || under_way >= too_many && validated {
            self.refused += 1;
            Verdict::Refuse
        } else if !validated && (under_way >= self.max_per_host || self.under_way >= self.max_handshakes) {
            self.retries += 1;
            Verdict::Retry
        } else {
            Verdict::Accept
        }
    }

    /// From now on all are refused.
    pub(super) fn close(&mut self) {
        self.max_connections = 0;
    }

    pub(super) fn begin(&mut self, from: SocketAddr) {
        self.under_way += 1;
        *self.handshakes.entry(host(from.ip())).or_default() += 1;
    }

    pub(super) fn end(&mut self, from: SocketAddr) {
        let host = host(from.ip());
        if let Some(count) = self.handshakes.get_mut(&host) {
            self.under_way -= 1;
            *count -= 1;
            if *count == 0 {
                self.handshakes.remove(&host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn admission(connections: usize, handshakes: usize, per_host: usize) -> Admission {
        Admission::new(&Limits {
            max_connections: connections,
            max_handshakes: handshakes,
            max_handshakes_per_address: per_host,
            ..Config::new(wt_core::Role::Server).limits
        })
    }

    #[test]
    fn load_of_many_hosts_leads_to_retry_for_all() {
        let mut admission = admission(100, 3, 50);
        let from = |n: u8| SocketAddr::from(([192, 0, 2, n], 1));
        (0..3).for_each(|n| admission.begin(from(n)));
        assert_eq!(admission.judge(from(9), 3, false), Verdict::Retry);
        assert_eq!(admission.judge(from(9), 3, true), Verdict::Accept);
        admission.end(from(0));
        assert_eq!(admission.judge(from(9), 2, false), Verdict::Accept);
    }

    #[test]
    fn load_of_one_host_leads_to_retry_and_then_refusal() {
        let from: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let mut admission = admission(100, 100, 2);
        assert_eq!(admission.judge(from, 0, false), Verdict::Accept);
        (0..2).for_each(|_| admission.begin(from));
        assert_eq!(admission.judge(from, 2, false), Verdict::Retry);
        assert_eq!(admission.judge(from, 2, true), Verdict::Accept);
        (0..14).for_each(|_| admission.begin(from));
        assert_eq!(admission.judge(from, 16, true), Verdict::Refuse);
        assert_eq!(admission.judge("192.0.2.2:1".parse().unwrap(), 8, false), Verdict::Accept);
        assert_eq!(admission.judge(from, 100, true), Verdict::Refuse);
        (0..16).for_each(|_| admission.end(from));
        assert!(admission.handshakes.is_empty());
        assert_eq!((admission.refused, admission.retries), (2, 1));
        admission.close();
        assert_eq!(admission.judge(from, 0, false), Verdict::Refuse);
    }
}
