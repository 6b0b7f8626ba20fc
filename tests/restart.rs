//! The data plane outlives its agent: crashes, restarts, refused reloads, and the end of it all.
//! Needs root.
#![expect(clippy::print_stdout, reason = "measured figures are told, not asserted")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use lb_agent::datapath::maps::Maps;
use lb_tests::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig, https_check},
    client::{
        drip::{Drip, ask},
        pool::{Fate, Pool, Traffic},
    },
    lab::{API_PORT, ECHO_PORT, Host, Lab, Options, Process, topology},
    wait::{SOON, wait_until},
};
use nix::sys::signal::Signal;

const EVERY: Traffic = Traffic::Every(Duration::from_millis(50));
/// Busy ones of each family.
const CONNECTIONS: usize = 100;

struct Bed {
    agent: Agent,
    _servers: Vec<Process>,
    lab: Lab,
}

fn config(lab: &Lab) -> AgentConfig {
    let backends: Vec<&Host> = lab.backends().collect();
    let echo = |name, vip: IpAddr| {
        ServiceConfig::new(name, vip, ECHO_PORT, ECHO_PORT, &backends)
            .check(&https_check(&lab.pki().ca_file()))
            .check(&[format!("port = {API_PORT}")])
            .check(&["interval = \"200ms\"", "timeout = \"1s\"", "rise = 2", "fall = 3"])
    };
    AgentConfig::new(lab.lb(1))
        .service(echo("echo", topology::vip4(1)))
        .service(echo("echo-6", topology::vip6(1)))
}

fn bed() -> Bed {
    let lab = Lab::with(&Options { balancers: 1, ..Options::default() }).unwrap();
    let servers = lab.start_api_servers().unwrap();
    let agent = Agent::start_ready(lab.lb(1), &config(&lab)).unwrap();
    Bed { agent, _servers: servers, lab }
}

fn vips() -> [SocketAddr; 2] {
    [topology::vip4(1), topology::vip6(1)].map(|vip| SocketAddr::new(vip, ECHO_PORT))
}

/// Ids in the maps, by what they stand for.
fn ids(pin_dir: &Path) -> BTreeMap<String, u16> {
    let contents = Maps::open(pin_dir).unwrap().contents().unwrap();
    let services = contents.services.iter().map(|(key, service)| {
        (format!("service {}:{}", IpAddr::from(key.vip), key.port.get()), service.id)
    });
    let backends = contents.backends.iter().map(|(id, backend)| {
        let address = IpAddr::from(backend.address);
        (format!("{address}:{} of service {}", backend.port.get(), backend.service), *id)
    });
    services.chain(backends).collect()
}

/// `connections_total` of each service.
fn totals(agent: &Agent) -> [u64; 2] {
    let stats = agent.stats().unwrap();
    [0, 1].map(|n| stats["services"][n]["connections_total"].as_u64().unwrap())
}

fn packets(agent: &Agent) -> u64 {
    let stats = agent.stats().unwrap();
    (0..2).map(|n| stats["services"][n]["packets_in"].as_u64().unwrap()).sum()
}

