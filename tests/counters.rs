//! What is counted, against what was sent: `bpftool`, the agent's own figures, captures and the
//! client must agree to the packet, the byte and the connection. Needs root.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    ops::AddAssign,
    path::Path,
    process::Command,
};

use lb_tests::{
    agent::{self, Agent},
    agent_config::{AgentConfig, ServiceConfig},
    capture::{Capture, Packet},
    client::{
        Client,
        pool::{Pool, Traffic},
    },
    lab::{
        ECHO_PORT, Host, Lab, Options, UDP_PORT,
        topology::{vip4, vip6},
    },
    wait::{SOON, wait_for},
};
use serde_json::Value;

/// The columns of `backend_stats` and `service_stats`, and of `stats --json`.
const FIELDS: [&str; 6] = [
    "packets_in",
    "bytes_in",
    "packets_out",
    "bytes_out",
    "connections_total",
    "connections_active",
];

/// The map pinned as `name`, as `bpftool` prints it.
fn dump(pin_dir: &Path, name: &str) -> Vec<Value> {
    let path = pin_dir.join(name);
    let mut bpftool = Command::new("bpftool");
    let output = bpftool.args(["-j", "map", "dump", "pinned"]).arg(&path).output();
    let output = output.expect("bpftool is installed");
    assert!(output.status.success(), "{bpftool:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("bpftool prints JSON")
}

/// Named fields of every entry that is not zero, summed over CPUs, by id.
fn sums(pin_dir: &Path, name: &str) -> BTreeMap<u64, BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for entry in dump(pin_dir, name) {
        let entry = &entry["formatted"];
        let mut sum: BTreeMap<String, u64> = BTreeMap::new();
        for cpu in entry["values"].as_array().expect("one value for each CPU") {
            let value = cpu["value"].as_object().expect("a structure with named fields");
            for (field, number) in value {
                let slot = sum.entry(field.clone()).or_default();
                // A CPU's share may be negative, wrapped; the sum is not.
                *slot = slot.wrapping_add(number.as_u64().expect("a counter"));
            }
        }
        if sum.values().any(|number| *number != 0) {
            sums.insert(entry["key"].as_u64().expect("an id"), sum);
        }
    }
    sums
}

/// Socket and service id of every backend, by id, from the bytes of the pinned map `backends`.
fn sockets(pin_dir: &Path) -> BTreeMap<u64, (SocketAddr, u64)> {
    let mut sockets = BTreeMap::new();
    for entry in dump(pin_dir, "backends") {
        let bytes: Vec<u8> = entry["value"].as_array().into_iter().flatten().map(byte).collect();
        let address: [u8; 16] = bytes[..16].try_into().expect("16 bytes");
        let address = Ipv6Addr::from(address).to_canonical();
        let port = u16::from_be_bytes([bytes[16], bytes[17]]);
        let service = u64::from(u16::from_ne_bytes([bytes[18], bytes[19]]));
        let id = entry["formatted"]["key"].as_u64().expect("an id");
        if port != 0 {
            sockets.insert(id, (SocketAddr::new(address, port), service));
        }
    }
    sockets
}

fn byte(text: &Value) -> u8 {
    let text = text.as_str().expect("a byte in hexadecimal");
    u8::from_str_radix(text.trim_start_matches("0x"), 16).expect("a byte in hexadecimal")
}

/// Packets and their IP bytes, in both directions as the balancer names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
}

impl Seen {
    fn of_fields(fields: &BTreeMap<String, u64>) -> Self {
        Self {
            packets_in: fields["packets_in"],
            bytes_in: fields["bytes_in"],
            packets_out: fields["packets_out"],
            bytes_out: fields["bytes_out"],
        }
    }
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
    }
}

/// Length of the IP packet by its own header: a frame may carry padding.
fn ip_bytes(packet: &Packet) -> u64 {
    let word = |at: usize| u64::from(u16::from_be_bytes([packet.data[at], packet.data[at + 1]]));
    match word(12) {
        0x0800 => word(16),
        0x86dd => word(18) + 40,
        other => panic!("neither IPv4 nor IPv6: {other:#06x}"),
    }
}

/// Sums by socket of the side that serves: the VIP's at a client, its own at a backend.
fn seen(packets: &[Packet], serves: impl Fn(SocketAddr) -> bool) -> BTreeMap<SocketAddr, Seen> {
    let mut sums: BTreeMap<SocketAddr, Seen> = BTreeMap::new();
    for packet in packets {
        let (from, to) = packet.endpoints().expect("the filter passes TCP and UDP alone");
        assert_ne!(serves(from), serves(to), "{from} -> {to}");
        let bytes = ip_bytes(packet);
        if serves(to) {
            let one = Seen { packets_in: 1, bytes_in: bytes, ..Seen::default() };
            *sums.entry(to).or_default() += one;
        } else {
            let one = Seen { packets_out: 1, bytes_out: bytes, ..Seen::default() };
            *sums.entry(from).or_default() += one;
        }
    }
    sums
}

