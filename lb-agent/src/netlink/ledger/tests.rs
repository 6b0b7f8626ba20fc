#![expect(clippy::disallowed_methods, reason = "a test has to begin at some instant")]

use lb_common::net::MacAddr;

use super::*;

const BACKEND: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 11));
const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 254));
const ON_LINK: Way = Way { ifindex: 2, neighbour: BACKEND };
const ROUTED: Way = Way { ifindex: 2, neighbour: GATEWAY };

fn hop(last: u8) -> NextHop {
    let mac = |byte| MacAddr([2, 0, 0, 0, 0, byte]);
    NextHop { ifindex: 2, destination: mac(last), source: mac(1) }
}

fn found(way: Way, last: u8) -> Result<Resolved, Unresolved> {
    Ok(Resolved { way, next_hop: hop(last) })
}

fn silent(way: Way) -> Result<Resolved, Unresolved> {
    Err(Unresolved::NoNeighbour { address: BACKEND, way, interface: "eth0".into() })
}

fn no_route() -> Result<Resolved, Unresolved> {
    Err(Unresolved::NoRoute { address: BACKEND })
}

/// Settles findings one after the other, `step` apart; what was told of each.
fn told(
    step: Duration,
    findings: impl IntoIterator<Item = Result<Resolved, Unresolved>>,
) -> Vec<Option<Result<NextHop, String>>> {
    let mut ledger = Ledger::default();
    let mut now = Instant::now();
    let mut settle = |finding| {
        now += step;
        ledger.settle(BACKEND, finding, now).map(|report| report.hop)
    };
    findings.into_iter().map(&mut settle).collect()
}

const INSTANT: Duration = Duration::ZERO;

fn no_route_text() -> Option<Result<NextHop, String>> {
    Some(Err("no route to `10.0.0.11`".into()))
}

#[test]
fn only_changes_are_told() {
    let all = told(INSTANT, [found(ON_LINK, 5), found(ON_LINK, 5), found(ON_LINK, 6)]);
    assert_eq!(all, [Some(Ok(hop(5))), None, Some(Ok(hop(6)))]);
    let all = told(INSTANT, [no_route(), no_route(), found(ON_LINK, 5), no_route()]);
    assert_eq!(all, [no_route_text(), None, Some(Ok(hop(5))), no_route_text()]);
}

#[test]
fn a_known_neighbour_may_fall_silent_for_ever() {
    let all =
        told(GRACE * 100, [found(ON_LINK, 5), silent(ON_LINK), silent(ON_LINK), found(ON_LINK, 5)]);
    assert_eq!(all, [Some(Ok(hop(5))), None, None, None]);
}

#[test]
fn a_new_neighbour_has_a_grace() {
    let third = GRACE / 3;
    let text =
        Some(Err("`10.0.0.11` does not answer on `eth0` (ARP or neighbour discovery)".to_owned()));
    let all = told(third, [(); 8].map(|()| silent(ON_LINK)));
    // GRACE is divided downwards, so three thirds may fall short of it.
    let heard: Vec<_> = all.iter().flatten().cloned().collect();
    assert_eq!(heard, [text.clone().expect("text")]);
    assert_eq!(all[..3], [None, None, None]);

    assert_eq!(told(third, [silent(ON_LINK), found(ON_LINK, 5)]), [None, Some(Ok(hop(5)))]);
}

#[test]
fn a_new_gateway_has_a_grace_of_its_own() {
    let mut ledger = Ledger::default();
    let start = Instant::now();
    assert!(ledger.settle(BACKEND, found(ON_LINK, 5), start).is_some());
    assert_eq!(ledger.next_deadline(), None);

    let changed = start + GRACE * 9;
    assert_eq!(ledger.settle(BACKEND, silent(ROUTED), changed), None);
    assert_eq!(ledger.next_deadline(), Some(changed + GRACE));
    let report = ledger.settle(BACKEND, silent(ROUTED), changed + GRACE).expect("a report");
    let text = "the gateway `10.0.0.254` to `10.0.0.11` does not answer on `eth0` (ARP or \
                neighbour discovery)";
    assert_eq!(report, Report { address: BACKEND, hop: Err(text.into()) });
    assert_eq!(ledger.next_deadline(), None);
    // The old way is known no longer: its silence is news again, after its grace.
    assert_eq!(ledger.settle(BACKEND, silent(ON_LINK), changed + GRACE * 2), None);
    assert_eq!(ledger.next_deadline(), Some(changed + GRACE * 3));
}

#[test]
fn back_on_the_old_way_within_the_grace_nothing_has_happened() {
    let all = told(
        GRACE / 2,
        [found(ON_LINK, 5), silent(ROUTED), silent(ON_LINK), silent(ON_LINK), silent(ON_LINK)],
    );
    assert_eq!(all, [Some(Ok(hop(5))), None, None, None, None]);
}

#[test]
fn a_lost_route_is_told_at_once() {
    let all = told(INSTANT, [found(ON_LINK, 5), no_route(), found(ON_LINK, 5)]);
    assert_eq!(all, [Some(Ok(hop(5))), no_route_text(), Some(Ok(hop(5)))]);
}

#[test]
fn a_forgotten_backend_is_told_anew() {
    let mut ledger = Ledger::default();
    let now = Instant::now();
    assert!(ledger.settle(BACKEND, found(ROUTED, 5), now).is_some());
    assert!(ledger.uses(ROUTED) && !ledger.uses(ON_LINK));
    ledger.retain(&[BACKEND]);
    assert!(ledger.settle(BACKEND, found(ROUTED, 5), now).is_none());
    ledger.retain(&[]);
    assert!(!ledger.uses(ROUTED));
    assert!(ledger.settle(BACKEND, found(ROUTED, 5), now).is_some());
}
