//! Who gets which connection, and that nobody loses one. Needs root.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_tests::{
    agent::{self, Agent},
    agent_config::{AgentConfig, ServiceConfig},
    client::{
        Client, Spread,
        pool::{Connection, Fate, Pool, Traffic},
    },
    lab::{
        ECHO_PORT, HTTP_PORT, Host, Lab, Options,
        topology::{vip4, vip6},
    },
    wait::{SOON, wait_until},
};

const CHECK: [&str; 3] = ["interval = \"200ms\"", "timeout = \"3s\"", "rise = 1"];

/// The TCP echo of `hosts` behind a VIP, under the name `echo`.
fn echo(vip: IpAddr, hosts: &[&Host]) -> ServiceConfig {
    ServiceConfig::new("echo", vip, ECHO_PORT, ECHO_PORT, hosts).check(&CHECK)
}

fn lab(backends: u8) -> Lab {
    Lab::with(&Options { balancers: 1, backends, ..Options::default() }).expect("a lab needs root")
}

/// Percentage of the connections that `name` got.
fn share(spread: &Spread, name: &str) -> f64 {
    let all: usize = spread.servers.values().sum();
    let own = spread.servers.get(name).copied().unwrap_or(0);
    100.0 * f64::from(u32::try_from(own).expect("a small count"))
        / f64::from(u32::try_from(all).expect("a small count"))
}

#[track_caller]
fn assert_shares(spread: &Spread, expected: &[(&str, f64)], points: f64) {
    assert_eq!(spread.failures, BTreeMap::new());
    for (name, expected) in expected {
        let share = share(spread, name);
        assert!((share - expected).abs() <= points, "{name} got {share} %: {:?}", spread.servers);
    }
}

#[test]
fn ten_thousand_connections_spread_by_weight() {
    let lab = lab(3);
    let _servers = lab.start_api_servers().unwrap();
    let hosts = [lab.cp(1), lab.cp(2), lab.cp(3)];
    let mut config = AgentConfig::new(lab.lb(1));
    for (name, vip) in [("echo-4", vip4(1)), ("echo-6", vip6(1))] {
        let mut service = echo(vip, &hosts).weights(&[1, 1, 2]);
        service.name = name.to_owned();
        config = config.service(service);
    }
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    for vip in [vip4(1), vip6(1)] {
        let spread = client.spread(SocketAddr::new(vip, ECHO_PORT), 10_000).unwrap();
        println!("10,000 connections to {vip}, weights 1:1:2: {:?}", spread.servers);
        assert_shares(&spread, &[("cp-01", 25.0), ("cp-02", 25.0), ("cp-03", 50.0)], 3.0);
    }
    for service in agent.stats().unwrap()["services"].as_array().unwrap() {
        assert_eq!(service["connections_total"], 10_000, "{service:#}");
    }
}

#[test]
fn a_backend_removed_and_added_leaves_a_thousand_connections_alone() {
    let lab = lab(5);
    let _servers = lab.start_api_servers().unwrap();
    let hosts: Vec<&Host> = lab.backends().collect();
    let config = |hosts: &[&Host]| AgentConfig::new(lab.lb(1)).service(echo(vip4(1), hosts));
    let agent = Agent::start_ready(lab.lb(1), &config(&hosts)).unwrap();
    let address = SocketAddr::new(vip4(1), ECHO_PORT);
    let every = Traffic::Every(Duration::from_millis(500));
    let pool = Pool::open(lab.client(), address, 1000, every).unwrap();
    let holders = pool.servers();
    assert_eq!(holders.len(), 5, "{holders:?}");
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let exchanged = |rounds| {
        let before: Vec<u64> = pool.connections().iter().map(|c| c.exchanges).collect();
        wait_until("every connection to exchange", SOON * 3, || {
            let now = pool.connections();
            now.iter().zip(&before).all(|(c, b)| c.exchanges >= b + rounds || c.fate != Fate::Open)
        })
        .unwrap();
        assert_eq!(pool.fates(), BTreeMap::from([(Fate::Open, 1000)]));
    };
    exchanged(2);
    for remaining in [4, 5, 4] {
        agent.reload(&config(&hosts[..remaining])).unwrap();
        agent.wait_ready().unwrap();
        exchanged(2);
        let spread = client.spread(address, 500).unwrap();
        assert_eq!(spread.failures, BTreeMap::new());
        assert_eq!(spread.servers.len(), remaining, "{:?}", spread.servers);
        exchanged(2);
    }
    let connections = pool.finish().unwrap();
    let longest = longest_exchange(&connections);
    println!("1,000 connections over three reloads: the longest exchange took {longest:.3?}");
    // A second on a machine with nothing else to do; a lost packet costs TCP 200 ms and more.
    assert!(longest < Duration::from_secs(5), "{longest:.3?}");
    // Reset by the balancer, or answered by it in the backends' place: neither may have been.
    assert_eq!(agent.stats().unwrap()["drops"], serde_json::json!({}));
}

/// The longest that an exchange took, over connections of which none may have ended.
#[track_caller]
fn longest_exchange(connections: &[Connection]) -> Duration {
    let lost: Vec<_> = connections.iter().filter(|c| c.fate != Fate::Open).collect();
    assert!(lost.is_empty(), "{lost:?}");
    connections.iter().map(|c| c.longest_stall).max().unwrap_or_default()
}