/// What the balancer has counted, as sums of `bpftool`'s figures.
struct Counted {
    /// Of `backend_stats`, by the backend's socket.
    backends: BTreeMap<SocketAddr, BTreeMap<String, u64>>,
    /// Of `service_stats`, by id.
    services: BTreeMap<u64, BTreeMap<String, u64>>,
    /// Service id of each backend's socket.
    service_of: BTreeMap<SocketAddr, u64>,
}

impl Counted {
    fn read(pin_dir: &Path) -> Self {
        let sockets = sockets(pin_dir);
        let mut backends = BTreeMap::new();
        for (id, sum) in sums(pin_dir, "backend_stats") {
            let (socket, _) = sockets[&id];
            assert!(backends.insert(socket, sum).is_none(), "{socket} is counted twice");
        }
        let service_of = sockets.into_values().collect();
        Self { backends, services: sums(pin_dir, "service_stats"), service_of }
    }

    fn packets(&self) -> u64 {
        let both = |sum: &BTreeMap<String, u64>| sum["packets_in"] + sum["packets_out"];
        self.backends.values().map(both).sum()
    }
}

/// Captures on the client and on both backends, of TCP and UDP to and from the VIPs alone.
struct Captures {
    client: Capture,
    backends: Vec<Capture>,
}

impl Captures {
    fn start(lab: &Lab) -> anyhow::Result<Self> {
        let filter = format!("(tcp or udp) and (host {} or host {})", vip4(1), vip6(1));
        Ok(Self {
            client: Capture::start(lab.client(), "eth0", &filter)?,
            backends: lab
                .backends()
                .map(|host| Capture::start(host, "eth0", &filter))
                .collect::<anyhow::Result<_>>()?,
        })
    }

    fn stop(self) -> anyhow::Result<(Vec<Packet>, Vec<Packet>)> {
        let client = self.client.stop()?;
        let backends: anyhow::Result<Vec<_>> =
            self.backends.into_iter().map(Capture::stop).collect();
        Ok((client, backends?.concat()))
    }
}

/// TCP and UDP services of both families on the same two backends; no two share a backend's
/// socket, so that a socket names a backend.
fn config(lab: &Lab) -> AgentConfig {
    let hosts: Vec<&Host> = lab.backends().collect();
    let check = ["interval = \"1s\"", "timeout = \"5s\"", "rise = 1"];
    let mut config = AgentConfig::new(lab.lb(1));
    for (family, vip) in [(4, vip4(1)), (6, vip6(1))] {
        let tcp = ServiceConfig::new(&format!("tcp-{family}"), vip, 700, ECHO_PORT, &hosts);
        let udp = ServiceConfig::new(&format!("udp-{family}"), vip, 701, UDP_PORT, &hosts)
            .line("protocol = \"udp\"")
            .check(&[format!("port = {ECHO_PORT}")]);
        config = config.service(tcp.check(&check)).service(udp.check(&check));
    }
    config
}

/// What the client itself counted.
struct Sent {
    /// TCP connections by the backends' sockets, those that are held included.
    connections: BTreeMap<SocketAddr, u64>,
    /// Those that are held.
    held: BTreeMap<SocketAddr, u64>,
    /// They stand as long as this does.
    pools: Vec<Pool>,
}

/// 300 short TCP connections, 20 that are held open, and 50 datagrams to each VIP.
fn send(lab: &Lab) -> anyhow::Result<Sent> {
    let client = Client::new(lab.client(), lab.pki())?;
    let mut sent = Sent { connections: BTreeMap::new(), held: BTreeMap::new(), pools: Vec::new() };
    for vip in [vip4(1), vip6(1)] {
        let socket = |name: &str| SocketAddr::new(lab.host(name).address(vip), ECHO_PORT);
        let count = |count: usize| u64::try_from(count).expect("a small count");
        let spread = client.spread(SocketAddr::new(vip, 700), 300)?;
        anyhow::ensure!(spread.failures.is_empty(), "{:?}", spread.failures);
        for (name, connections) in &spread.servers {
            *sent.connections.entry(socket(name)).or_default() += count(*connections);
        }
        let pool = Pool::open(lab.client(), SocketAddr::new(vip, 700), 20, Traffic::Idle)?;
        for (name, connections) in &pool.servers() {
            *sent.connections.entry(socket(name)).or_default() += count(*connections);
            *sent.held.entry(socket(name)).or_default() += count(*connections);
        }
        sent.pools.push(pool);
        for n in 0..50 {
            client.udp(SocketAddr::new(vip, 701), &"x".repeat(n))?;
        }
    }
    Ok(sent)
}

