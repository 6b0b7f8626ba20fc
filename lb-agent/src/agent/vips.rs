//! VIPs as addresses of this machine, for services that this node holds alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    frame::{self, ArpForm},
    inject::PacketSocket,
    netlink::{Interface, Netlink, VipAdded, choose_vip_interface},
};

/// The VIPs that were added here.
pub(super) struct Vips {
    socket: PacketSocket,
    held: BTreeMap<IpAddr, u32>,
    foreign: BTreeSet<IpAddr>,
}

impl Vips {
    pub(super) fn new(socket: PacketSocket) -> Self {
        Self { socket, held: BTreeMap::new(), foreign: BTreeSet::new() }
    }

    /// Adds and announces a VIP. One that the operator configured is left alone, and will be.
    pub(super) async fn add(&mut self, netlink: &Netlink, interfaces: &[Interface], vip: IpAddr) {
        let Some(interface) = choose_vip_interface(vip, interfaces) else {
            tracing::error!(%vip, "there is no interface for the VIP");
            return;
        };
        match netlink.add_vip(interface.index, vip).await {
            Ok(VipAdded::AlreadyThere) => {
                tracing::info!(%vip, "the VIP is configured already, it is left alone");
                self.foreign.insert(vip);
            }
            Ok(VipAdded::Added | VipAdded::Adopted) => {
                tracing::info!(%vip, interface = %interface.name, "VIP held");
                self.held.insert(vip, interface.index);
                self.announce(interface, vip);
            }
            Err(error) => {
                tracing::error!(%vip, interface = %interface.name, error = &error as &dyn std::error::Error, "the VIP could not be added");
            }
        }
    }

    /// Neighbours that knew the VIP elsewhere learn its new place at once.
    fn announce(&self, interface: &Interface, vip: IpAddr) {
        let frames = match vip {
            IpAddr::V4(vip) => vec![
                frame::gratuitous_arp(ArpForm::Request, interface.mac, vip),
                frame::gratuitous_arp(ArpForm::Reply, interface.mac, vip),
            ],
            IpAddr::V6(vip) => vec![frame::unsolicited_na(interface.mac, vip)],
        };
        for frame in frames {
            if let Err(error) = self.socket.send(interface.index, &frame) {
                tracing::warn!(%vip, %error, "the VIP could not be announced");
            }
        }
    }

    /// Removes a VIP that was added here.
    pub(super) async fn remove(&mut self, netlink: &Netlink, vip: IpAddr) {
        if self.foreign.remove(&vip) {
            return;
        }
        let index = match self.held.remove(&vip) {
            Some(index) => Some(index),
            // Added by an earlier run: it carries our tag.
            None => match netlink.vips().await {
                Ok(vips) => vips.iter().find(|v| v.address == vip).map(|v| v.ifindex),
                Err(_) => None,
            },
        };
        let Some(index) = index else { return };
        match netlink.remove_vip(index, vip).await {
            Ok(_was_there) => tracing::info!(%vip, "VIP given up"),
            Err(error) => {
                tracing::error!(%vip, error = &error as &dyn std::error::Error, "the VIP could not be removed");
            }
        }
    }
}
