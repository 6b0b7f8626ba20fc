//! Sync groups.

use super::*;

/// IPv4 is instance 0 and IPv6 instance 1 of a group, 2 is alone; all of 1 s, version 3. A
/// source's family is nothing to the machine, so all are IPv4.
struct Node {
    router: Router,
    now: Time,
    out: Vec<(usize, Action)>,
}

const NONE: Event = Event::Start { lease: None };

fn group_of(priority: u8) -> Vec<Instance> {
    [Some("g"), Some("g"), None]
        .map(|group| Instance { params: v3(priority, 1000), group: group.map(str::to_owned) })
        .to_vec()
}

impl Node {
    /// Links up, sources known, not started.
    fn new(priority: u8) -> Self {
        let router = Router::new(group_of(priority));
        let mut node = Self { router, now: at(1_000_000_000), out: vec![] };
        for instance in 0..3 {
            node.take(instance, Event::Link(true));
            node.take(instance, Event::Source(Some(ip(OWN))));
        }
        node
    }

    fn backup(priority: u8) -> Self {
        let mut node = Self::new(priority);
        for instance in 0..3 {
            node.take(instance, NONE);
        }
        node
    }

    fn active(priority: u8) -> Self {
        let mut node = Self::backup(priority);
        node.time_out();
        assert_eq!(node.states(), "AAA");
        node
    }

    /// Each instance's letters, in the order done.
    fn take(&mut self, instance: usize, event: Event) -> String {
        self.out.clear();
        self.router.handle(instance, event, self.now, &mut self.out);
        self.letters()
    }

    fn time_out(&mut self) -> String {
        self.now = self.router.next_deadline().expect("a timer runs");
        self.out.clear();
        self.router.expire(self.now, &mut self.out);
        self.letters()
    }

    fn letters(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for (instance, action) in &self.out {
            if last.replace(instance) != Some(instance) {
                text += &format!(" {instance}:");
            }
            text += &letters(std::slice::from_ref(action));
        }
        text.trim().to_owned()
    }

    fn pass(&mut self, span: u64) {
        self.now = self.now + ms(span);
    }

    fn states(&self) -> String {
        self.router
            .iter()
            .map(|machine| machine.state().word().to_uppercase()[..1].to_owned())
            .collect()
    }

    fn left(&self, instance: usize) -> Option<u128> {
        let due = self.router.get(instance).unwrap().next_deadline()?;
        Some(due.since(self.now).as_nanos())
    }

