//! Reads `[[vrrp]]`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{net::IpAddr, time::Duration};

use super::{
    Authentication, Routers, Secret, Track, Unicast, VirtualAddress, Vrrp, cross::Instance,
    fault::RouterFault, track,
};
use crate::{
    config::{
        address,
        claim::Fact,
        cross::too_many,
        document::{At, Findings, Table, Words},
        error::{Fault, Shown},
        form::Form,
        keys::Section,
        value::ValueFault,
        warning::Caution,
    },
    vrrp::Version,
};

/// keepalived's.
const PRIORITY: u8 = 100;
const ADVERT_INTERVAL: Duration = Duration::from_secs(1);
/// Twelve bits of centiseconds (RFC 9568 §5.2.7).
const V3_LONGEST: Duration = Duration::from_millis(40_950);
const V3_STEP: Duration = Duration::from_millis(10);
/// The packet counts addresses in one byte.
const IPV4_ADDRESSES: usize = 255;
/// As many as an Ethernet frame of 1500 bytes has room for.
const IPV6_ADDRESSES: usize = 90;

#[derive(Clone, Copy)]
enum AuthenticationType {
    Pass,
    Ah,
}

const AUTHENTICATIONS: &Words<AuthenticationType> =
    &[("pass", AuthenticationType::Pass), ("ah", AuthenticationType::Ah)];

/// The `index`th instance, from 0, or `None` when it cannot be completed; the reasons are in
/// `findings`.
pub(in crate::config) fn read<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Routers<'t>,
    table: &Table<'t>,
    index: usize,
) -> Option<Vrrp> {
    findings.require(table, "name", "name = \"VI_1\"");
    findings.require(table, "interface", "interface = \"eth0\"");
    findings.require(table, "virtual_router_id", "virtual_router_id = 51");
    findings.require(table, "addresses", "addresses = [\"10.0.0.50/24\"]");
    let name = findings.formed(table, "name", Form::Name);
    let interface = findings.formed(table, "interface", Form::Interface);
    if let Some(name) = interface {
        findings.claim(name.line, "interface", Fact::Interface(name.value.to_owned()));
    }
    let virtual_router_id = byte(findings, table, "virtual_router_id");
    let priority = byte(findings, table, "priority").map_or(PRIORITY, |n| n.value);
    let addresses = virtual_addresses(findings, table, "addresses");
    let excluded = virtual_addresses(findings, table, "excluded_addresses");
    let v4 = one_family(findings, &addresses);
    let version = version(findings, table);
    let advert_interval = version.and_then(|version| interval(findings, table, version));
    if version == Some(Version::V2) {
        refuse_ipv6(findings, &addresses);
    }
    let (preempt, preempt_delay) = preempt(findings, table);
    let unicast = unicast(findings, table, v4);
    let authentication = authentication(findings, table, version, index);
    let sync_group = findings.formed(table, "sync_group", Form::Name);
    let tracks = tracks(findings, seen, table, priority);
    let held = [&addresses[..], &excluded[..]].concat();
    let label = label(findings, table, interface, &held);
    let is_unicast = table.has("unicast_peers");
    seen.instance(
        findings,
        &Instance { name, interface, virtual_router_id, v4, is_unicast, held, sync_group },
    );
    Some(Vrrp {
        name: name?.value.to_owned(),
        interface: interface?.value.to_owned(),
        virtual_router_id: virtual_router_id?.value,
        version: version?,
        priority,
        advert_interval: advert_interval?,
        addresses: values(addresses),
        excluded_addresses: values(excluded),
        label,
        preempt,
        preempt_delay,
        unicast: unicast?,
        authentication: authentication?,
        sync_group: sync_group.map(|group| group.value.to_owned()),
        tracks: tracks?,
    })
}

fn values(addresses: Vec<At<VirtualAddress>>) -> Vec<VirtualAddress> {
    addresses.into_iter().map(|address| address.value).collect()
}

/// 1..=255.
fn byte<'t>(findings: &mut Findings<'t>, table: &Table<'t>, key: &'static str) -> Option<At<u8>> {
    let At { line, value } = findings.integer(table, key, 1..=255)?;
    u8::try_from(value).ok().map(|value| At { line, value })
}

