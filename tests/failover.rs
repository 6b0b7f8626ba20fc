//! Nodes that share a VIP: crashes, stops, hand-overs and splits, as an observer and a client see
//! them. Needs root.
#![expect(clippy::print_stdout, reason = "measured figures are told, not asserted")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{fs, net::Ipv4Addr, time::Duration};

use lb_tests::{
    bed::Bed,
    claims::{Claims, Record, epoch},
    lab::topology,
    node::Kind,
    opener::{Opener, Outage},
    vrrp::Instance,
    wait::{SOON, wait_until},
};

/// More than the longest of three elections in a row takes at any interval used here, and more
/// than a client's neighbour cache needs to doubt an entry that nobody corrects.
const PATIENCE: Duration = Duration::from_secs(90);

/// Connections in a row that prove service.
const SERVED: usize = 100;

fn bed(kind: Kind, interval_ms: u64, priorities: &[u8]) -> Bed {
    let mut instance = Instance::new(priorities[0], topology::vip4(1));
    instance.interval = Duration::from_millis(interval_ms);
    Bed::new(kind, &instance, priorities).unwrap()
}

/// Who watches: an observer of claims, and a client.
struct Watch {
    claims: Claims,
    opener: Opener,
    began: Duration,
}

impl Watch {
    /// From when on lb-01 alone claims the VIP and the client is served.
    fn start(bed: &Bed) -> Self {
        let claims = Claims::start(bed.observer(), bed.vip);
        claims.wait_owners(&[bed.nodes[0].host()], PATIENCE).unwrap();
        let opener = Opener::patient(bed.lab.client(), bed.address());
        opener.wait_served(SERVED, PATIENCE).unwrap();
        Self { claims, opener, began: epoch() }
    }

    /// Waits until a node alone claims the VIP, the machine shows it, and the client is served.
    fn wait_owner(&self, bed: &Bed, node: usize) {
        let node = &bed.nodes[node];
        self.claims.wait_owners(&[node.host()], PATIENCE).unwrap();
        wait_until("`ip address` to show the VIP", SOON, || node.holds_vip().unwrap()).unwrap();
        self.opener.wait_served(SERVED, PATIENCE).unwrap();
    }

    fn finish(self) -> (Record, Outage) {
        self.opener.settle().unwrap();
        let record = self.claims.finish().unwrap();
        let outage = Outage::of(&self.opener.finish().unwrap());
        println!("{outage:?}\n{:?}", record.ownership(self.began, epoch()));
        (record, outage)
    }
}

/// Adverts of a node that claim the VIP, since `from`.
fn claims_of(bed: &Bed, record: &Record, node: usize, from: Duration) -> usize {
    let mac = bed.nodes[node].host().mac();
    let adverts = record.adverts.iter().filter(|(at, advert)| *at >= from && advert.mac == mac);
    adverts.filter(|(_, advert)| advert.priority > 0).count()
}

fn the_third_node_takes_over_when_two_are_gone(kind: Kind) {
    let mut bed = bed(kind, 100, &[200, 150, 100]);
    let watch = Watch::start(&bed);
    watch.wait_owner(&bed, 0);
    for next in [1, 2] {
        bed.power_off(next - 1).unwrap();
        watch.wait_owner(&bed, next);
    }
    for back in [1, 0] {
        bed.power_on(back).unwrap();
        watch.wait_owner(&bed, back);
    }
    for waiting in [1, 2] {
        assert!(!bed.nodes[waiting].holds_vip().unwrap(), "lb-0{}", waiting + 1);
    }
    let (_, outage) = watch.finish();
    assert!(outage.over);
}

#[test]
fn the_third_keepalived_takes_over_when_two_are_gone() {
    the_third_node_takes_over_when_two_are_gone(Kind::Keepalived);
}

#[test]
fn the_third_agent_takes_over_when_two_are_gone() {
    the_third_node_takes_over_when_two_are_gone(Kind::Agent);
}

fn a_planned_hand_over_and_the_owners_return(kind: Kind) {
    let mut bed = bed(kind, 1000, &[101, 100]);
    let watch = Watch::start(&bed);
    bed.nodes[0].release().unwrap();
    watch.wait_owner(&bed, 1);
    bed.nodes[0].resume().unwrap();
    watch.wait_owner(&bed, 0);
    bed.nodes[0].stop().unwrap();
    watch.wait_owner(&bed, 1);
    assert!(!bed.nodes[0].holds_vip().unwrap(), "it went, and left the VIP");
    bed.nodes[0].start().unwrap();
    watch.wait_owner(&bed, 0);
    let (_, outage) = watch.finish();
    assert!(outage.over);
}

#[test]
fn keepalived_hands_over_and_returns() {
    a_planned_hand_over_and_the_owners_return(Kind::Keepalived);
}

#[test]
fn the_agent_hands_over_and_returns() {
    a_planned_hand_over_and_the_owners_return(Kind::Agent);
}