/// Segments that the client sent again, for whatever reason.
fn resent(client: &Host) -> u64 {
    let snmp = client.in_netns(|| fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
    let snmp = snmp.unwrap();
    let mut tcp = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let names = tcp.next().unwrap().split_whitespace();
    let (_, value) = names
        .zip(tcp.next().unwrap().split_whitespace())
        .find(|(name, _)| *name == "RetransSegs")
        .unwrap();
    value.parse().unwrap()
}

fn outlives(signal: Signal) {
    let Bed { mut agent, lab, _servers } = bed();
    let open = |vip, count, traffic| Pool::open(lab.client(), vip, count, traffic).unwrap();
    let busy = vips().map(|vip| open(vip, CONNECTIONS, EVERY));
    let idle = vips().map(|vip| open(vip, 20, Traffic::Idle));
    let drips = vips().map(|vip| Drip::start(lab.client(), vip, 2, Duration::from_millis(20)));
    let held = ids(agent.pin_dir());
    assert_eq!(held.len(), 2 + 2 * lab.backends().count(), "{held:?}");
    let (resent_before, before) = (resent(lab.client()), agent.stats().unwrap()["drops"].clone());

    agent.kill(signal).unwrap();
    let status = agent.wait(SOON).unwrap();
    assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}");
    let dead = Instant::now();
    for (drip, pool) in drips.iter().zip(&busy) {
        drip.wait(dead, 100).unwrap();
        let exchanges = pool.exchanges();
        wait_until("traffic without an agent", SOON, || {
            pool.exchanges() > exchanges + 10 * CONNECTIONS as u64
        })
        .unwrap();
    }
    let seen = (packets(&agent), totals(&agent));
    let flows = agent.flows().unwrap();
    let established =
        flows.as_array().unwrap().iter().filter(|flow| flow["state"] == "established").count();
    assert!(established >= 2 * (CONNECTIONS + 20), "{established}");
    for table in ["stats", "flows"] {
        let text = agent.command(&[table]).unwrap();
        assert!(text.contains("10.47.160.11:7000") || text.contains("cp-01"), "{text}");
    }
    let error = format!("{:#}", agent.status().unwrap_err());
    assert!(error.contains("no agent answers at"), "{error}");
    let alone = dead.elapsed();

    agent.restart().unwrap();
    agent.wait_ready().unwrap();
    let back = Instant::now();
    assert_eq!(ids(agent.pin_dir()), held);
    assert!(packets(&agent) >= seen.0 && totals(&agent) >= seen.1, "counters went back");
    drips.iter().for_each(|drip| drip.wait(back, 100).unwrap());

    // Every connection was answered, and counted once, whoever ran then.
    let mut made = [CONNECTIONS as u64 + 20; 2];
    for (drip, made) in drips.into_iter().zip(&mut made) {
        let attempts = drip.finish().unwrap();
        let failed: Vec<_> = attempts.iter().filter(|a| a.answer.is_err()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        *made += attempts.len() as u64;
    }
    wait_until("the counts to meet", SOON, || totals(&agent) == made).unwrap();
    assert_eq!(agent.stats().unwrap()["drops"], before);
    let mut stall = Duration::ZERO;
    for pool in busy.into_iter().chain(idle) {
        for connection in pool.finish().unwrap() {
            assert_eq!(connection.fate, Fate::Open, "{connection:?}");
            stall = stall.max(connection.longest_stall);
        }
    }
    let resent = resent(lab.client()) - resent_before;
    println!(
        "{signal}: {alone:.1?} without an agent, {} new connections, longest exchange \
         {stall:.0?}, {resent} segments sent again",
        made[0] + made[1]
    );
}

#[test]
fn the_data_plane_outlives_a_killed_agent() {
    outlives(Signal::SIGKILL);
}

#[test]
fn the_data_plane_outlives_a_stopped_agent() {
    outlives(Signal::SIGTERM);
}

#[test]
fn a_reload_that_fails_changes_nothing_and_says_why() {
    let Bed { mut agent, lab, _servers } = bed();
    let pool = Pool::open(lab.client(), vips()[0], CONNECTIONS, EVERY).unwrap();
    let good = config(&lab).to_toml();
    let (held, file) = (ids(agent.pin_dir()), agent.config_file().to_path_buf());
    let line_of = |text: &str, what: &str| {
        text.lines().position(|line| line.contains(what)).map(|n| n + 1).unwrap()
    };
    let cases = [
        ("weight = 1", "weight = 1000", "`weight` is `1000`"),
        ("rise = 2", "raise = 2", "unknown key `raise`"),
        ("address = \"10.47.160.11\"", "address = \"10.47.160.311\"", "`10.47.160.311`"),
        ("[service.check]", "[service.check", "not valid TOML"),
    ];
    for (from, to, said) in cases {
        let bad = good.replacen(from, to, 1);
        fs::write(&file, &bad).unwrap();
        let output = agent.output(&["reload"]).unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        let place = format!("{}:{}", file.display(), line_of(&bad, to));
        for part in [place.as_str(), said, "hint: "] {
            assert!(text.contains(part), "no `{part}` in: {text}");
        }
        assert_eq!(ids(agent.pin_dir()), held);
        // The commands of a running agent must work beside a file that it would not take.
        agent.wait_ready().unwrap();
    }
    agent.kill(Signal::SIGHUP).unwrap();
    wait_until("the log to tell of the refused reload", SOON, || {
        let log = agent.log();
        log.contains("not reloaded, nothing has changed") && log.contains("not valid TOML")
    })
    .unwrap();
    assert!(agent.is_running());

    fs::write(&file, good.replace("name = \"lb-01\"", "name = \"another\"")).unwrap();
    let output = agent.output(&["reload"]).unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("`[node]` has changed"), "{text}");

    fs::write(&file, &good).unwrap();
    agent.command(&["reload"]).unwrap();
    assert_eq!(ids(agent.pin_dir()), held);
    assert!(pool.finish().unwrap().iter().all(|connection| connection.fate == Fate::Open));
}

#[test]
fn unload_leaves_nothing() {
    let Bed { mut agent, lab, _servers } = bed();
    let balancer = lab.lb(1);
    let shown = || balancer.run("ip", &["-d", "address", "show", "eth0"]).unwrap();
    let served = |vip| lab.client().in_netns(|| ask(vip).is_ok()).unwrap();
    for part in ["xdp", "10.47.160.50/32", "fd47:160::50/128"] {
        assert!(shown().contains(part), "no `{part}` in: {}", shown());
    }
    assert!(vips().into_iter().all(served));
    // Not under a running agent, which would go on as if it served.
    let error = format!("{:#}", agent.command(&["unload"]).unwrap_err());
    assert!(error.contains("an agent is running at") && error.contains("hint: "), "{error}");
    assert!(vips().into_iter().all(served));
    agent.kill(Signal::SIGTERM).unwrap();
    agent.wait(SOON).unwrap();

    let told = agent.command(&["unload"]).unwrap();
    for part in ["removed", agent.pin_dir().to_str().unwrap(), "10.47.160.50", "fd47:160::50"] {
        assert!(told.contains(part), "no `{part}` in: {told}");
    }
    assert_eq!(fs::read_dir(agent.pin_dir()).unwrap().count(), 0);
    wait_until("the program to be detached", SOON, || !shown().contains("xdp")).unwrap();
    assert!(!shown().contains("10.47.160.50") && !shown().contains("fd47:160::50"), "{}", shown());
    // Neighbours that remember the VIP's station get no answer, others find nobody.
    let patience = Duration::from_secs(1);
    let connects = |vip: SocketAddr| {
        let connect = || TcpStream::connect_timeout(&vip, patience).is_ok();
        lab.client().in_netns(connect).unwrap()
    };
    assert!(!vips().into_iter().any(connects));
    let error = format!("{:#}", agent.stats().unwrap_err());
    assert!(error.contains("nothing is pinned in"), "{error}");
    agent.command(&["unload"]).unwrap();

    agent.restart().unwrap();
    agent.wait_ready().unwrap();
    assert!(vips().into_iter().all(served));
}
