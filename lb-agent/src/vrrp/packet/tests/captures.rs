//! keepalived's own packets: each decodes, is encoded to the same bytes again, and is right by a
//! computation of its own.

use md5::{Digest, Md5};

use super::*;

/// One packet of a capture, from its IP header on.
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn is_v6(&self) -> bool {
        self.bytes[0] >> 4 == 6
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        if self.is_v6() {
            let part = |at| <[u8; 16]>::try_from(&self.bytes[at..at + 16]).unwrap().into();
            (part(8), part(24))
        } else {
            let part = |at| <[u8; 4]>::try_from(&self.bytes[at..at + 4]).unwrap().into();
            (part(12), part(16))
        }
    }

    fn message(&self) -> &[u8] {
        let start = if self.is_v6() { 40 } else { 20 };
        let ah = if self.bytes[9] == 51 && !self.is_v6() { 24 } else { 0 };
        &self.bytes[start + ah..]
    }

    fn received(&self) -> Received<'_> {
        match self.addresses() {
            (IpAddr::V6(source), IpAddr::V6(destination)) => Received::V6 {
                source,
                destination,
                hop_limit: self.bytes[7],
                message: self.message(),
            },
            _ => Received::V4(&self.bytes),
        }
    }

    /// What the codec hands to the socket.
    fn sent(&self) -> &[u8] {
        if self.is_v6() { self.message() } else { &self.bytes }
    }

    /// Checksums in full, without the code under test.
    fn verify_checksums(&self) {
        let message = self.message();
        let mut covered = Vec::new();
        if message[0] >> 4 == 3 {
            let source_and_destination = if self.is_v6() { 8..40 } else { 12..20 };
            covered.extend_from_slice(&self.bytes[source_and_destination]);
            covered.extend([0, 112, 0, message.len() as u8]);
        }
        covered.extend_from_slice(message);
        assert_eq!(internet_checksum(&covered), 0, "checksum of the message");
        if !self.is_v6() {
            assert_eq!(internet_checksum(&self.bytes[..20]), 0, "checksum of the header");
        }
    }

    /// RFC 2104 spelled out over what keepalived covers.
    fn verify_icv(&self, key: &[u8; 8]) {
        let mut covered = self.bytes.clone();
        covered[1] = 0;
        covered[6..8].fill(0);
        covered[10..12].fill(0);
        if covered[16] != 224 {
            covered[8] = 0;
        }
        covered[32..44].fill(0);
        let padded = |pad: u8| {
            let mut block = [pad; 64];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Md5::new().chain_update(padded(0x36)).chain_update(&covered).finalize();
        let outer = Md5::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
        assert_eq!(&outer[..12], &self.bytes[32..44], "ICV");
    }
}

/// Replays a capture to one listener, as a third node on the link would hear it; `least` is how
/// many packets it has at least.
fn replay(text: &str, settings: &Settings, least: usize) {
    let mut listener = Codec::new(settings.clone());
    let mut heard = 0;
    let mut in_order = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let frame = Frame { bytes: hex(line) };
        frame.verify_checksums();
        let advert = listener.decode(&frame.received(), None).expect(line);
        assert_eq!(advert.warning, None, "{line}");
        let is_v2 = settings.version == Version::V2;
        let coverage = if is_v2 { Coverage::Message } else { Coverage::PseudoHeader };
        assert_eq!(advert.coverage, coverage, "{line}");
        let (source, destination) = frame.addresses();
        assert_eq!(advert.heard.source, source, "{line}");
        assert_eq!(advert.heard.priority, frame.message()[2], "{line}");
        assert_eq!(advert.heard.interval, settings.advert_interval, "{line}");
        assert!(!advert.heard.hand_over, "{line}");

        // The sender as it was a moment before.
        let mut sender = Codec::new(settings.clone());
        sender.identification =
            u16::from_be_bytes([frame.bytes[4], frame.bytes[5]]).wrapping_sub(1);
        if let Authentication::Ah(key) = settings.authentication {
            frame.verify_icv(&key.0);
            let sequence = u32::from_be_bytes(frame.bytes[28..32].try_into().unwrap());
            assert_eq!(listener.sequence, sequence, "{line}");
            sender.sequence = sequence - 1;
            in_order.push(sequence);
        }
        let Heard { priority, interval, .. } = advert.heard;
        let mut again = Vec::new();
        let send = Send { priority, interval, hand_over: false };
        sender.encode(&send, source, destination, &mut again);
        assert_eq!(again, frame.sent(), "{line}");
        heard += 1;
    }
    assert!(heard >= least, "{heard} packets");
    assert!(in_order.is_sorted(), "{in_order:?}");
}

#[test]
fn version_2_with_a_password() {
    replay(include_str!("captures/v2-pass42.txt"), &pass(), 30);
    let long = v2(Authentication::Pass(secret("password")));
    replay(include_str!("captures/v2-passlong.txt"), &long, 30);
}

#[test]
fn version_2_without_authentication() {
    let two = vec![ip("10.9.0.100"), ip("10.9.0.101")];
    let settings = Settings { addresses: two, ..v2(Authentication::None) };
    replay(include_str!("captures/v2-noauth.txt"), &settings, 30);
}

#[test]
fn version_2_unicast() {
    replay(include_str!("captures/v2-uni.txt"), &unicast(pass()), 30);
}

#[test]
fn version_2_with_the_authentication_header() {
    replay(include_str!("captures/v2-ah-mc.txt"), &ah(), 30);
    replay(include_str!("captures/v2-ah-uni.txt"), &unicast(ah()), 30);
}

#[test]
fn version_3() {
    replay(include_str!("captures/v3-mc.txt"), &v3(), 10);
    let advert_interval = Duration::from_millis(10);
    let shortest = Settings { advert_interval, ..v3() };
    replay(include_str!("captures/v3-10ms.txt"), &shortest, 50);
    let advert_interval = Duration::from_millis(500);
    let slower = Settings { advert_interval, ..v3() };
    replay(include_str!("captures/v3-uni.txt"), &unicast(slower), 60);
}

#[test]
fn version_3_over_ipv6() {
    replay(include_str!("captures/v3-ip6.txt"), &v3_ip6(), 4);
}
