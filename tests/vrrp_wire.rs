//! The VRRP codec and its sockets on a real wire, against a real keepalived: what it sends is heard
//! without a doubt, and what we send makes it back off and come back without a word of complaint.

#[path = "vrrp_wire/keepalived.rs"]
mod keepalived;
#[path = "vrrp_wire/modes.rs"]
mod modes;
#[expect(dead_code, reason = "the tests of netlink use the rest")]
#[path = "netlink/pair.rs"]
mod pair;
#[path = "vrrp_wire/socket.rs"]
mod socket;
#[path = "vrrp_wire/speaker.rs"]
mod speaker;
