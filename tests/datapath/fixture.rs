//! The table of fixtures.

use super::{conn::Conn, scene::Scene, target::Target};
use lb_tests::packet::{ACK, SYN, Tcp, datagram, segment};

/// The address families a fixture is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Both.
    Both,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

type Play = Box<dyn Fn(&mut Scene) -> anyhow::Result<()>>;

/// One case: what is set up, the packet, its verdict, the packet that comes out, the reason.
pub(crate) struct Fixture {
    /// What it shows.
    pub(crate) name: String,
    /// For which families.
    pub(crate) family: Family,
    /// Set-up, packets and expectations.
    pub(crate) play: Play,
}

/// A fixture for both families.
pub(crate) fn both(
    name: impl Into<String>,
    play: impl Fn(&mut Scene) -> anyhow::Result<()> + 'static,
) -> Fixture {
    Fixture { name: name.into(), family: Family::Both, play: Box::new(play) }
}

/// A fixture for IPv4.
pub(crate) fn v4(
    name: impl Into<String>,
    play: impl Fn(&mut Scene) -> anyhow::Result<()> + 'static,
) -> Fixture {
    Fixture { family: Family::V4, ..both(name, play) }
}

/// A fixture for IPv6.
pub(crate) fn v6(
    name: impl Into<String>,
    play: impl Fn(&mut Scene) -> anyhow::Result<()> + 'static,
) -> Fixture {
    Fixture { family: Family::V6, ..both(name, play) }
}

/// The client's initial sequence number in every connection.
pub(crate) const CLIENT_SEQ: u32 = 1000;
/// The backend's; near the end, so that sums wrap.
pub(crate) const BACKEND_SEQ: u32 = 0xffff_ffff;

/// The client's SYN, with options.
pub(crate) fn syn() -> Tcp {
    Tcp { options: vec![2, 4, 5, 0xb4, 1, 1, 4, 2], ..segment(SYN, CLIENT_SEQ, 0) }
}

/// The backend's answer.
pub(crate) fn syn_ack() -> Tcp {
    segment(SYN | ACK, BACKEND_SEQ, CLIENT_SEQ + 1)
}

/// The ACK that completes the handshake.
pub(crate) fn ack() -> Tcp {
    segment(ACK, CLIENT_SEQ + 1, BACKEND_SEQ.wrapping_add(1))
}

/// A segment of the client's with these flags beside ACK.
pub(crate) fn client(flags: u8) -> Tcp {
    Tcp {
        data: b"GET".to_vec(),
        ..segment(flags | ACK, CLIENT_SEQ + 1, BACKEND_SEQ.wrapping_add(1))
    }
}

/// A segment of the backend's with these flags beside ACK.
pub(crate) fn backend(flags: u8) -> Tcp {
    Tcp {
        data: b"200".to_vec(),
        ..segment(flags | ACK, BACKEND_SEQ.wrapping_add(1), CLIENT_SEQ + 4)
    }
}

/// A connection whose handshake is done.
pub(crate) fn open_tcp(scene: &mut Scene, target: Target, cport: u16) -> anyhow::Result<Conn> {
    let conn = Conn::new(scene, target, cport);
    conn.forward(scene, syn())?;
    conn.reverse(scene, syn_ack())?;
    conn.forward(scene, ack())?;
    Ok(conn)
}

/// A UDP flow that the backend has answered.
pub(crate) fn open_udp(scene: &mut Scene, target: Target, cport: u16) -> anyhow::Result<Conn> {
    let conn = Conn::new(scene, target, cport);
    conn.forward(scene, datagram(b"question"))?;
    conn.reverse(scene, datagram(b"answer"))?;
    Ok(conn)
}
