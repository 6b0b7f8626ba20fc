//! A SYN inside an established connection makes the peer's kernel tell its exact numbers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use lb_agent::{
    frame::{Endpoint, challenge_syn},
    inject::PacketSocket,
};
use lb_common::net::{Be16, MacAddr};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use crate::pair::{Pair, eventually, ifindex, own_mac};

const ACK: u8 = 0x10;

/// A TCP segment as captured.
#[derive(Debug)]
struct Segment {
    sport: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    data: Vec<u8>,
}

/// Sees every frame of the calling thread's namespace, in both directions.
struct Capture(OwnedFd);

impl Capture {
    fn open() -> Self {
        let (kind, flags) = (SockType::Raw, SockFlag::SOCK_NONBLOCK);
        let all = SockProtocol::EthAll;
        Self(socket(AddressFamily::Packet, kind, flags, all).expect("a packet socket"))
    }

    /// The next TCP segment that fits.
    fn find(&self, what: &str, fits: impl Fn(&Segment) -> bool) -> Segment {
        eventually(what, || {
            loop {
                let mut frame = [0; 2048];
                let got = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()).ok()?;
                if let Some(segment) = tcp(&frame[..got]).filter(&fits) {
                    return Some(segment);
                }
            }
        })
    }
}

fn tcp(frame: &[u8]) -> Option<Segment> {
    let (start, len) = match frame.get(12..14)? {
        [0x08, 0x00] if frame[23] == 6 => (34, be16(frame, 16) - 20),
        [0x86, 0xdd] if frame[20] == 6 => (54, be16(frame, 18)),
        _ => return None,
    };
    let segment = &frame[start..start + usize::from(len)];
    let be32 = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("four"));
    Some(Segment {
        sport: be16(segment, 0),
        seq: be32(4),
        ack: be32(8),
        flags: segment[13],
        data: segment[usize::from(segment[12] >> 4) * 4..].to_vec(),
    })
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn endpoint(mac: MacAddr, address: SocketAddr) -> Endpoint {
    Endpoint { mac, addr: address.ip().into(), port: Be16::new(address.port()) }
}

fn say(from: &mut TcpStream, to: &mut TcpStream, words: &[u8]) {
    from.write_all(words).expect("written");
    let mut heard = vec![0; words.len()];
    to.read_exact(&mut heard).expect("read");
    assert_eq!(heard, words);
}

#[track_caller]
fn challenge(server: &str) {
    let Some(pair) = Pair::new() else { return };
    let (node_mac, peer_mac) = (pair.node(own_mac), pair.peer_mac());
    let server: SocketAddr = server.parse().expect("an address");
    let capture = pair.node(Capture::open);
    let listener = pair.peer(|| TcpListener::bind(server).expect("listening"));
    let mut client = pair.node(|| TcpStream::connect(server).expect("connected"));
    let (mut accepted, address) = listener.accept().expect("accepted");

    say(&mut client, &mut accepted, b"ping");
    let ping = capture.find("ping on the wire", |segment| segment.data == b"ping");
    say(&mut accepted, &mut client, b"pong!");
    let pong = capture.find("pong on the wire", |segment| segment.data == b"pong!");

    // A sequence number far outside the window.
    let (from, to) = (endpoint(node_mac, address), endpoint(peer_mac, server));
    let syn = challenge_syn(&from, &to, ping.seq.wrapping_add(0x4000_0000));
    pair.node(|| {
        let socket = PacketSocket::open().expect("a packet socket");
        socket.send(ifindex("eth0"), &syn).expect("sent");
    });
    let answer = capture.find("a challenge ACK", |segment| {
        segment.sport == server.port() && segment.data.is_empty()
    });
    assert_eq!(answer.flags, ACK, "{answer:?}");
    assert_eq!(answer.seq, pong.seq.wrapping_add(5));
    assert_eq!(answer.ack, ping.seq.wrapping_add(4));

    say(&mut client, &mut accepted, b"still there");
}

#[test]
fn a_challenge_is_answered_over_ipv4() {
    challenge("10.1.0.2:7000");
}

#[test]
fn a_challenge_is_answered_over_ipv6() {
    challenge("[fd00:1::2]:7000");
}
