//! Somebody on the client's host who speaks VRRP, and says what it wants.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use lb_agent::{
    config::vrrp::{Authentication, Secret},
    vrrp::{
        Version,
        machine::Send,
        packet::{Codec, GROUP_V4, Settings},
        socket::{Family, Interface, Sender},
    },
};
use lb_tests::lab::Lab;
use nix::net::if_::if_nametoindex;

/// The speaker.
pub(crate) struct Voice {
    codec: Codec,
    sender: Sender,
    source: Ipv4Addr,
}

/// Version and authentication of a neighbour that holds this VIP.
pub(crate) fn settings(version: Version, vip: IpAddr, authentication: Authentication) -> Settings {
    let millis = if version == Version::V2 { 1000 } else { 100 };
    Settings {
        version,
        virtual_router_id: 51,
        addresses: vec![vip],
        authentication,
        unicast: None,
        advert_interval: Duration::from_millis(millis),
    }
}

/// A password of eight bytes.
pub(crate) fn secret(password: &str) -> Secret {
    Secret(password.as_bytes().try_into().unwrap())
}

/// A file for `secret_file`.
pub(crate) fn write_secret(path: &Path, password: &str) {
    fs::write(path, format!("{password}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Voice {
    pub(crate) fn new(lab: &Lab, settings: Settings) -> Self {
        let host = lab.client();
        let sender = host.in_netns(|| {
            let index = if_nametoindex("eth0").unwrap();
            let interface = Interface { name: "eth0".to_owned(), index };
            Sender::open(&interface, Family::V4).unwrap()
        });
        Self { codec: Codec::new(settings), sender: sender.unwrap(), source: host.ipv4() }
    }

    pub(crate) fn source(&self) -> Ipv4Addr {
        self.source
    }

    /// One advertisement, after `mangle` has had it.
    pub(crate) fn say(&mut self, priority: u8, mangle: impl FnOnce(&mut Vec<u8>)) {
        self.say_from(self.source, priority, mangle);
    }

    pub(crate) fn say_from(
        &mut self,
        source: Ipv4Addr,
        priority: u8,
        mangle: impl FnOnce(&mut Vec<u8>),
    ) {
        let interval = self.codec.settings().advert_interval;
        let send = Send { priority, interval, hand_over: false };
        let (source, group) = (source.into(), GROUP_V4.into());
        let mut bytes = Vec::new();
        self.codec.encode(&send, source, group, &mut bytes);
        mangle(&mut bytes);
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
        self.sender.send(source, group, &bytes).unwrap();
    }
}

/// Makes the message's checksum right again.
pub(crate) fn recompute(packet: &mut [u8], pseudo_header: bool) {
    let message = packet.len() - 20;
    packet[26..28].fill(0);
    let mut sum: u32 = packet[20..].chunks(2).map(word).sum();
    if pseudo_header {
        sum += packet[12..20].chunks(2).map(word).sum::<u32>();
        sum += 112 + u32::try_from(message).unwrap();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap();
    packet[26..28].copy_from_slice(&sum.to_be_bytes());
}

fn word(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) << 8 | u32::from(bytes.get(1).copied().unwrap_or(0))
}

/// A sequence number of AH that nobody has reached; the check value does not cover it any more.
pub(crate) const LATE_NUMBER: crate::Mangle = |packet| packet[28] = 0x40;
