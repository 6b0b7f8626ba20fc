//! A LAN of nodes on one clock, with everything that may go wrong on it. It keeps what the data
//! planes would: who could claim the addresses from when to when.

use std::collections::BTreeMap;

use super::*;

/// One node to be.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) params: Params,
    /// Knows nothing of our hand-over, as keepalived: neither does it nor heeds it.
    pub(super) plain: bool,
}

/// What happens to a node or to the LAN.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// SIGTERM.
    Stop(usize),
    /// SIGKILL: the data plane stays.
    Crash(usize),
    Restart(usize),
    /// SIGSTOP for so long; packets wait in the socket.
    Stall(usize, Duration),
    Track(usize, i32),
    Release(usize),
    Resume(usize),
    /// On that link, nodes of different sides (a bit for each node) do not hear each other.
    Part(usize, u8),
    /// Percent of packets lost.
    Loss(u64),
    Heal,
}

#[derive(Clone, Debug)]
enum Due {
    Deliver { to: usize, link: usize, heard: Heard },
    Wake(usize),
}

#[derive(Debug)]
pub(super) struct Node {
    spec: Spec,
    /// `None` = dead.
    pub(super) router: Option<Router>,
    stalled: bool,
    inbox: Vec<(usize, Heard)>,
    /// By link: from when to when the data plane let it claim.
    claims: Vec<Vec<(Time, Time)>>,
}

#[derive(Debug)]
pub(super) struct Lan {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    links: usize,
    delay: Duration,
    loss: u64,
    sides: Vec<u8>,
    queue: BTreeMap<(Time, u64), Due>,
    last: BTreeMap<(usize, usize, usize), Time>,
    count: u64,
    random: u64,
    /// Changes of state since it was cleared.
    pub(super) changes: Vec<(Time, usize, Transition)>,
}

