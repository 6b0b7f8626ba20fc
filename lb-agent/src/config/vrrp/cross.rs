//! What is wrong between virtual routers that are each right, and between them and the services.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::HashMap, net::IpAddr};

use super::{RouterFault, VirtualAddress};
use crate::config::{
    cross::{Seen, once},
    document::{At, Findings},
    error::{Fault, Shown},
    keys,
    warning::Caution,
};

/// What of one instance concerns the others; `None` = missing or wrong.
#[derive(Debug)]
pub(super) struct Instance<'t> {
    pub(super) name: Option<At<&'t str>>,
    pub(super) interface: Option<At<&'t str>>,
    pub(super) virtual_router_id: Option<At<u8>>,
    pub(super) v4: Option<bool>,
    pub(super) is_unicast: bool,
    /// Addresses, advertised and not.
    pub(super) held: Vec<At<VirtualAddress>>,
    pub(super) sync_group: Option<At<&'t str>>,
}

/// Interface, whether IPv4, number, whether unicast.
type Number<'t> = (&'t str, bool, u8, bool);

/// Where an address is held: a link-local one is another on each interface.
type Place<'t> = (IpAddr, Option<&'t str>);

/// What one address is held by.
#[derive(Debug)]
struct Holder<'t> {
    line: usize,
    router: &'t str,
    interface: Option<At<&'t str>>,
}

/// The virtual routers read so far; built as the file is read, top to bottom.
#[derive(Debug, Default)]
pub(in crate::config) struct Routers<'t> {
    names: HashMap<&'t str, usize>,
    numbers: HashMap<Number<'t>, usize>,
    held: HashMap<Place<'t>, Holder<'t>>,
    /// Line of the first member, and how many there are.
    groups: HashMap<&'t str, (usize, usize)>,
    services: Vec<At<&'t str>>,
}

impl<'t> Routers<'t> {
    /// Call for each instance, complete or not.
    pub(super) fn instance(&mut self, findings: &mut Findings<'t>, instance: &Instance<'t>) {
        if let Some(name) = instance.name {
            once(findings, &mut self.names, name, "virtual router's name", name.value);
        }
        if let Some(group) = instance.sync_group {
            self.groups.entry(group.value).or_insert((group.line, 0)).1 += 1;
        }
        self.number(findings, instance);
        let router = instance.name.map_or("", |name| name.value);
        for At { line, value: VirtualAddress { address, .. } } in &instance.held {
            let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let link = instance.interface.filter(|_| link_local).map(|name| name.value);
            let place = (*address, link);
            if let Some(first) = self.held.get(&place) {
                let fault = RouterFault::HeldTwice {
                    value: Shown::from(address.to_string()),
                    router: first.router.into(),
                    first: first.line,
                };
                findings.report(*line, Fault::Router(fault));
            } else {
                let holder = Holder { line: *line, router, interface: instance.interface };
                self.held.insert(place, holder);
            }
        }
    }

    fn number(&mut self, findings: &mut Findings<'t>, instance: &Instance<'t>) {
        let Instance { interface: Some(interface), virtual_router_id: Some(id), .. } = instance
        else {
            return;
        };
        let Some(v4) = instance.v4 else { return };
        let key = (interface.value, v4, id.value, instance.is_unicast);
        if let Some(&first) = self.numbers.get(&key) {
            let interface = interface.value.into();
            let fault = RouterFault::SameRouter { id: id.value, interface, first };
            findings.report(id.line, Fault::Router(fault));
        } else {
            self.numbers.insert(key, id.line);
        }
    }

    /// Call for each tracked service.
    pub(super) fn tracks_service(&mut self, name: At<&'t str>) {
        self.services.push(name);
    }

    /// Call when all services and instances are read; `interfaces` have the XDP program.
    pub(in crate::config) fn finish(
        self,
        findings: &mut Findings<'t>,
        services: &Seen<'t>,
        interfaces: &[String],
    ) {
        for name in &self.services {
            if services.service_names().all(|service| service != name.value) {
                let near = keys::nearest(name.value, services.service_names()).map(str::to_owned);
                let fault = RouterFault::NoService { name: name.value.into(), near };
                findings.report(name.line, Fault::Router(fault));
            }
        }
        for backend in services.backend_addresses() {
            if let Some(holder) = self.held.get(&(backend.value, None)) {
                let value = Shown::from(backend.value.to_string());
                let fault = RouterFault::HeldIsBackend { value, line: backend.line };
                findings.report(holder.line, Fault::Router(fault));
            }
        }
        for (group, (line, members)) in &self.groups {
            if *members == 1 {
                findings.warn(*line, Caution::LonelyGroup { group: (*group).to_owned() });
            }
        }
        self.vips(findings, services, interfaces);
    }

    fn vips(&self, findings: &mut Findings<'t>, services: &Seen<'t>, interfaces: &[String]) {
        if self.held.is_empty() {
            return;
        }
        for (vip, line, service) in services.vips() {
            let Some(holder) = self.held.get(&(vip, None)) else {
                let service = service.to_owned();
                findings.warn(line, Caution::VipWithoutRouter { vip, service });
                continue;
            };
            if let Some(interface) = holder.interface
                && interfaces.iter().all(|name| name != interface.value)
            {
                let caution = Caution::NoXdp { interface: interface.value.to_owned(), vip };
                findings.warn(interface.line, caution);
            }
        }
    }
}
