//! The claims that the agent listens for.

use std::net::IpAddr;

use lb_agent::frame::{ArpForm, Claim, decode_claim, gratuitous_arp, unsolicited_na};
use lb_common::net::MacAddr;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

pub(crate) fn run(input: &[u8]) {
    let Some(claim) = decode_claim(input) else { return };
    for said in announcements(claim) {
        assert_eq!(decode_claim(&said), Some(claim), "said again, it is the same claim");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let claim = |address: [u8; 16]| {
        let address = std::net::Ipv6Addr::from(address).to_canonical();
        announcements(Claim { address, mac: MAC })
    };
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
    let native = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    claim(mapped).into_iter().chain(claim(native)).collect()
}

fn announcements(claim: Claim) -> Vec<Vec<u8>> {
    match claim.address {
        IpAddr::V4(address) => [ArpForm::Request, ArpForm::Reply]
            .map(|form| gratuitous_arp(form, claim.mac, address).to_vec())
            .into(),
        IpAddr::V6(address) => vec![unsolicited_na(claim.mac, address).to_vec()],
    }
}
