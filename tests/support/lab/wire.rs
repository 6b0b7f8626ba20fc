//! Namespaces, bridges, wires and addresses, made with `ip` and `ethtool`.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{
    host::Host,
    topology::{LinkPlan, Segment},
};

/// Runs `ip` outside every namespace of the lab.
pub(super) fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output().context("failed to start `ip`")?;
    checked(&format!("ip {}", args.join(" ")), &output)
}

fn checked(what: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("`{what}` ended with {}: {}", output.status, error.trim());
    }
    Ok(())
}

/// Runs several `ip` commands in one go, inside `netns`.
pub(super) fn batch(netns: &str, commands: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", netns, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start `ip`")?;
    let mut stdin = child.stdin.take().context("`ip` has no standard input")?;
    stdin.write_all(commands.as_bytes()).context("failed to write to `ip`")?;
    drop(stdin);
    checked(&format!("ip -n {netns} -batch\n{commands}"), &child.wait_with_output()?)
}

/// Kernel settings of a host, before it has an interface that would inherit others.
pub(super) fn settings(host: &Host) -> Result<()> {
    let forwarding = if host.plan().forwards { "1" } else { "0" };
    let settings = [
        // A new namespace inherits IPv4 settings from the machine; a lab is the same everywhere.
        ("ipv4/ip_forward", forwarding),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv6/conf/all/forwarding", forwarding),
        // Duplicate address detection would keep an address unusable for a second.
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/dad_transmits", "0"),
        // No autoconfiguration traffic in captures.
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
        // Room for tens of thousands of connections to one address and port, TIME_WAIT included.
        ("ipv4/ip_local_port_range", "10240 65535"),
    ];
    host.in_netns(|| {
        settings.iter().try_for_each(|(key, value)| {
            fs::write(format!("/proc/sys/net/{key}"), value)
                .with_context(|| format!("failed to set `{key}` to `{value}`"))
        })
    })?
}

/// Bridges, and wires from them to every host. All of it lives in the namespace `net`, so the
/// machine's own network never sees it.
pub(super) fn connect(net: &str, hosts: &[Host], mtu: u32) -> Result<()> {
    let mut commands = String::new();
    for segment in [Segment::Front, Segment::Back, Segment::Far] {
        let bridge = segment.bridge();
        // A port forwards at once, and multicast (VRRP, NDP) floods instead of waiting for reports.
        commands += &format!(
            "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set {bridge} up\n"
        );
    }
    for host in hosts {
        for link in &host.plan().links {
            let LinkPlan { device, port, segment, .. } = link;
            commands += &format!(
                "link add {port} mtu {mtu} type veth peer name {device} address {} mtu {mtu} netns {}\n\
                 link set {port} master {} addrgenmode none\n\
                 link set {port} up\n",
                link.mac(),
                host.netns(),
                segment.bridge(),
            );
        }
    }
    batch(net, &commands)
}

/// Loopback, interfaces, addresses and default routes of a host.
pub(super) fn configure(host: &Host) -> Result<()> {
    let mut commands = String::from("link set lo up\n");
    for link in &host.plan().links {
        commands += &format!("link set {} up\n", link.device);
    }
    batch(host.netns(), &commands)?;
    host.plan().links.iter().try_for_each(|link| addresses(host, &link.device))
}

/// Addresses of `device` and the default routes that lead out by it, where they are missing.
pub(super) fn addresses(host: &Host, device: &str) -> Result<()> {
    let plan = host.plan();
    let Some(link) = plan.links.iter().find(|link| link.device == device) else {
        bail!("{} has no interface `{device}`", host.name());
    };
    let mut commands = format!(
        "addr replace {}/24 dev {device}\naddr replace {}/64 dev {device} nodad\n",
        link.segment.ipv4(link.number),
        link.segment.ipv6(link.number),
    );
    if let Some((_, gateway)) = plan.gateway.filter(|(segment, _)| *segment == link.segment) {
        commands += &format!(
            "route replace default via {} dev {device}\nroute replace default via {} dev {device}\n",
            link.segment.ipv4(gateway),
            link.segment.ipv6(gateway),
        );
    }
    batch(host.netns(), &commands)
}

/// Makes `device` behave like a real network card as far as packets show it.
///
/// A veth passes on packets whose checksum is still to be filled in (CHECKSUM_PARTIAL), and
/// address translation on such a packet yields a wrong one; a real card delivers full checksums.
/// Segmentation and receive offloads would let captures count other packets than XDP saw.
pub(super) fn no_offloads(netns: &str, device: &str) -> Result<()> {
    let net = format!("--net=/run/netns/{netns}");
    let output = Command::new("nsenter")
        .args([&net, "ethtool", "-K", device])
        .args(["tx", "off", "tso", "off", "gso", "off", "gro", "off"])
        .output()
        .context("failed to start `nsenter`")?;
    checked(&format!("ethtool -K {device} ({netns})"), &output)
}
