//! Reading pcap files, and as much of a packet as counting needs. No IO.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

/// One captured Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Time since the epoch.
    pub at: Duration,
    /// Length on the wire in bytes, without the frame check sequence.
    pub length: u32,
    /// The frame, from the destination MAC on.
    pub data: Vec<u8>,
}

/// TCP flags that tests look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// FIN.
    pub fin: bool,
    /// SYN.
    pub syn: bool,
    /// RST.
    pub rst: bool,
    /// ACK.
    pub ack: bool,
}

impl Packet {
    /// Protocol number, transport header and the two addresses; IPv6 without extension headers.
    fn network(&self) -> Option<(u8, &[u8], IpAddr, IpAddr)> {
        let frame = &self.data[..];
        let payload = frame.get(14..)?;
        match frame.get(12..14)? {
            [0x08, 0x00] => {
                let header = usize::from(payload.first()? & 0xf) * 4;
                let source: [u8; 4] = payload.get(12..16)?.try_into().ok()?;
                let target: [u8; 4] = payload.get(16..20)?.try_into().ok()?;
                let (source, target) = (Ipv4Addr::from(source), Ipv4Addr::from(target));
                Some((*payload.get(9)?, payload.get(header..)?, source.into(), target.into()))
            }
            [0x86, 0xdd] => {
                let source: [u8; 16] = payload.get(8..24)?.try_into().ok()?;
                let target: [u8; 16] = payload.get(24..40)?.try_into().ok()?;
                let (source, target) = (Ipv6Addr::from(source), Ipv6Addr::from(target));
                Some((*payload.get(6)?, payload.get(40..)?, source.into(), target.into()))
            }
            _ => None,
        }
    }

    /// Source and destination of a TCP or UDP packet.
    pub fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (protocol, transport, source, target) = self.network()?;
        if !matches!(protocol, 6 | 17) {
            return None;
        }
        let port =
            |at: usize| Some(u16::from_be_bytes(transport.get(at..at + 2)?.try_into().ok()?));
        Some((SocketAddr::new(source, port(0)?), SocketAddr::new(target, port(2)?)))
    }

    /// Flags of a TCP packet.
    pub fn tcp_flags(&self) -> Option<Flags> {
        let (protocol, transport, ..) = self.network()?;
        let bits = *transport.get(13).filter(|_| protocol == 6)?;
        let bit = |mask| bits & mask != 0;
        Some(Flags { fin: bit(0x01), syn: bit(0x02), rst: bit(0x04), ack: bit(0x10) })
    }
}

/// Reads a pcap file (the classic format, either byte order, micro- or nanoseconds) of Ethernet
/// frames. A last packet that is not whole yet is left out.
///
/// # Errors
/// When it is not such a file.
pub fn read(file: &[u8]) -> Result<Vec<Packet>> {
    let magic: [u8; 4] = file.get(..4).context("the file is empty")?.try_into()?;
    let (word, nanoseconds): (fn([u8; 4]) -> u32, u32) = match u32::from_le_bytes(magic) {
        0xa1b2_c3d4 => (u32::from_le_bytes, 1000),
        0xa1b2_3c4d => (u32::from_le_bytes, 1),
        0xd4c3_b2a1 => (u32::from_be_bytes, 1000),
        0x4d3c_b2a1 => (u32::from_be_bytes, 1),
        other => bail!("no pcap file: it begins with {other:#010x}"),
    };
    let at = |offset: usize| file.get(offset..offset + 4)?.try_into().ok().map(word);
    let link = at(20).context("the file ends within its header")?;
    ensure!(link & 0x0fff_ffff == 1, "link type {link}, not Ethernet");
    let mut packets = Vec::new();
    let mut offset = 24;
    while let (Some(seconds), Some(fraction), Some(kept), Some(length)) =
        (at(offset), at(offset + 4), at(offset + 8), at(offset + 12))
    {
        let begin = offset + 16;
        let end = begin + usize::try_from(kept)?;
        let Some(data) = file.get(begin..end) else { break };
        let at = Duration::new(u64::from(seconds), fraction * nanoseconds);
        packets.push(Packet { at, length, data: data.to_vec() });
        offset = end;
    }
    Ok(packets)
}

#[cfg(test)]
mod tests;
