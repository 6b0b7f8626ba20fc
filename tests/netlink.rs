//! The agent's netlink and packet-socket rooms against a real kernel: each test has two hosts on
//! one wire to itself.

#[path = "netlink/announce.rs"]
mod announce;
#[path = "netlink/challenge.rs"]
mod challenge;
#[path = "netlink/hold.rs"]
mod hold;
#[path = "netlink/holder.rs"]
mod holder;
#[path = "netlink/pair.rs"]
mod pair;
#[path = "netlink/resolve.rs"]
mod resolve;
#[path = "netlink/vip.rs"]
mod vip;
#[path = "netlink/watch.rs"]
mod watch;
#[path = "netlink/wire.rs"]
mod wire;
