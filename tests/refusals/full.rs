//! A full table of flows, and backends that nobody knows the way to.

use std::time::Duration;

use lb_tests::{
    agent::{Agent, backend},
    agent_config::BackendConfig,
    client::{
        Client,
        pool::{Fate, Pool, Traffic},
    },
    lab::ECHO_PORT,
    wait::{SOON, wait_until},
};

use crate::attempt::{config, lab, vip};

#[test]
fn a_full_table_refuses_new_connections_and_keeps_the_others() {
    let (lab, _servers) = lab(2);
    let mut config = config(&lab);
    config.node.push("max_connections = 64".to_owned());
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let every = Traffic::Every(Duration::from_millis(50));
    let pool = Pool::open(lab.client(), vip(), 64, every).unwrap();
    let spread = client.spread(vip(), 20).unwrap();
    assert!(spread.servers.is_empty(), "{spread:?}");
    assert!(spread.failures.keys().all(|why| why.contains("reset by peer")), "{spread:?}");
    let drops = agent.stats().unwrap()["drops"].clone();
    assert!(drops["refused_table_full"].as_u64() >= Some(20), "{drops}");
    agent
        .wait_status("a full table", |status| {
            status["table"]["connections"] == 64 && status["table"]["capacity"] == 64
        })
        .unwrap();
    let text = agent.command(&["status"]).unwrap();
    assert!(text.contains("64 of 64 connections"), "{text}");
    let exchanges = pool.exchanges();
    wait_until("traffic beside a full table", SOON, || pool.exchanges() > exchanges + 640).unwrap();
    assert!(pool.finish().unwrap().iter().all(|connection| connection.fate == Fate::Open));
    wait_until("room for new connections", SOON, || {
        client.spread(vip(), 20).unwrap().failures.is_empty()
    })
    .unwrap();
}

#[test]
fn a_backend_without_a_way_is_shown_and_the_others_serve() {
    let (lab, _servers) = lab(2);
    let mut config = config(&lab);
    // Nobody has the first, and no route leads to the second.
    for (name, address) in [("absent", "10.47.160.200"), ("unrouted", "203.0.113.7")] {
        let address = address.parse().unwrap();
        let backend = BackendConfig { name: name.to_owned(), address, port: ECHO_PORT, weight: 1 };
        config.services[0].backends.push(backend);
    }
    let agent = Agent::start(lab.lb(1), &config).unwrap();
    for name in ["absent", "unrouted"] {
        agent
            .wait_status(&format!("{name} to be given up"), |status| {
                let backend = backend(status, "echo", name).unwrap();
                backend["state"] == "down"
                    && backend["resolved"] == false
                    && backend["in_rotation"] == false
                    && backend["check"]["result"] == "failed"
            })
            .unwrap();
    }
    for name in ["cp-01", "cp-02"] {
        agent.wait_backend("echo", name, "up").unwrap();
    }
    let text = agent.command(&["status"]).unwrap();
    assert_eq!(text.matches("; next hop unresolved").count(), 2, "{text}");
    for said in ["no way to `10.47.160.200`", "no way to `203.0.113.7`"] {
        wait_until(&format!("the log to say `{said}`"), SOON, || agent.log().contains(said))
            .unwrap();
    }
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let spread = client.spread(vip(), 100).unwrap();
    assert_eq!((spread.servers.len(), spread.failures.len()), (2, 0), "{spread:?}");
}