/// The counters once they have counted everything: as many packets as the client's capture has,
/// and no more connections open than those that are held.
fn settled(pin_dir: &Path, captures: &Captures, sent: &Sent) -> anyhow::Result<Counted> {
    wait_for("the counters to settle", SOON, || {
        let counted = Counted::read(pin_dir);
        let captured = captures.client.packets()?.len();
        anyhow::ensure!(
            usize::try_from(counted.packets())? == captured,
            "{} counted, {captured} captured",
            counted.packets()
        );
        for (socket, held) in &sent.held {
            let active = counted.backends[socket]["connections_active"];
            anyhow::ensure!(active == *held, "{socket}: {active} active, {held} are held");
        }
        Ok(counted)
    })
}

#[test]
fn counters_agree_with_captures_and_client() {
    let lab = Lab::with(&Options { balancers: 1, backends: 2, ..Options::default() }).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let agent = Agent::start_ready(lab.lb(1), &config(&lab)).unwrap();
    assert_eq!(Counted::read(agent.pin_dir()).packets(), 0, "checks do not go through the VIP");
    let captures = Captures::start(&lab).unwrap();
    let sent = send(&lab).unwrap();
    let counted = settled(agent.pin_dir(), &captures, &sent).unwrap();
    let (at_client, at_backends) = captures.stop().unwrap();

    for sum in counted.backends.values().chain(counted.services.values()) {
        assert!(sum.keys().map(String::as_str).eq(sorted(FIELDS)), "{sum:?}");
    }
    // Each backend's packets and bytes, as its own interface saw them.
    let own: BTreeSet<IpAddr> =
        lab.backends().flat_map(|host| [host.ipv4().into(), host.ipv6().into()]).collect();
    let by_backend = seen(&at_backends, |socket| own.contains(&socket.ip()));
    let counted_by_backend: BTreeMap<_, _> =
        counted.backends.iter().map(|(socket, sum)| (*socket, Seen::of_fields(sum))).collect();
    assert_eq!(counted_by_backend, by_backend);
    assert_eq!(by_backend.len(), 8, "2 backends, 2 families, TCP and UDP");
    // Connections, as the client counted them.
    for (socket, connections) in &sent.connections {
        assert_eq!(counted.backends[socket]["connections_total"], *connections, "{socket}");
    }
    assert_eq!(sent.connections.values().sum::<u64>(), 640);
    services_agree(&lab, &counted, &at_client);
    agent_agrees(&lab, &agent.stats().unwrap(), &counted);
    assert_eq!(sent.pools.iter().map(|pool| pool.connections().len()).sum::<usize>(), 40);
}

fn sorted(mut fields: [&str; 6]) -> [&str; 6] {
    fields.sort_unstable();
    fields
}

/// Service sums: of the backends' for every field, and what the client's interface saw.
#[track_caller]
fn services_agree(lab: &Lab, counted: &Counted, at_client: &[Packet]) {
    let mut summed: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    for (socket, sum) in &counted.backends {
        let service = summed.entry(counted.service_of[socket]).or_default();
        for (field, number) in sum {
            *service.entry(field.clone()).or_default() += number;
        }
    }
    assert_eq!(counted.services, summed);

    let by_vip = seen(at_client, |socket| [vip4(1), vip6(1)].contains(&socket.ip()));
    assert_eq!(by_vip.len(), 4);
    for (vip, seen) in by_vip {
        let port = if vip.port() == 700 { ECHO_PORT } else { UDP_PORT };
        let backend = SocketAddr::new(lab.cp(1).address(vip.ip()), port);
        let service = &counted.services[&counted.service_of[&backend]];
        assert_eq!(Seen::of_fields(service), seen, "{vip}");
        if port == UDP_PORT {
            let clients: BTreeSet<SocketAddr> = at_client
                .iter()
                .filter_map(Packet::endpoints)
                .filter_map(|(from, to)| (to == vip).then_some(from))
                .collect();
            assert_eq!(service["connections_total"], clients.len() as u64, "{vip}");
        }
    }
}

/// `lb-agent stats --json` says the same as `bpftool`.
#[track_caller]
fn agent_agrees(lab: &Lab, stats: &Value, counted: &Counted) {
    let mut compared = 0;
    for (service, backend) in agent::backends(stats) {
        let vip: IpAddr = service["vip"].as_str().and_then(|ip| ip.parse().ok()).expect("a VIP");
        let name = backend["name"].as_str().expect("a name");
        let port = if service["port"] == 700 { ECHO_PORT } else { UDP_PORT };
        let socket = SocketAddr::new(lab.host(name).address(vip), port);
        let of_service = &counted.services[&counted.service_of[&socket]];
        for field in FIELDS {
            assert_eq!(backend[field], counted.backends[&socket][field], "{field} of {socket}");
            assert_eq!(service[field], of_service[field], "{field} of {vip}");
        }
        compared += 1;
    }
    assert_eq!(compared, 8);
}
