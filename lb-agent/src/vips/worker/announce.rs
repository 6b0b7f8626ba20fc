//! What neighbours are told.

use std::net::IpAddr;

use lb_common::net::MacAddr;

use super::{Worker, now};
use crate::{
    frame::{self, ArpForm},
    netlink::Interface,
    vips::{Report, schedule::Schedule},
    vrrp::time::Time,
};

impl<F: Fn(Report)> Worker<F> {
    /// The announcements of a VIP begin anew.
    pub(super) fn begin(&mut self, address: IpAddr) {
        if let Some(holding) = self.held.get_mut(&address) {
            holding.schedule = Schedule::begin(now());
        }
    }

    /// Sends every round that is due, as long as the VIP may be claimed. Otherwise it goes unsent.
    pub(super) fn announce_due(&mut self, address: IpAddr, now: Time) {
        while self.announce_round(address, now) {}
    }

    /// Sends one round if it is due; whether it was.
    pub(super) fn announce_round(&mut self, address: IpAddr, now: Time) -> bool {
        let Some(holding) = self.held.get_mut(&address) else { return false };
        if !holding.schedule.take(now) {
            return false;
        }
        let granted = holding.is_granted(now);
        let place = self.seen.interfaces.iter().find(|one| one.name == holding.vip.interface);
        if let (true, Some(interface)) = (granted, place) {
            self.announce(interface, address);
        }
        true
    }

    fn announce(&self, interface: &Interface, address: IpAddr) {
        if interface.mac == MacAddr::UNSET || !interface.enabled {
            return;
        }
        let frames = match address {
            IpAddr::V4(vip) => vec![
                frame::gratuitous_arp(ArpForm::Request, interface.mac, vip),
                frame::gratuitous_arp(ArpForm::Reply, interface.mac, vip),
            ],
            IpAddr::V6(vip) => vec![frame::unsolicited_na(interface.mac, vip)],
        };
        for frame in frames {
            if let Err(error) = self.socket.send(interface.index, &frame) {
                tracing::warn!(vip = %address, %error, "the VIP could not be announced");
            }
        }
    }
}