impl Lan {
    /// Nodes that are dead yet. With two links every node has an instance on each, in one sync
    /// group. Packets take up to `delay`, in their order.
    pub(super) fn new(specs: &[Spec], links: usize, delay: Duration, seed: u64) -> Self {
        let node = |spec: &Spec| Node {
            spec: spec.clone(),
            router: None,
            stalled: false,
            inbox: vec![],
            claims: vec![vec![]; links],
        };
        Self {
            now: at(1_000_000_000),
            nodes: specs.iter().map(node).collect(),
            links,
            delay,
            loss: 0,
            sides: vec![0; links],
            queue: BTreeMap::new(),
            last: BTreeMap::new(),
            count: 0,
            random: seed,
            changes: vec![],
        }
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let packet = self.queue.keys().next().map(|key| key.0);
            let timer = (0..self.nodes.len()).filter_map(|node| self.deadline(node)).min();
            let Some(next) = packet.into_iter().chain(timer).min().filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            // The socket is read before the timer is looked at.
            if packet == Some(next) {
                let due = self.queue.pop_first().expect("it has just been looked at").1;
                self.happen(due);
            } else {
                for node in 0..self.nodes.len() {
                    if self.deadline(node).is_some_and(|due| due <= self.now) {
                        self.call(node, Router::expire);
                    }
                }
            }
        }
        self.now = end;
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Stop(node) => {
                self.tell(node, &Event::Shutdown);
                if !self.nodes[node].stalled {
                    self.nodes[node].router = None;
                }
            }
            Op::Crash(node) => {
                self.nodes[node].router = None;
                self.nodes[node].stalled = false;
                self.nodes[node].inbox.clear();
            }
            Op::Restart(node) if self.nodes[node].router.is_none() => self.boot(node),
            Op::Restart(_) => {}
            Op::Stall(node, span) => {
                if self.nodes[node].router.is_some() && !self.nodes[node].stalled {
                    self.nodes[node].stalled = true;
                    self.push(self.now + span, Due::Wake(node));
                }
            }
            Op::Track(node, weight) => self.tell(node, &track(weight)),
            Op::Release(node) => self.tell(node, &Event::Release),
            Op::Resume(node) => self.tell(node, &Event::Resume),
            Op::Part(link, sides) => self.sides[link % self.links] = sides,
            Op::Loss(percent) => self.loss = percent,
            Op::Heal => {
                self.loss = 0;
                self.sides.fill(0);
            }
        }
    }

    /// Alive nodes' effective priorities.
    pub(super) fn priorities(&self) -> Vec<(usize, u8)> {
        self.alive()
            .map(|(node, router)| (node, router.get(0).unwrap().effective_priority()))
            .collect()
    }

    /// Nodes that are active on the link.
    pub(super) fn active(&self, link: usize) -> Vec<usize> {
        self.alive()
            .filter(|(_, router)| router.get(link).unwrap().state() == State::Active)
            .map(|(node, _)| node)
            .collect()
    }

    fn alive(&self) -> impl Iterator<Item = (usize, &Router)> {
        self.nodes.iter().enumerate().filter_map(|(node, n)| Some((node, n.router.as_ref()?)))
    }

    /// The longest time for which two nodes could claim, of what began at `from` or later.
    pub(super) fn overlap(&self, link: usize, from: Time) -> Duration {
        let mut longest = Duration::ZERO;
        for (index, one) in self.nodes.iter().enumerate() {
            for other in &self.nodes[index + 1..] {
                for a in &one.claims[link] {
                    for b in &other.claims[link] {
                        let begin = a.0.max(b.0);
                        if begin >= from {
                            longest = longest.max(a.1.min(b.1).since(begin));
                        }
                    }
                }
            }
        }
        longest
    }

    /// Whether two nodes can claim at this moment.
    pub(super) fn two_claim(&self) -> bool {
        let claims = |node: &&Node| {
            node.claims.iter().flatten().any(|claim| claim.0 <= self.now && self.now < claim.1)
        };
        self.nodes.iter().filter(claims).count() > 1
    }

    fn deadline(&self, node: usize) -> Option<Time> {
        let node = &self.nodes[node];
        node.router.as_ref().filter(|_| !node.stalled)?.next_deadline()
    }

    fn boot(&mut self, node: usize) {
        let group = (self.links > 1).then(|| "g".to_owned());
        let params = self.nodes[node].spec.params.clone();
        let instance = Instance { params, group };
        self.nodes[node].router = Some(Router::new(vec![instance; self.links]));
        for link in 0..self.links {
            self.call(node, |router, now, out| {
                router.handle(link, Event::Link(true), now, out);
                router.handle(link, Event::Source(Some(address(node, link))), now, out);
            });
        }
        for link in 0..self.links {
            let lease = self.nodes[node].claims[link].last().map(|claim| claim.1);
            let lease = lease.filter(|_| !self.nodes[node].spec.plain);
            self.call(node, |router, now, out| {
                router.handle(link, Event::Start { lease }, now, out);
            });
        }
    }

    /// Commands and tracks do not reach a stopped process.
    fn tell(&mut self, node: usize, event: &Event) {
        if self.nodes[node].stalled {
            return;
        }
        for link in 0..self.links {
            self.call(node, |router, now, out| router.handle(link, event.clone(), now, out));
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Deliver { to, link, heard } if self.nodes[to].stalled => {
                self.nodes[to].inbox.push((link, heard));
            }
            Due::Deliver { to, link, heard } => self.deliver(to, link, heard),
            Due::Wake(node) if self.nodes[node].stalled => {
                self.nodes[node].stalled = false;
                for (link, heard) in std::mem::take(&mut self.nodes[node].inbox) {
                    self.deliver(node, link, heard);
                }
            }
            Due::Wake(_) => {}
        }
    }

    fn deliver(&mut self, to: usize, link: usize, heard: Heard) {
        self.call(to, |router, now, out| router.handle(link, Event::Heard(heard), now, out));
    }

    fn call(
        &mut self,
        node: usize,
        what: impl FnOnce(&mut Router, Time, &mut Vec<(usize, Action)>),
    ) {
        let Some(router) = &mut self.nodes[node].router else {
            return;
        };
        let late = router.iter().any(|m| m.lease().is_some_and(|lease| lease <= self.now));
        let mut out = vec![];
        what(router, self.now, &mut out);
        for machine in router.iter() {
            assert_eq!(machine.lease().is_some(), machine.state() == State::Active);
            assert!(machine.lease().is_none_or(|lease| lease > self.now), "claims past its lease");
        }
        for (link, action) in out {
            match action {
                Action::Send(send) => {
                    assert!(!late, "{node} has advertised after its lease");
                    self.transmit(node, link, send);
                }
                Action::Lease(lease) => self.claim(node, link, lease),
                Action::Changed(change) => self.changes.push((self.now, node, change)),
                Action::Hold | Action::Drop | Action::Announce => {}
            }
        }
    }

    fn claim(&mut self, node: usize, link: usize, lease: Option<Time>) {
        let now = self.now;
        let claims = &mut self.nodes[node].claims[link];
        match (lease, claims.last_mut()) {
            (Some(end), Some(last)) if last.1 >= now => last.1 = end,
            (Some(end), _) => claims.push((now, end)),
            (None, Some(last)) => last.1 = last.1.min(now),
            (None, None) => {}
        }
    }

    fn transmit(&mut self, from: usize, link: usize, send: Send) {
        let plain = self.nodes[from].spec.plain;
        if plain && send.hand_over && send.priority != 0 {
            return;
        }
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            let sides = self.sides[link];
            let side = |node: usize| sides >> node & 1;
            let lost = self.next() % 100 < self.loss;
            let flight = self.next() % (u64::try_from(self.delay.as_nanos()).unwrap() + 1);
            if lost || side(from) != side(to) {
                continue;
            }
            let before = self.last.get(&(from, to, link)).copied().unwrap_or_default();
            let arrival = (self.now + Duration::from_nanos(flight)).max(before);
            self.last.insert((from, to, link), arrival);
            let hand_over = send.hand_over && !plain && !self.nodes[to].spec.plain;
            let Send { priority, interval, .. } = send;
            let heard = Heard { source: address(from, link), priority, interval, hand_over };
            self.push(arrival, Due::Deliver { to, link, heard });
        }
    }

    fn push(&mut self, when: Time, due: Due) {
        self.count += 1;
        self.queue.insert((when, self.count), due);
    }

    /// splitmix64
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// On the second link the order of the addresses is the reverse of the first's.
fn address(node: usize, link: usize) -> IpAddr {
    let node = u8::try_from(node).expect("a handful of nodes");
    ip(if link == 0 { 10 + node } else { 100 - node })
}