#[test]
fn a_drained_backend_keeps_its_connections_and_gets_no_new_ones() {
    let lab = lab(3);
    let _servers = lab.start_api_servers().unwrap();
    let service = echo(vip6(1), &[lab.cp(1), lab.cp(2), lab.cp(3)]);
    let agent =
        Agent::start_ready(lab.lb(1), &AgentConfig::new(lab.lb(1)).service(service)).unwrap();
    let address = SocketAddr::new(vip6(1), ECHO_PORT);
    let pool = Pool::open(lab.client(), address, 90, Traffic::Every(Duration::from_millis(200)));
    let pool = pool.unwrap();
    let held = pool.servers()["cp-01"];
    assert!(held > 0, "{:?}", pool.servers());
    let client = Client::new(lab.client(), lab.pki()).unwrap();

    agent.command(&["backend", "drain", "echo/cp-01"]).unwrap();
    agent.wait_backend("echo", "cp-01", "drain").unwrap();
    let spread = client.spread(address, 600).unwrap();
    assert_shares(&spread, &[("cp-01", 0.0)], 0.0);
    assert_shares(&spread, &[("cp-02", 50.0), ("cp-03", 50.0)], 12.0);
    let before = pool.connections();
    wait_until("traffic on every connection after the drain", SOON, || {
        pool.connections().iter().zip(&before).all(|(now, then)| now.exchanges > then.exchanges)
    })
    .unwrap();
    agent
        .wait_status("the drained connections to be counted", |status| {
            agent::backend(status, "echo", "cp-01")
                .is_some_and(|backend| backend["connections_active"] == held)
        })
        .unwrap();

    agent.command(&["backend", "ready", "echo/cp-01"]).unwrap();
    agent.wait_backend("echo", "cp-01", "up").unwrap();
    let spread = client.spread(address, 600).unwrap();
    assert_shares(&spread, &[("cp-01", 33.3)], 12.0);
    longest_exchange(&pool.finish().unwrap());
}

#[test]
fn a_weight_is_changed_at_run_time() {
    let lab = lab(2);
    let _servers = lab.start_api_servers().unwrap();
    let service = echo(vip4(1), &[lab.cp(1), lab.cp(2)]);
    let agent =
        Agent::start_ready(lab.lb(1), &AgentConfig::new(lab.lb(1)).service(service)).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let shares = |cp_01: f64, points: f64| {
        let spread = client.spread(SocketAddr::new(vip4(1), ECHO_PORT), 1500).unwrap();
        assert_shares(&spread, &[("cp-01", cp_01), ("cp-02", 100.0 - cp_01)], points);
    };
    // 1,500 draws scatter by 1.3 points; six are more than four times that.
    shares(50.0, 6.0);
    agent.command(&["backend", "weight", "echo/cp-01", "4"]).unwrap();
    shares(80.0, 6.0);
    agent.command(&["backend", "weight", "echo/cp-01", "0"]).unwrap();
    shares(0.0, 0.0);
    agent.command(&["backend", "weight", "echo/cp-01"]).unwrap();
    shares(50.0, 6.0);
    for wrong in [["echo/cp-09", "1"], ["echo/cp-01", "257"]] {
        let error = agent.command(&[&["backend", "weight"][..], &wrong].concat()).unwrap_err();
        assert!(format!("{error:#}").contains("error"), "{error:#}");
    }
    shares(50.0, 6.0);
}

/// Which backends an address of the client's gets, over `count` connections.
fn servers_of(client: &Host, source: IpAddr, url: &str, count: usize) -> BTreeSet<String> {
    let mut arguments = vec!["-sS", "--fail", "--max-time", "20", "-H", "Connection: close"];
    let source = source.to_string();
    arguments.extend(["--interface", &source, "-w", "%header{x-server}\\n"]);
    for _ in 0..count {
        arguments.extend(["-o", "/dev/null", url]);
    }
    let names = client.run("curl", &arguments).expect("every request to be answered");
    assert_eq!(names.lines().count(), count, "{names}");
    names.lines().map(str::to_owned).collect()
}

#[test]
fn client_affinity_keeps_an_address_on_one_backend() {
    let lab = lab(3);
    let _servers = lab.start_api_servers().unwrap();
    let hosts = [lab.cp(1), lab.cp(2), lab.cp(3)];
    let sources = 101..=116u8;
    let mut config = AgentConfig::new(lab.lb(1));
    for (name, vip) in [("sticky-4", vip4(1)), ("sticky-6", vip6(1))] {
        let service = ServiceConfig::new(name, vip, 80, HTTP_PORT, &hosts);
        config = config.service(service.line("affinity = \"client\"").check(&CHECK));
    }
    for n in sources.clone() {
        let v4 = format!("10.47.160.{n}/24");
        lab.client().run("ip", &["addr", "add", &v4, "dev", "eth0"]).unwrap();
        let v6 = format!("fd47:160::{n}/64");
        lab.client().run("ip", &["addr", "add", &v6, "dev", "eth0", "nodad"]).unwrap();
    }
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    for (vip, prefix) in [(vip4(1), "10.47.160."), (vip6(1), "fd47:160::")] {
        let url = format!("http://{}/version", SocketAddr::new(vip, 80));
        let mut all = BTreeSet::new();
        for n in sources.clone() {
            let source: IpAddr = format!("{prefix}{n}").parse().unwrap();
            let servers = servers_of(lab.client(), source, &url, 6);
            assert_eq!(servers.len(), 1, "{source} got {servers:?}");
            all.extend(servers);
        }
        assert_eq!(all.len(), 3, "16 addresses got {all:?}");
    }
    // Without affinity the same address gets several: the test above could have failed.
    for service in &mut config.services {
        service.lines.clear();
    }
    agent.reload(&config).unwrap();
    let url = format!("http://{}/version", SocketAddr::new(vip4(1), 80));
    let servers = servers_of(lab.client(), lab.client().ipv4().into(), &url, 24);
    assert!(servers.len() > 1, "{servers:?}");
}
