use rtnetlink::packet_route::address::{AddressAttribute, AddressProtocol};

use super::*;
use crate::netlink::ADDRESS_PROTOCOL;

fn about(tag: Option<u8>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.attributes.push(AddressAttribute::Local(IpAddr::from([10, 0, 0, 9])));
    let tag = tag.map(|tag| AddressAttribute::Protocol(AddressProtocol::Other(tag)));
    message.attributes.extend(tag);
    message
}

#[test]
fn only_a_new_address_with_our_tag_is_ours() {
    let new = |tag| Message::from(RouteNetlinkMessage::NewAddress(about(tag)));
    assert!(is_ours(&new(Some(ADDRESS_PROTOCOL))));
    assert!(!is_ours(&new(Some(ADDRESS_PROTOCOL + 1))));
    assert!(!is_ours(&new(None)));
    let gone = RouteNetlinkMessage::DelAddress(about(Some(ADDRESS_PROTOCOL)));
    assert!(!is_ours(&Message::from(gone)));
}
