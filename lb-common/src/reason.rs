//! Every verdict has a reason, and every reason a counter in `drop_stats`.

/// What the packet met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Given to the kernel's network stack, unchanged.
    Pass,
    /// Sent on, rewritten.
    Forward,
    /// Answered (RST to whoever sent it).
    Reply,
    /// Dropped.
    Drop,
}

macro_rules! reasons {
    ($($num:literal $variant:ident $verdict:ident $name:literal $text:literal;)+) => {
        /// Why a packet met its verdict. The number is the index into `drop_stats`; zero is not
        /// used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Reason {
            $(#[doc = $text] $variant = $num,)+
        }

        impl Reason {
            /// Every reason, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Entries of `drop_stats`: one more than the highest number.
            pub const SLOTS: u32 = {
                let mut max = 0;
                $(if $num > max { max = $num; })+
                max + 1
            };

            /// The verdict that goes with it.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)+ }
            }

            /// The name in JSON, tables and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line for people.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

reasons! {
    1 NotIp Pass "not_ip" "neither IPv4 nor IPv6 (ARP and the like): the kernel's";
    2 NotVip Pass "not_vip" "the destination is no VIP";
    3 NotOurMac Pass "not_our_mac" "for a VIP, but the frame is addressed to another station";
    5 NotService Pass "not_service" "for a VIP, but to a port that is neither a service nor a NAT port";
    6 OtherProtocol Pass "other_protocol" "for a VIP, but neither TCP, UDP nor an ICMP error about a flow";
    7 IcmpUnrelated Pass "icmp_unrelated" "an ICMP error to a VIP that quotes no flow of ours";

    16 ToBackend Forward "to_backend" "client to backend";
    17 ToClient Forward "to_client" "backend to client";
    18 IcmpToClient Forward "icmp_to_client" "an ICMP error about a flow, translated and sent to the client";
    19 IcmpToBackend Forward "icmp_to_backend" "an ICMP error about a flow, translated and sent to the backend";

    24 RefusedNoBackend Reply "refused_no_backend" "no healthy backend: RST to the client";
    25 RefusedTableFull Reply "refused_table_full" "the table of established flows is full: RST to the client";
    26 ResetClient Reply "reset_client" "the flow's backend is down: RST to the client";
    27 ResetBackend Reply "reset_backend" "the flow's backend was declared down: RST to the backend";

    32 Truncated Drop "truncated" "a header does not fit into the frame";
    33 BadIpHeader Drop "bad_ip_header" "for a VIP, with an IP version or header length that cannot be";
    34 BadTotalLength Drop "bad_total_length" "for a VIP, and the IP length exceeds the frame or undercuts the headers";
    35 IpOptions Drop "ip_options" "for a VIP, with IPv4 options";
    36 Fragment Drop "fragment" "for a VIP, an IP fragment";
    37 Ipv6Extension Drop "ipv6_extension" "for a VIP, with an IPv6 extension header";
    38 VlanTagged Drop "vlan_tagged" "for a service, in a VLAN-tagged frame";
    39 TtlExpired Drop "ttl_expired" "for a service, with a TTL or hop limit of 1 or 0";
    40 BadTcpHeader Drop "bad_tcp_header" "a TCP data offset below 5 or beyond the packet";
    41 BadTcpFlags Drop "bad_tcp_flags" "a combination of TCP flags that no stack sends";
    42 BadUdpLength Drop "bad_udp_length" "a UDP length below 8 or beyond the packet";
    43 NoBackend Drop "no_backend" "no healthy backend, and the service does not reject (or the packet is UDP)";
    44 NatPortMiss Drop "nat_port_miss" "from a backend to a NAT port that belongs to no flow";
    45 NatPortsBusy Drop "nat_ports_busy" "every NAT port tried for a new flow was taken";
    46 NatPortLost Drop "nat_port_lost" "the flow's NAT port went to another before it was established";
    47 RstUnknown Drop "rst_unknown" "a client's RST that belongs to no flow";
    48 NoNextHop Drop "no_next_hop" "the way to the backend is not resolved";
    49 NoEgress Drop "no_egress" "the egress interface takes no redirected frames";
    50 BackendGone Drop "backend_gone" "UDP to a backend that is down, or a flow whose backend id is unused";
    51 TableFull Drop "table_full" "a flow could not be stored, and no RST could be sent";
    52 ResetOfReset Drop "reset_of_reset" "a RST of a flow whose backend is down: it is not answered";
    53 Internal Drop "internal" "should never happen: a map of the program itself is missing";
    54 ClaimOver Drop "claim_over" "somebody asks for a VIP whose lease this node does not hold";
}

impl Reason {
    /// The reason with this number.
    pub fn from_number(n: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| *r as u32 == n)
    }
}
