//! The ways in which two routers can speak to each other.

use std::{
    fmt::{Display, Formatter, Result},
    time::Duration,
};

use lb_tests::{
    lab::{Lab, topology},
    vrrp::{Auth, Instance},
};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) version: u8,
    pub(crate) ipv6: bool,
    pub(crate) unicast: bool,
    pub(crate) auth: Auth,
    pub(crate) interval: Duration,
}

/// Version 2 with each authentication by multicast and by unicast, version 3 over both families,
/// fast and slow, and fast by unicast.
pub(crate) fn cases() -> Vec<Case> {
    // Longer than 8 bytes: keepalived would cut it, and complain of itself.
    let password = || "myP@sswo".to_owned();
    let (second, tenth) = (Duration::from_secs(1), Duration::from_millis(100));
    let mut cases = Vec::new();
    for unicast in [false, true] {
        for auth in [Auth::None, Auth::Pass("42".to_owned()), Auth::Ah(password())] {
            cases.push(Case { version: 2, ipv6: false, unicast, auth, interval: second });
        }
        for ipv6 in [false, true] {
            for interval in [second, tenth].into_iter().skip(usize::from(unicast)) {
                cases.push(Case { version: 3, ipv6, unicast, auth: Auth::None, interval });
            }
        }
    }
    cases
}

impl Case {
    /// The part of `lb-0N` (1 or 2).
    pub(crate) fn instance(&self, lab: &Lab, n: u8, priority: u8) -> Instance {
        let vip = if self.ipv6 { topology::vip6(1) } else { topology::vip4(1) };
        let mut instance = Instance::new(priority, vip);
        (instance.version, instance.interval) = (self.version, self.interval);
        instance.auth = self.auth.clone();
        let address = |n: u8| lab.lb(n).address(vip);
        instance.unicast = self.unicast.then(|| (address(n), vec![address(3 - n)]));
        instance
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let family = if self.ipv6 { "IPv6" } else { "IPv4" };
        let cast = if self.unicast { "unicast" } else { "multicast" };
        let auth = match self.auth {
            Auth::None => "",
            Auth::Pass(_) => " PASS",
            Auth::Ah(_) => " AH",
        };
        write!(f, "v{} {family} {cast}{auth} {:?}", self.version, self.interval)
    }
}