fn version<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> Option<Version> {
    if !table.has("version") {
        return Some(Version::V3);
    }
    let number = findings.integer(table, "version", 2..=3)?;
    Some(if number.value == 2 { Version::V2 } else { Version::V3 })
}

fn interval<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    version: Version,
) -> Option<Duration> {
    const KEY: &str = "advert_interval";
    if !table.has(KEY) {
        return Some(ADVERT_INTERVAL);
    }
    let At { line, value: interval } = findings.duration(table, KEY)?;
    let value = findings.string(table, KEY).map_or_else(|| "".into(), |text| text.value.into());
    let step = V3_STEP.as_millis();
    let fault = match version {
        Version::V2 if interval.subsec_nanos() != 0 || !(1..=255).contains(&interval.as_secs()) => {
            RouterFault::V2Interval { value }
        }
        Version::V3 if interval > V3_LONGEST => RouterFault::V3TooLong { value },
        Version::V3 if !interval.as_millis().is_multiple_of(step) => {
            RouterFault::V3Step { value, below: interval.as_millis() / step * step }
        }
        Version::V2 | Version::V3 => return Some(interval),
    };
    findings.report(line, Fault::Router(fault));
    None
}

/// Those that are right.
fn virtual_addresses<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    key: &'static str,
) -> Vec<At<VirtualAddress>> {
    let texts = findings.strings(table, key).unwrap_or_default();
    let mut addresses = Vec::new();
    for At { line, value } in texts {
        match address::parse_virtual(value) {
            Ok(value) => addresses.push(At { line, value }),
            Err(fault) => findings.refuse(line, key, value, ValueFault::Address(fault)),
        }
    }
    addresses
}

/// Whether the advertised addresses are IPv4; `None` when there is none.
fn one_family(findings: &mut Findings<'_>, addresses: &[At<VirtualAddress>]) -> Option<bool> {
    let first = addresses.first()?.value.address;
    if let Some(other) = addresses.iter().find(|a| a.value.address.is_ipv4() != first.is_ipv4()) {
        let value = shown(other.value.address);
        let fault = RouterFault::MixedFamilies { value, first: shown(first) };
        findings.report(other.line, Fault::Router(fault));
    }
    let (limit, scope) = if first.is_ipv4() {
        (IPV4_ADDRESSES, "addresses in an advertisement of IPv4")
    } else {
        (IPV6_ADDRESSES, "addresses in an advertisement of IPv6")
    };
    if let Some(extra) = addresses.get(limit) {
        too_many(findings, extra.line, "address", &extra.value.address.to_string(), limit, scope);
    }
    Some(first.is_ipv4())
}

fn refuse_ipv6(findings: &mut Findings<'_>, addresses: &[At<VirtualAddress>]) {
    // Any other is of a second family, and refused as such.
    if let Some(first) = addresses.first().filter(|first| first.value.address.is_ipv6()) {
        let value = shown(first.value.address);
        findings.report(first.line, Fault::Router(RouterFault::V2Family { value }));
    }
}

fn preempt<'t>(findings: &mut Findings<'t>, table: &Table<'t>) -> (bool, Duration) {
    let preempt = findings.boolean(table, "preempt").is_none_or(|flag| flag.value);
    let delay = findings.duration(table, "preempt_delay");
    if let (false, Some(delay)) = (preempt, delay) {
        findings.report(delay.line, Fault::Router(RouterFault::DelayUnused));
    }
    (preempt, delay.map_or(Duration::ZERO, |delay| delay.value))
}

fn label<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    interface: Option<At<&'t str>>,
    addresses: &[At<VirtualAddress>],
) -> Option<String> {
    let label = findings.formed(table, "label", Form::Label)?;
    if let Some(interface) = interface
        && !label.value.starts_with(interface.value)
    {
        let (value, interface) = (label.value.into(), interface.value.into());
        let fault = RouterFault::LabelElsewhere { value, interface };
        findings.report(label.line, Fault::Router(fault));
    }
    if !addresses.is_empty() && addresses.iter().all(|address| address.value.address.is_ipv6()) {
        findings.report(label.line, Fault::Router(RouterFault::LabelWithoutIpv4));
    }
    Some(label.value.to_owned())
}

