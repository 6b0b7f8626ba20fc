//! TCP frames, built from nothing: checksums are computed over the whole packet, so that a frame
//! built here checks the one that the program updated incrementally.

use lb_common::net::{Addr, MacAddr, proto};

/// TCP flags used here.
pub(crate) mod flags {
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;
}

/// An untagged TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) eth_src: MacAddr,
    pub(crate) eth_dst: MacAddr,
    pub(crate) src: Addr,
    pub(crate) dst: Addr,
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) ttl: u8,
    /// Bytes after the TCP header, all the same.
    pub(crate) payload: usize,
}

impl Frame {
    /// The frame's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let tcp = self.tcp();
        let ethertype: u16 = if self.dst.is_v4() { 0x0800 } else { 0x86dd };
        [&self.eth_dst.0[..], &self.eth_src.0, &ethertype.to_be_bytes(), &self.ip(tcp.len()), &tcp]
            .concat()
    }

    fn ip(&self, payload: usize) -> Vec<u8> {
        if !self.dst.is_v4() {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend((payload as u16).to_be_bytes());
            ip.extend([proto::TCP, self.ttl]);
            ip.extend(self.src.0);
            ip.extend(self.dst.0);
            return ip;
        }
        let mut ip = vec![0x45, 0];
        ip.extend((payload as u16 + 20).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, self.ttl, proto::TCP, 0, 0]);
        ip.extend(self.src.v4_octets());
        ip.extend(self.dst.v4_octets());
        let check = checksum(&ip);
        ip[10..12].copy_from_slice(&check);
        ip
    }

    fn tcp(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.sport.to_be_bytes());
        tcp.extend(self.dport.to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([5 << 4, self.flags]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.resize(20 + self.payload, 0xa5);
        let mut summed = Vec::new();
        for addr in [&self.src, &self.dst] {
            if self.dst.is_v4() {
                summed.extend(addr.v4_octets());
            } else {
                summed.extend(addr.0);
            }
        }
        summed.extend([0, proto::TCP]);
        summed.extend((tcp.len() as u16).to_be_bytes());
        summed.extend(&tcp);
        let check = checksum(&summed);
        tcp[16..18].copy_from_slice(&check);
        tcp
    }
}

/// RFC 1071, the plain way.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
