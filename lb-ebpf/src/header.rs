//! Headers as they lie in the frame: arrays of bytes, alignment 1.

use lb_common::net::{Addr, MacAddr};

use crate::cursor::Header;

macro_rules! header {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)+ }
        const _: () = assert!(align_of::<$name>() == 1, "headers are taken at any offset");
        // SAFETY: made of byte arrays only: alignment 1, no padding, any bytes are valid.
        unsafe impl Header for $name {}
    };
}

/// EtherType of IPv4, wire order.
pub const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of ARP, wire order.
pub const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
/// EtherType of IPv6, wire order.
pub const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// EtherType of an 802.1Q tag, wire order.
pub const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// EtherType of an 802.1ad service tag, wire order.
pub const ETHERTYPE_QINQ: [u8; 2] = [0x88, 0xa8];

header! {
    /// Ethernet II.
    EthHdr {
        /// Destination.
        dst: MacAddr,
        /// Source.
        src: MacAddr,
        /// EtherType, wire order.
        ethertype: [u8; 2],
    }
}

header! {
    /// What follows a VLAN EtherType.
    VlanTag {
        /// Priority and VLAN id.
        tci: [u8; 2],
        /// EtherType of what follows.
        ethertype: [u8; 2],
    }
}

header! {
    /// ARP for IPv4 over Ethernet (RFC 826).
    ArpHdr {
        /// Kinds of both addresses (two bytes each), their lengths, and the operation (two bytes).
        form: [u8; 8],
        /// Ethernet address of the sender.
        sender_mac: MacAddr,
        /// IPv4 address of the sender; zero in a probe (RFC 5227).
        sender: [u8; 4],
        /// Ethernet address that is sought; anything in a request.
        target_mac: MacAddr,
        /// IPv4 address that is asked for.
        target: [u8; 4],
    }
}

header! {
    /// IPv4 without options (RFC 791).
    Ipv4Hdr {
        /// Version (high) and header length in words (low).
        version_ihl: u8,
        /// DSCP and ECN.
        tos: u8,
        /// Header and payload, bytes.
        total_len: [u8; 2],
        /// Identification.
        id: [u8; 2],
        /// Flags (3 bits) and fragment offset (13 bits, units of 8 bytes).
        frag: [u8; 2],
        /// Time to live.
        ttl: u8,
        /// Protocol.
        proto: u8,
        /// Header checksum.
        check: [u8; 2],
        /// Source address.
        src: [u8; 4],
        /// Destination address.
        dst: [u8; 4],
    }
}

header! {
    /// IPv6 (RFC 8200).
    Ipv6Hdr {
        /// Version, traffic class, flow label.
        version_flow: [u8; 4],
        /// Bytes after this header.
        payload_len: [u8; 2],
        /// Type of the next header.
        next: u8,
        /// Hop limit.
        hop_limit: u8,
        /// Source address.
        src: [u8; 16],
        /// Destination address.
        dst: [u8; 16],
    }
}

header! {
    /// TCP without options (RFC 9293).
    TcpHdr {
        /// Source port.
        sport: [u8; 2],
        /// Destination port.
        dport: [u8; 2],
        /// Sequence number.
        seq: [u8; 4],
        /// Acknowledgement number.
        ack: [u8; 4],
        /// Header length in words (high 4 bits).
        doff: u8,
        /// Bits of [`tcp_flags`].
        flags: u8,
        /// Window.
        window: [u8; 2],
        /// Checksum.
        check: [u8; 2],
        /// Urgent pointer.
        urgent: [u8; 2],
    }
}

/// Bits of [`TcpHdr::flags`].
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
}

header! {
    /// UDP (RFC 768).
    UdpHdr {
        /// Source port.
        sport: [u8; 2],
        /// Destination port.
        dport: [u8; 2],
        /// Header and payload, bytes.
        len: [u8; 2],
        /// Checksum; zero = none (IPv4 only).
        check: [u8; 2],
    }
}

header! {
    /// ICMP and ICMPv6 (RFC 792, RFC 4443): the fixed part of an error message.
    IcmpHdr {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Checksum; for ICMPv6 the pseudo-header is included.
        check: [u8; 2],
        /// Unused, or the MTU.
        rest: [u8; 4],
    }
}

impl Ipv4Hdr {
    /// Source in the common form.
    #[inline(always)]
    pub fn source(&self) -> Addr {
        Addr::v4(self.src)
    }

    /// Destination in the common form.
    #[inline(always)]
    pub fn destination(&self) -> Addr {
        Addr::v4(self.dst)
    }
}
