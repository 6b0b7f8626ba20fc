//! Our side: a codec on its sockets, driven by hand.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use lb_agent::vrrp::{
    machine::Send,
    packet::{Advert, Codec, Objection, Settings, peek},
    socket::{BUFFER_LEN, Family, Interface, Listen, Receiver, Sender},
};

use crate::pair::{after, eventually, ifindex, ip};

pub(crate) struct Speaker {
    pub(crate) codec: Codec,
    receiver: Receiver,
    sender: Sender,
    own: IpAddr,
    destination: IpAddr,
}

impl Speaker {
    /// On `eth0` of the calling thread's namespace; to the settings' only peer, or the group.
    pub(crate) fn new(settings: Settings) -> Self {
        let family = Family::of(settings.addresses[0]);
        let peer = settings.unicast.as_ref().map(|unicast| unicast.peers[0]);
        let own = own_address(family, peer.is_some());
        let address = if peer.is_some() { own } else { family.group() };
        let ah = matches!(settings.authentication, lb_agent::config::vrrp::Authentication::Ah(_));
        Self {
            codec: Codec::new(settings),
            receiver: Receiver::open(&eth0(), Listen { address, ah }).expect("a receiver"),
            sender: Sender::open(&eth0(), family).expect("a sender"),
            own,
            destination: peer.unwrap_or_else(|| family.group()),
        }
    }

    /// What has arrived, one packet at most.
    pub(crate) fn hear(&mut self) -> Option<Result<Advert, Objection>> {
        let mut buffer = [0; BUFFER_LEN];
        let received = self.receiver.recv(&mut buffer).expect("to receive")?;
        let peeked = peek(&received).expect("a VRRP packet");
        assert_eq!(peeked.virtual_router_id, 51);
        Some(self.codec.decode(&received, Some(self.own)))
    }

    pub(crate) fn say(&mut self, priority: u8, hand_over: bool) {
        let interval = self.codec.settings().advert_interval;
        let mut bytes = Vec::new();
        let send = Send { priority, interval, hand_over };
        self.codec.encode(&send, self.own, self.destination, &mut bytes);
        self.sender.send(self.own, self.destination, &bytes).expect("to send");
    }

    /// Listens, and advertises this priority at the configured interval, until `done`; every
    /// advertisement heard must be without fault, and goes to `heard`.
    pub(crate) fn speak_until(
        &mut self,
        what: &str,
        priority: Option<u8>,
        heard: &mut Vec<Advert>,
        mut done: impl FnMut(&[Advert], u32) -> bool,
    ) {
        const PATIENCE: Duration = Duration::from_secs(60);
        let start = Instant::now();
        let mut said = 0;
        while !done(heard, said) {
            assert!(start.elapsed() < PATIENCE, "never happened: {what}; heard: {heard:?}");
            let due = self.codec.settings().advert_interval * said;
            if let Some(priority) = priority.filter(|_| start.elapsed() >= due) {
                self.say(priority, false);
                said += 1;
            }
            match self.hear() {
                Some(Ok(advert)) if advert.warning.is_none() => heard.push(advert),
                Some(odd) => panic!("{what}: {odd:?}"),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

pub(crate) fn eth0() -> Interface {
    Interface { name: "eth0".to_owned(), index: ifindex("eth0") }
}

/// Advertisements over IPv6 multicast come from the link-local address (RFC 9568 §5.1.2.1), which
/// is usable a moment after the link has come up.
pub(crate) fn own_address(family: Family, unicast: bool) -> IpAddr {
    let (shown, word) = match (family, unicast) {
        (Family::V4, _) => ("-4 address show dev eth0", "inet"),
        (Family::V6, false) => ("-6 address show dev eth0 scope link -tentative", "inet6"),
        (Family::V6, true) => ("-6 address show dev eth0 scope global -tentative", "inet6"),
    };
    eventually("an address to send from", || {
        after(word, &ip(shown)).and_then(|address| address.split('/').next()?.parse().ok())
    })
}