/// `Some(None)` = multicast.
fn unicast<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    v4: Option<bool>,
) -> Option<Option<Unicast>> {
    const PEERS: &str = "unicast_peers";
    let source = match findings.string(table, "unicast_source") {
        Some(text) => Some(address_on_link(findings, "unicast_source", text, v4)?),
        None => None,
    };
    let check_source = findings.boolean(table, "check_source").is_none_or(|flag| flag.value);
    if !table.has(PEERS) {
        for present in ["unicast_source", "check_source"] {
            if let Some(line) = findings.line_of(table, present) {
                findings.report(line, Fault::Alone { present, absent: PEERS });
            }
        }
        return Some(None);
    }
    let mut peers: Vec<At<IpAddr>> = Vec::new();
    for text in findings.strings(table, PEERS)? {
        let Some(peer) = address_on_link(findings, PEERS, text, v4) else { continue };
        if source.is_some_and(|source| source.value == peer.value) {
            let value = shown(peer.value);
            findings.report(peer.line, Fault::Router(RouterFault::SourceIsPeer { value }));
        }
        if let Some(first) = peers.iter().find(|earlier| earlier.value == peer.value) {
            let (value, first) = (shown(peer.value), first.line);
            findings.report(peer.line, Fault::Duplicate { what: "peer", value, first });
        }
        peers.push(peer);
    }
    let peers = peers.into_iter().map(|peer| peer.value).collect();
    Some(Some(Unicast { source: source.map(|source| source.value), peers, check_source }))
}

fn address_on_link<'t>(
    findings: &mut Findings<'t>,
    key: &'static str,
    text: At<&'t str>,
    v4: Option<bool>,
) -> Option<At<IpAddr>> {
    let At { line, value: text } = text;
    let address = match address::parse_on_link(text) {
        Ok(address) => address,
        Err(fault) => {
            findings.refuse(line, key, text, ValueFault::Address(fault));
            return None;
        }
    };
    if v4.is_some_and(|v4| v4 != address.is_ipv4()) {
        let value = shown(address);
        findings.report(line, Fault::Router(RouterFault::OtherFamily { key, value }));
        return None;
    }
    Some(At { line, value: address })
}

fn authentication<'t>(
    findings: &mut Findings<'t>,
    table: &Table<'t>,
    version: Option<Version>,
    instance: usize,
) -> Option<Authentication> {
    const KEY: &str = "authentication";
    let Some(line) = findings.line_of(table, KEY) else { return Some(Authentication::None) };
    let section = findings.table(table, KEY, Section::Authentication)?;
    if version == Some(Version::V3) {
        findings.report(line, Fault::Router(RouterFault::AuthenticationInV3));
    }
    findings.require(&section, "type", "type = \"pass\"");
    findings.require(&section, "secret_file", "secret_file = \"/etc/lb/vrrp.secret\"");
    let kind = findings.word(&section, "type", AUTHENTICATIONS);
    let path = findings.path(&section, "secret_file", Form::AbsolutePath)?;
    findings.claim(path.line, "secret_file", Fact::Secret { path: path.value, instance });
    Some(match kind? {
        AuthenticationType::Pass => Authentication::Pass(Secret([0; 8])),
        AuthenticationType::Ah => Authentication::Ah(Secret([0; 8])),
    })
}

fn tracks<'t>(
    findings: &mut Findings<'t>,
    seen: &mut Routers<'t>,
    table: &Table<'t>,
    priority: u8,
) -> Option<Vec<Track>> {
    let tables = findings.tables(table, "track", Section::Track);
    let mut tracks = Vec::new();
    for table in &tables {
        let track = track::read(findings, seen, table);
        if priority == u8::MAX && track.as_ref().is_some_and(|track| track.weight != 0) {
            let line = findings.line_of(table, "weight").unwrap_or(table.line);
            findings.warn(line, Caution::OwnerWithWeights);
        }
        tracks.push(track);
    }
    tracks.into_iter().collect()
}

fn shown(address: IpAddr) -> Shown {
    Shown::from(address.to_string())
}