    fn causes(&self) -> Vec<(usize, Cause)> {
        self.out
            .iter()
            .filter_map(|(instance, action)| match action {
                Action::Changed(change) => Some((*instance, change.cause.clone())),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn all_become_active_when_the_last_timer_ends() {
    let mut node = Node::backup(100);
    node.pass(5);
    node.take(1, advert(9, 100, 1000));
    assert_eq!(node.time_out(), "2:SLHC");
    assert_eq!((node.states().as_str(), node.left(0)), ("BBA", None));
    while node.states() == "BBA" {
        node.time_out();
    }
    assert_eq!(node.letters(), "0:SLHC 1:SLHC");
    assert_eq!(node.now, at(1_005_000_000) + Duration::from_nanos(3_609_375_000));
}

#[test]
fn at_the_same_moment_they_need_one_call() {
    let mut node = Node::backup(100);
    assert_eq!(node.time_out(), "0:SLHC 1:SLHC 2:SLHC");
}

/// The peer is heard on one link only: the group waits, without a flap, and takes over at once when
/// it falls silent there as well.
#[test]
fn half_a_peer_is_a_peer() {
    let mut node = Node::backup(100);
    for _ in 0..100 {
        node.take(0, advert(9, 200, 1000));
        node.pass(1000);
        node.out.clear();
        node.router.expire(node.now, &mut node.out);
        assert_eq!(&node.states()[..2], "BB");
    }
    assert_eq!(node.left(1), None, "ready, and without a timer");
    node.take(0, advert(9, 0, 1000));
    node.pass(610);
    node.out.clear();
    node.router.expire(node.now, &mut node.out);
    assert_eq!(node.states(), "AAA");
}

#[test]
fn heard_again_a_member_is_ready_no_more() {
    let mut node = Node::backup(100);
    node.take(0, advert(9, 0, 1000));
    assert_eq!(node.time_out(), "");
    assert_eq!(node.left(0), None);
    node.take(0, advert(2, 99, 1000));
    assert_eq!(node.left(0), None, "a lower one is no reason");
    node.take(0, advert(9, 0, 1000));
    assert_eq!(node.left(0), None, "nor is one that gives up");
    node.take(0, advert(9, 200, 1000));
    assert_eq!(node.left(0), Some(3_609_375_000));
    node.time_out();
    assert_eq!((node.states().as_str(), node.left(1)), ("BBA", None));
}

#[test]
fn all_yield_with_one() {
    let mut node = Node::active(100);
    assert_eq!(node.take(1, advert(9, 200, 2000)), "1:NDC 0:NDC");
    let outranked = Cause::Outranked { router: ip(9), priority: 200 };
    assert_eq!(node.causes(), [(1, outranked), (0, Cause::SyncGroup)]);
    assert_eq!(node.states(), "BBA");
    assert_eq!((node.left(0), node.left(1)), (Some(3_609_375_000), Some(7_218_750_000)));
}

#[test]
fn a_fault_is_everybodys_until_the_last_is_gone() {
    let mut node = Node::active(100);
    assert_eq!(node.take(1, Event::Link(false)), "1:NDC 0:NsZDC");
    assert_eq!(node.causes(), [(1, Cause::LinkDown), (0, Cause::SyncGroup)]);
    assert_eq!(node.states(), "FFA");
    assert_eq!(node.take(0, failed()), "");
    assert_eq!(node.take(1, Event::Link(true)), "", "instance 0 has its own now");
    assert_eq!(node.take(0, track(0)), "0:C 1:C");
    assert_eq!(node.states(), "BBA");
    assert_eq!((node.left(0), node.left(1)), (Some(3_609_375_000), Some(3_609_375_000)));

    let mut node = Node::backup(100);
    assert_eq!(node.take(0, failed()), "0:C 1:C");
    assert_eq!(node.take(0, track(0)), "0:C 1:C");
}

#[test]
fn all_hand_over_with_the_demoted() {
    let mut node = Node::active(100);
    node.take(1, advert(2, 95, 1000));
    assert_eq!(node.take(1, track(-10)), "1:NsZDC 0:NsZDC");
    assert_eq!(node.states(), "BBA");
    // Instance 0 would be ready earlier, but waits.
    assert_eq!((node.left(0), node.left(1)), (Some(1_609_375_000), Some(1_648_437_500)));
    // The new active router is below us for one, above for the other: no flap.
    for _ in 0..100 {
        node.take(0, advert(2, 95, 1000));
        node.take(1, advert(2, 95, 1000));
        node.pass(1000);
        node.out.clear();
        node.router.expire(node.now, &mut node.out);
        assert_eq!(&node.states()[..2], "BB");
    }
}

#[test]
fn all_are_fenced_together() {
    let mut node = Node::active(100);
    node.pass(1);
    // Renews the lease of instance 0 alone.
    node.take(0, advert(2, 50, 1000));
    node.now = node.router.get(1).unwrap().lease().unwrap();
    assert_eq!(node.take(0, advert(2, 50, 1000)), "1:NDC 0:NDC");
    assert_eq!(node.states(), "BBA");
    assert_eq!(node.take(2, track(0)), "2:NDC");
}

#[test]
fn commands_are_the_groups() {
    let mut node = Node::active(100);
    assert_eq!(node.take(1, Event::Release), "0:NsZDC 1:NsZDC");
    assert_eq!(node.states(), "IIA");
    assert_eq!(node.take(0, Event::Resume), "0:C 1:C");
    assert_eq!(node.states(), "BBA");
    assert_eq!(node.take(0, Event::Shutdown), "0:C 1:C");
    assert_eq!(node.take(1, Event::Shutdown), "");
    // While released, the one's fault is told to the other when they return.
    let mut node = Node::active(100);
    node.take(0, Event::Release);
    assert_eq!(node.take(1, Event::Link(false)), "");
    node.take(0, Event::Resume);
    assert_eq!(node.states(), "FFA");
}

#[test]
fn one_lease_brings_the_group_back() {
    let lease = |node: &Node| Event::Start { lease: Some(node.now + ms(5)) };
    let mut node = Node::new(100);
    assert_eq!(node.take(0, lease(&node)), "0:SLHC");
    assert_eq!(node.take(1, NONE), "1:SLHC");
    let mut node = Node::new(100);
    assert_eq!(node.take(1, NONE), "1:C");
    assert_eq!(node.take(0, lease(&node)), "0:SLHC 1:SLHC");
    assert_eq!(node.causes(), [(0, Cause::Resumed), (1, Cause::SyncGroup)]);
    // Not over a member that cannot.
    let mut node = Node::new(100);
    node.take(1, Event::Link(false));
    assert_eq!(node.take(0, lease(&node)), "0:C");
    assert_eq!(node.states(), "BII");
    assert_eq!(node.take(1, lease(&node)), "1:C 0:C");
    assert_eq!(node.states(), "FFI");
}

#[test]
fn a_group_of_owners_is_active_when_all_are_started() {
    let mut node = Node::new(255);
    node.take(1, Event::Link(false));
    assert_eq!(node.take(0, NONE), "0:C");
    node.take(1, Event::Link(true));
    assert_eq!(node.states(), "AII");
    assert_eq!(node.take(1, NONE), "1:SLHC");
}

/// Two nodes of one priority; 10.0.0.4 loses against us on the first link, 10.0.0.6 wins on the
/// other. The first member decides, or both nodes would yield for ever.
#[test]
fn the_first_member_decides_ties() {
    let mut node = Node::active(100);
    assert_eq!(node.take(0, advert(4, 100, 1000)), "0:SLA");
    assert_eq!(node.take(1, advert(6, 100, 1000)), "");
    assert_eq!(node.take(1, advert(6, 101, 1000)), "1:NDC 0:NDC", "greater is greater");
    // On the first link nobody is heard.
    let mut node = Node::active(100);
    assert_eq!(node.take(1, advert(6, 100, 1000)), "1:NDC 0:NDC");
    // Nor since long ago.
    let mut node = Node::active(100);
    node.take(0, advert(4, 100, 1000));
    for _ in 0..30 {
        node.time_out();
    }
    assert_eq!(node.take(1, advert(6, 100, 1000)), "1:NDC 0:NDC");
    // The first member itself yields to its own.
    let mut node = Node::active(100);
    node.take(0, advert(4, 100, 1000));
    assert_eq!(node.take(0, advert(6, 100, 1000)), "0:NDC 1:NDC");
}

#[test]
fn an_unknown_index_does_nothing() {
    let mut node = Node::active(100);
    assert_eq!(node.take(3, Event::Shutdown), "");
    assert_eq!((node.router.len(), node.router.is_empty()), (3, false));
}
