//! What is wrong between parts of the file that are each right: duplicates, a VIP among the
//! backends, more than fit.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, SocketAddr},
};

use lb_common::abi::{MAX_BACKENDS, MAX_SERVICES};

use super::{
    Protocol,
    document::{At, Findings},
    error::{Fault, Shown},
};

/// Id 0 is never valid, in either map.
const SERVICES: usize = MAX_SERVICES as usize - 1;
const BACKENDS: usize = MAX_BACKENDS as usize - 1;
/// So that each gets at least 16 of the Maglev table's 16,384 slots.
const BACKENDS_PER_SERVICE: usize = 1000;

/// What has been read so far, with lines; built as the file is read, top to bottom.
#[derive(Debug, Default)]
pub(super) struct Seen<'t> {
    services: usize,
    service_names: HashMap<&'t str, usize>,
    sockets: HashMap<(SocketAddr, Protocol), usize>,
    /// Line and service's name of a VIP's first mention.
    vips: HashMap<IpAddr, (usize, &'t str)>,
    backends: usize,
    /// Every mention, for the comparison with VIPs that stand further down.
    addresses: Vec<At<IpAddr>>,
    /// Of the service being read.
    backends_here: usize,
    names_here: HashMap<&'t str, usize>,
    sockets_here: HashMap<SocketAddr, usize>,
}

impl<'t> Seen<'t> {
    /// Call for each service, complete or not; `line` is its header's.
    pub(super) fn service(
        &mut self,
        findings: &mut Findings<'t>,
        line: usize,
        name: Option<At<&'t str>>,
        vip: Option<At<IpAddr>>,
        port: Option<At<u16>>,
        protocol: Protocol,
    ) {
        self.services += 1;
        let shown = name.map_or("", |name| name.value);
        if self.services == SERVICES + 1 {
            too_many(findings, line, "service", shown, SERVICES, "services in all");
        }
        if let Some(name) = name {
            once(findings, &mut self.service_names, name, "service name", name.value);
        }
        let Some(vip) = vip else { return };
        self.vips.entry(vip.value).or_insert((vip.line, shown));
        let Some(port) = port else { return };
        let socket = SocketAddr::new(vip.value, port.value);
        let key = At { line: vip.line, value: (socket, protocol) };
        let word = match protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let value = format!("{socket}/{word}");
        once(findings, &mut self.sockets, key, "VIP, port and protocol", &value);
    }

    /// Names and addresses of backends are unique within a service only.
    pub(super) fn next_service(&mut self) {
        self.backends_here = 0;
        self.names_here.clear();
        self.sockets_here.clear();
    }

    /// Call for each backend, complete or not; `line` is its header's.
    pub(super) fn backend(
        &mut self,
        findings: &mut Findings<'t>,
        line: usize,
        name: Option<At<&'t str>>,
        address: Option<At<IpAddr>>,
        socket: Option<At<SocketAddr>>,
    ) {
        self.backends += 1;
        self.backends_here += 1;
        let shown = name.map_or("", |name| name.value);
        if self.backends_here == BACKENDS_PER_SERVICE + 1 {
            too_many(
                findings,
                line,
                "backend",
                shown,
                BACKENDS_PER_SERVICE,
                "backends per service",
            );
        }
        if self.backends == BACKENDS + 1 {
            too_many(findings, line, "backend", shown, BACKENDS, "backends of all services");
        }
        if let Some(name) = name {
            once(findings, &mut self.names_here, name, "backend name", name.value);
        }
        if let Some(socket) = socket {
            let value = socket.value.to_string();
            once(findings, &mut self.sockets_here, socket, "backend address and port", &value);
        }
        self.addresses.extend(address);
    }

    /// Every VIP, the line and the service that name it first.
    pub(super) fn vips(&self) -> impl Iterator<Item = (IpAddr, usize, &'t str)> {
        self.vips.iter().map(|(vip, (line, service))| (*vip, *line, *service))
    }

    pub(super) fn service_names(&self) -> impl Iterator<Item = &'t str> {
        self.service_names.keys().copied()
    }

    /// Every backend's address, in the file's order.
    pub(super) fn backend_addresses(&self) -> &[At<IpAddr>] {
        &self.addresses
    }

    /// Call when all services are read.
    pub(super) fn finish(self, findings: &mut Findings<'t>) {
        for address in &self.addresses {
            if let Some(&(line, service)) = self.vips.get(&address.value) {
                let value = Shown::from(address.value.to_string());
                let service = Shown::from(service);
                findings.report(address.line, Fault::VipIsBackend { value, service, line });
            }
        }
    }
}

pub(super) fn too_many(
    findings: &mut Findings<'_>,
    line: usize,
    what: &'static str,
    name: &str,
    limit: usize,
    scope: &'static str,
) {
    let value = Shown::from(name);
    findings.report(line, Fault::TooMany { what, value, number: limit + 1, limit, scope });
}

pub(super) fn once<K: Hash + Eq>(
    findings: &mut Findings<'_>,
    seen: &mut HashMap<K, usize>,
    key: At<K>,
    what: &'static str,
    shown: &str,
) {
    if let Some(&first) = seen.get(&key.value) {
        let value = Shown::from(shown);
        findings.report(key.line, Fault::Duplicate { what, value, first });
    } else {
        seen.insert(key.value, key.line);
    }
}
