//! Leases in the kernel: who asks for a VIP gets an answer while this node holds it. And whether
//! the program is there at all. Needs root.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lb_agent::{
    datapath::{
        leases::{FOR_EVER, Leases, NEVER},
        pins::Pins,
        presence::attached,
        reaper::Reaper,
    },
    vrrp::{clock, time::Time},
};
use lb_tests::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig},
    claims::Claims,
    client::drip::ask,
    lab::{ECHO_PORT, Host, Lab, Options, Process, topology},
    wait::{SOON, wait_until},
};
use nix::sys::signal::Signal;

struct Bed {
    agent: Agent,
    leases: Leases,
    _servers: Vec<Process>,
    lab: Lab,
}

fn bed() -> Bed {
    let lab =
        Lab::with(&Options { backends: 1, balancers: 1, observer: true, ..Options::default() })
            .unwrap();
    let servers = lab.start_api_servers().unwrap();
    let backends: Vec<&Host> = lab.backends().collect();
    let echo = |name, vip: IpAddr| {
        ServiceConfig::new(name, vip, ECHO_PORT, ECHO_PORT, &backends).check(&[
            "type = \"tcp\"",
            "interval = \"200ms\"",
            "timeout = \"1s\"",
        ])
    };
    let [vip4, vip6] = vips();
    let config = AgentConfig::new(lab.lb(1)).service(echo("four", vip4)).service(echo("six", vip6));
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    let leases = Leases::open(agent.pin_dir()).unwrap();
    Bed { agent, leases, _servers: servers, lab }
}

fn vips() -> [IpAddr; 2] {
    [topology::vip4(1), topology::vip6(1)]
}

impl Bed {
    fn reaches(&self, vip: IpAddr) -> bool {
        let asked = self.lab.client().in_netns(|| ask(SocketAddr::new(vip, ECHO_PORT)));
        asked.unwrap().is_ok()
    }

    /// Whether somebody who asks for the VIP gets an answer. Not a client: one that asks learns from
    /// the agent's announcements, too.
    fn answers(&self, vip: IpAddr) -> bool {
        let claims = Claims::start(self.lab.host("observer"), vip);
        !claims.settled_owners(&[]).unwrap()
    }

    fn claims_over(&self) -> u64 {
        self.agent.stats().unwrap()["drops"]["claim_over"].as_u64().unwrap_or(0)
    }

    /// Whether a client is served when it and the backend know the way to the VIP.
    fn is_served(&self, vip: IpAddr) -> bool {
        let told = self.lab.lb(1).run("ip", &["-o", "link", "show", "eth0"]).unwrap();
        let mac = told.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
        let vip_text = vip.to_string();
        let place = [&vip_text, "dev", "eth0"];
        let known = [&["neigh", "replace"], &place[..], &["lladdr", mac, "nud", "permanent"]];
        let hosts = || self.lab.backends().chain([self.lab.client()]);
        hosts().for_each(|host| drop(host.run("ip", &known.concat()).unwrap()));
        let served = self.reaches(vip);
        let forgotten = [&["neigh", "del"], &place[..]].concat();
        hosts().for_each(|host| drop(host.run("ip", &forgotten).unwrap()));
        served
    }
}

#[test]
fn a_lease_decides_who_answers() {
    let mut bed = bed();
    assert_eq!(bed.leases.all().unwrap(), []);
    for vip in vips() {
        assert!(bed.answers(vip), "{vip} without a lease");
        let now = clock::now();
        for (deadline, claims) in [
            (NEVER, false),
            (FOR_EVER, true),
            (now, false),
            (now + Duration::from_secs(3600), true),
            (NEVER, false),
        ] {
            bed.leases.set(vip, deadline, 7).unwrap();
            assert_eq!(bed.leases.get(vip).unwrap(), Some((deadline, 7)));
            assert_eq!(bed.leases.all().unwrap(), [(vip, deadline)]);
            let before = bed.claims_over();
            assert_eq!(bed.answers(vip), claims, "{vip} until {deadline:?}");
            assert_eq!(bed.claims_over() > before, !claims, "{vip} until {deadline:?}");
            assert!(bed.is_served(vip), "{vip} until {deadline:?}");
        }
        bed.leases.remove(vip).unwrap();
        bed.leases.remove(vip).unwrap();
        assert_eq!(bed.leases.get(vip).unwrap(), None);
        assert!(bed.answers(vip), "{vip} without a lease again");
    }
}

#[test]
fn a_lease_ends_without_the_agent() {
    let mut bed = bed();
    for vip in vips() {
        bed.leases.set(vip, clock::now() + Duration::from_secs(4), 0).unwrap();
    }
    bed.agent.kill(Signal::SIGKILL).unwrap();
    bed.agent.wait(SOON).unwrap();
    for vip in vips() {
        wait_until("the lease to end", SOON, || !bed.answers(vip)).unwrap();
        assert!(bed.is_served(vip));
    }
    assert_eq!(bed.leases.all().unwrap().len(), 2);
    bed.agent.restart().unwrap();
    assert_eq!(bed.leases.all().unwrap(), [], "no virtual router holds these VIPs");

    bed.agent.kill(Signal::SIGTERM).unwrap();
    bed.agent.wait(SOON).unwrap();
    bed.agent.command(&["unload"]).unwrap();
    assert!(Leases::open(bed.agent.pin_dir()).is_err());
    assert!(!bed.agent.pin_dir().join("leases").is_symlink());
}

#[test]
fn the_agent_and_the_program_read_the_same_clock() {
    let bed = bed();
    let mut reaper = Reaper::open(&Pins::at(bed.agent.pin_dir())).unwrap();
    let before = clock::now();
    let programs = Time::from_nanos(reaper.clock().unwrap().monotonic.as_nanos() as u64);
    let after = clock::now();
    assert!(before <= programs && programs <= after, "{before:?} {programs:?} {after:?}");
}

#[test]
fn a_program_that_was_taken_away_is_missed() {
    let mut bed = bed();
    let pin_dir = bed.agent.pin_dir().to_owned();
    let balancer = bed.lab.lb(1).clone();
    let names = ["eth0", "eth7"].map(str::to_owned);
    let on_eth0 = || {
        let found = balancer.in_netns(|| attached(&pin_dir, &names).unwrap()).unwrap();
        let [(eth0, here), (eth7, there)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((eth0.as_str(), eth7.as_str(), *there), ("eth0", "eth7", false));
        *here
    };
    assert!(on_eth0());
    let link = Pins::at(&pin_dir).link("eth0", true);
    // The kernel keeps the hook for the link.
    assert!(balancer.run("ip", &["link", "set", "dev", "eth0", "xdp", "off"]).is_err());
    assert!(on_eth0());
    balancer.run("bpftool", &["link", "detach", "pinned", link.to_str().unwrap()]).unwrap();
    assert!(!on_eth0());

    bed.agent.kill(Signal::SIGTERM).unwrap();
    bed.agent.wait(SOON).unwrap();
    bed.agent.restart().unwrap();
    assert!(on_eth0(), "a start attaches it again");
    std::fs::remove_file(&link).unwrap();
    assert!(!on_eth0());

    bed.agent.kill(Signal::SIGTERM).unwrap();
    bed.agent.wait(SOON).unwrap();
    bed.agent.restart().unwrap();
    assert!(on_eth0());
    balancer.run("ip", &["link", "del", "eth0"]).unwrap();
    assert!(!on_eth0());
}