fn a_split_link_has_two_owners_until_it_is_healed(kind: Kind) {
    let bed = bed(kind, 100, &[101, 100]);
    let watch = Watch::start(&bed);
    bed.split(true).unwrap();
    let both = [bed.nodes[0].host(), bed.nodes[1].host()];
    watch.claims.wait_owners(&both, PATIENCE).unwrap();
    bed.split(false).unwrap();
    watch.wait_owner(&bed, 0);
    assert!(!bed.nodes[1].holds_vip().unwrap());
    let (_, outage) = watch.finish();
    assert!(outage.over);
}

#[test]
fn a_split_between_keepalived_ends() {
    a_split_link_has_two_owners_until_it_is_healed(Kind::Keepalived);
}

#[test]
fn a_split_between_agents_ends() {
    a_split_link_has_two_owners_until_it_is_healed(Kind::Agent);
}

/// What the observer is for: keepalived's address stays behind, and two nodes answer for it.
#[test]
fn a_killed_keepalived_goes_on_claiming_the_vip() {
    let mut bed = bed(Kind::Keepalived, 100, &[101, 100]);
    let watch = Watch::start(&bed);
    let death = epoch();
    bed.nodes[0].crash().unwrap();
    let both = [bed.nodes[0].host(), bed.nodes[1].host()];
    watch.claims.wait_owners(&both, PATIENCE).unwrap();
    let (record, _) = watch.finish();
    assert!(!record.ownership(death, epoch()).several.is_zero());
    assert!(record.changeover(both[0].mac(), death).is_some());
}

/// Killed, or stopped for ever: the kernel still has the VIP for a while, and must not claim it.
fn a_dead_agent_never_claims_the_vip_beside_its_heir(end: impl FnOnce(&mut Bed)) {
    let mut bed = bed(Kind::Agent, 100, &[101, 100]);
    let watch = Watch::start(&bed);
    let death = epoch();
    end(&mut bed);
    watch.wait_owner(&bed, 1);
    // The address has a lifetime that nobody prolongs: with it goes what the kernel could claim.
    wait_until("the VIP to leave lb-01", PATIENCE, || !bed.nodes[0].holds_vip().unwrap()).unwrap();
    watch.wait_owner(&bed, 1);
    let (record, outage) = watch.finish();
    let ownership = record.ownership(death, epoch());
    assert_eq!(ownership.several, Duration::ZERO, "{ownership:?}");
    assert!(outage.over);
}

#[test]
fn a_killed_agent_never_claims_the_vip_beside_its_heir() {
    a_dead_agent_never_claims_the_vip_beside_its_heir(|bed| bed.nodes[0].crash().unwrap());
}

#[test]
fn a_stopped_agent_never_claims_the_vip_beside_its_heir() {
    a_dead_agent_never_claims_the_vip_beside_its_heir(|bed| bed.nodes[0].freeze().unwrap());
}

/// Killed and restarted within its lease, which is six seconds here.
#[test]
fn an_agent_that_is_restarted_at_once_loses_nothing() {
    let mut bed = bed(Kind::Agent, 2000, &[101, 100]);
    let watch = Watch::start(&bed);
    let death = epoch();
    bed.nodes[0].crash().unwrap();
    bed.nodes[0].start().unwrap();
    // More than the peer would wait for, so that it would have taken over by then.
    wait_until("lb-01 to advertise again and again", PATIENCE, || {
        claims_of(&bed, &watch.claims.record(), 0, death) >= 6
    })
    .unwrap();
    watch.wait_owner(&bed, 0);
    let heir = bed.nodes[1].host().mac();
    let (record, outage) = watch.finish();
    assert_eq!(claims_of(&bed, &record, 1, death), 0, "lb-02 became active");
    assert_eq!(record.first_claim(heir, death), None, "lb-02 claimed the VIP");
    assert_eq!(outage.failed, 0, "{outage:?}");
}

/// The client's own view: its neighbour cache was never told of anybody but the owner.
#[test]
fn the_observer_leaves_the_clients_neighbour_cache_alone() {
    let bed = bed(Kind::Keepalived, 100, &[101, 100]);
    let watch = Watch::start(&bed);
    let neighbours = bed.lab.client().run("ip", &["neigh", "show"]).unwrap();
    let known = |address: Ipv4Addr| neighbours.contains(&format!("{address} "));
    let own = neighbours.lines().filter(|line| line.contains("10.47.160.2")).count();
    assert_eq!((own, known(bed.observer().ipv4())), (0, false), "{neighbours}");
    assert!(known([10, 47, 160, 50].into()), "{neighbours}");
    let log = fs::read_to_string(bed.lab.dir().join("logs/lb-01.keepalived.log")).unwrap();
    assert!(log.contains("Entering MASTER STATE"));
    watch.finish();
}
