//! The lab itself: what it promises to the tests that stand in it. Needs root.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lb_tests::{
    capture::Capture,
    client::{
        Client,
        pool::{Fate, Pool, Traffic},
    },
    lab::{API_PORT, ECHO_PORT, Host, Lab, Options, UDP_PORT, Verdict, crash, registry},
    wait::{SOON, wait_for, wait_until},
};

fn small() -> Options {
    Options { backends: 1, balancers: 1, ..Options::default() }
}

fn both(host: &Host, port: u16) -> [SocketAddr; 2] {
    [host.ipv4().into(), host.ipv6().into()].map(|ip: IpAddr| SocketAddr::new(ip, port))
}

fn reaches(from: &Host, to: SocketAddr) -> bool {
    let connect = || std::net::TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_ok();
    from.in_netns(connect).expect("a host of a standing lab can be entered")
}

#[test]
fn two_labs_stand_side_by_side_and_leave_nothing() {
    let life = || {
        let lab = Lab::new().unwrap();
        let server = lab.start_api_server(lab.cp(1)).unwrap();
        let client = Client::new(lab.client(), lab.pki()).unwrap();
        for address in both(lab.cp(1), API_PORT) {
            let answer = client.get(address, "/readyz").unwrap();
            assert_eq!((answer.status, &*answer.server, &*answer.body), (200, "cp-01", "ok"));
        }
        (lab, server)
    };
    let (first, second) = thread::scope(|scope| {
        let (first, second) = (scope.spawn(life), scope.spawn(life));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_ne!(first.0.id(), second.0.id());
    for (lab, server) in [first, second] {
        let (id, pid) = (lab.id().to_owned(), server.id());
        assert!(registry::namespaces(&id).len() == 7, "six hosts and the net");
        assert!(registry::processes(&id).contains(&pid));
        let mode = fs::metadata(lab.pki().key("cp-01")).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        // The lab ends before the process's handle: it must find the process by itself.
        drop(lab);
        assert_eq!(registry::namespaces(&id), [""; 0]);
        assert!(!registry::dir(&id).exists() && !registry::pins(&id).exists());
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn an_api_server_answers_as_tests_need_it() {
    let lab = Lab::with(&small()).unwrap();
    let mut server = lab.start_api_server(lab.cp(1)).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let [api, api6] = both(lab.cp(1), API_PORT);
    assert!(client.get(api, "/version").unwrap().body.contains("\"gitVersion\""));
    assert_eq!(client.post(api6, "/echo", b"as it came").unwrap().body, "as it came");
    assert_eq!(client.get(api, "/nowhere").unwrap().status, 404);

    assert_eq!(client.post(api, "/lab/ready?value=false", b"").unwrap().status, 200);
    assert_eq!(client.get(api, "/readyz").unwrap().status, 500);
    assert_eq!(client.get(api, "/livez").unwrap().status, 200);
    server.kill(nix::sys::signal::Signal::SIGUSR1).unwrap();
    wait_until("SIGUSR1 to make it ready again", SOON, || {
        client.get(api, "/readyz").unwrap().status == 200
    })
    .unwrap();

    for address in both(lab.cp(1), UDP_PORT) {
        assert_eq!(client.udp(address, "hello").unwrap(), "cp-01 hello");
    }
    let mut command = lab.client().command("curl");
    command.args(["-sN", "--cacert"]).arg(lab.pki().ca_file());
    command.arg(format!("https://{api}/watch?interval=10ms")).stdout(Stdio::piped());
    let mut watch = command.spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().take(5);
    let last = lines.map(Result::unwrap).last().unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(last.contains("\"sequence\":5"), "{last}");
    assert!(server.terminate().unwrap().success());
}

#[test]
fn a_server_that_cannot_start_says_so() {
    let lab = Lab::with(&small()).unwrap();
    let _first = lab.start_api_server(lab.cp(1)).unwrap();
    // The second finds the port taken, while the first goes on answering.
    let mut second = lab.cp(1).command(lb_tests::lab::program("lb-apiserver").unwrap());
    second.args(["--name", "second", "--http", &format!("0.0.0.0:{API_PORT}")]);
    let mut second = lab.cp(1).spawn("second", second).unwrap();
    assert!(!second.wait(SOON).unwrap().success());
    assert!(second.log().contains("failed to listen on 0.0.0.0:6443"), "{}", second.log());
    assert!(lab.logs(5).contains("failed to listen on 0.0.0.0:6443"));
    assert!(second.kill(nix::sys::signal::Signal::SIGTERM).is_err());
}

#[test]
fn ten_thousand_connections_are_all_answered() {
    let lab = Lab::with(&small()).unwrap();
    let _server = lab.start_api_server(lab.cp(1)).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let [echo, _] = both(lab.cp(1), ECHO_PORT);
    let spread = client.spread(echo, 10_000).unwrap();
    assert_eq!(spread.servers, BTreeMap::from([("cp-01".to_owned(), 10_000)]));
    assert_eq!(spread.failures, BTreeMap::new());
}

#[test]
fn a_router_leads_to_the_far_network() {
    let lab = Lab::with(&Options { router: true, ..small() }).unwrap();
    let far = lab.host("far-01");
    let _server = lab.start_api_server(far).unwrap();
    for from in [lab.lb(1), lab.client(), lab.host("far-client")] {
        let client = Client::new(from, lab.pki()).unwrap();
        for address in both(far, API_PORT) {
            assert_eq!(client.get(address, "/readyz").unwrap().server, "far-01", "{}", from.name());
        }
    }
    let route = lab.lb(1).run("ip", &["route", "get", "10.47.170.21"]).unwrap();
    assert!(route.contains("via 10.47.160.1 dev eth0"), "{route}");
}

#[test]
fn a_back_segment_is_reached_by_the_second_interface() {
    let lab = Lab::with(&Options { back_segment: true, ..small() }).unwrap();
    let _server = lab.start_api_server(lab.cp(1)).unwrap();
    assert_eq!(lab.lb(1).interfaces(), ["eth0", "eth1"]);
    assert_eq!(lab.cp(1).ipv4().to_string(), "10.47.161.11");
    for address in both(lab.cp(1), API_PORT) {
        assert!(reaches(lab.lb(1), address));
    }
    let route = lab.cp(1).run("ip", &["route", "get", "10.47.160.50"]).unwrap();
    assert!(route.contains("via 10.47.161.5 dev eth0"), "{route}");
}

#[test]
fn hosts_are_cut_off_and_come_back() {
    let lab = Lab::with(&Options { backends: 2, ..small() }).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let both_reach = |expected: bool| {
        for address in both(lab.cp(1), API_PORT) {
            assert_eq!(reaches(lab.client(), address), expected, "{address}");
        }
    };
    both_reach(true);
    lab.cut(lab.cp(1)).unwrap();
    both_reach(false);
    lab.heal(lab.cp(1)).unwrap();
    wait_for("the healed host", SOON, || {
        both_reach(true);
        Ok(())
    })
    .unwrap();
    let flags = || lab.cp(1).run("ip", &["link", "show", "eth0"]).unwrap();
    assert!(flags().contains("LOWER_UP"));
    lab.plug(lab.cp(1), false).unwrap();
    wait_until("the carrier to go", SOON, || flags().contains("NO-CARRIER")).unwrap();
    lab.plug(lab.cp(1), true).unwrap();
    wait_until("the carrier to come back", SOON, || flags().contains("LOWER_UP")).unwrap();

    lab.cp(1).link_down("eth0").unwrap();
    both_reach(false);
    lab.cp(1).link_up("eth0").unwrap();
    let [_, api6] = both(lab.cp(1), API_PORT);
    wait_until("IPv6 on a link taken up again", SOON, || reaches(lab.client(), api6)).unwrap();

    for host in [lab.cp(1), lab.cp(2)] {
        host.flush_neighbours().unwrap();
        lab.isolate(host, true).unwrap();
    }
    both_reach(true);
    assert!(!reaches(lab.cp(2), both(lab.cp(1), API_PORT)[0]));
    lab.isolate(lab.cp(2), false).unwrap();
    wait_until("the two to meet again", SOON, || reaches(lab.cp(2), both(lab.cp(1), API_PORT)[0]))
        .unwrap();
}

/// A broadcast comes to a bystander twice, once reflected, only if frames that XDP sends back
/// into the balancer's wire arrive at the bridge at once.
#[test]
fn frames_that_xdp_sends_back_arrive() {
    let lab = Lab::with(&small()).unwrap();
    // Any frame of its own would wake the wire's other end, and multicast reports come at random.
    let quiet = || fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    lab.lb(1).in_netns(quiet).unwrap().unwrap();
    lab.lb(1).attach_xdp("eth0", Verdict::Tx).unwrap();
    let error = lab.lb(1).attach_xdp("eth0", Verdict::Pass).unwrap_err();
    assert!(format!("{error:#}").contains("eth0"), "{error:#}");
    let capture = Capture::start(lab.cp(1), "eth0", "udp port 9").unwrap();
    let broadcast = || -> std::io::Result<usize> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        socket.send_to(b"once", "10.47.160.255:9")
    };
    assert_eq!(lab.client().in_netns(broadcast).unwrap().unwrap(), 4);
    wait_until("an original and its reflection", SOON, || capture.packets().unwrap().len() >= 2)
        .unwrap();
    let seen = capture.stop().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].data, seen[1].data);
    lab.lb(1).detach_xdp("eth0").unwrap();
    lab.lb(1).attach_xdp("eth0", Verdict::Pass).unwrap();
}

#[test]
fn a_capture_holds_every_packet() {
    let lab = Lab::with(&small()).unwrap();
    let _server = lab.start_api_server(lab.cp(1)).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let capture = Capture::start(lab.client(), "eth0", "udp port 7001").unwrap();
    let address = both(lab.cp(1), UDP_PORT)[1];
    for n in 0..100 {
        client.udp(address, &n.to_string()).unwrap();
    }
    let packets = capture.stop().unwrap();
    let towards = packets.iter().filter(|p| p.endpoints().unwrap().1 == address).count();
    assert_eq!((packets.len(), towards), (200, 100));
}

/// Checksums are whole when a packet leaves its host, so that whoever rewrites it can trust them.
#[test]
fn checksums_and_sizes_are_as_a_card_would_send_them() {
    let lab = Lab::with(&small()).unwrap();
    let _server = lab.start_api_server(lab.cp(1)).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    let capture = Capture::start(lab.cp(1), "eth0", "tcp port 6443").unwrap();
    let body = vec![b'x'; 200_000];
    for address in both(lab.cp(1), API_PORT) {
        assert_eq!(client.post(address, "/echo", &body).unwrap().body.len(), body.len());
    }
    let packets = capture.stop().unwrap();
    assert!(packets.iter().all(|packet| packet.length <= 1514));
    assert!(packets.iter().any(|packet| packet.tcp_flags().unwrap().syn));
    let file = lab.cp(1).file("eth0.1.pcap");
    let shown = lab.cp(1).run("tcpdump", &["-Z", "root", "-nvvr", file.to_str().unwrap()]).unwrap();
    assert!(shown.contains("(correct)") && !shown.contains("(incorrect"), "{shown}");
}

#[test]
fn a_pool_tells_what_became_of_each_connection() {
    let lab = Lab::with(&Options { backends: 2, ..small() }).unwrap();
    let mut servers = lab.start_api_servers().unwrap();
    let every = Traffic::Every(Duration::from_millis(50));
    let [_, echo6] = both(lab.cp(1), ECHO_PORT);
    let busy = Pool::open(lab.client(), echo6, 200, every).unwrap();
    let idle = Pool::open(lab.client(), echo6, 20, Traffic::Idle).unwrap();
    let other = Pool::open(lab.client(), both(lab.cp(2), ECHO_PORT)[0], 20, every).unwrap();
    assert_eq!(busy.servers(), BTreeMap::from([("cp-01".to_owned(), 200)]));
    wait_until("some traffic", SOON, || busy.exchanges() > 1000).unwrap();
    assert_eq!(busy.fates(), BTreeMap::from([(Fate::Open, 200)]));
    crash(&mut servers[0]).unwrap();
    wait_until("all connections to end", SOON, || {
        !busy.fates().contains_key(&Fate::Open) && !idle.fates().contains_key(&Fate::Open)
    })
    .unwrap();
    assert!(busy.finish().unwrap().iter().all(|c| c.ended.is_some() && c.local.is_some()));
    let others = other.finish().unwrap();
    assert!(others.iter().all(|c| c.fate == Fate::Open && c.exchanges > 0));
    // A dead server's port is refused, and the pool says what it could not do.
    let error = Pool::open(lab.client(), echo6, 1, Traffic::Idle).unwrap_err();
    assert!(format!("{error:#}").contains("refused"), "{error:#}");
}

const CRASHING: &str = "LB_TEST_CRASHING_LAB";

/// Not a test of its own: the process that [`a_crashed_lab_is_collected`] kills.
#[test]
fn hold_a_lab_until_killed() {
    let Ok(id) = env::var(CRASHING) else { return };
    let lab = Lab::named(&id, &small()).unwrap();
    let mut sleep = lab.client().command("sleep");
    sleep.arg("1000");
    let sleeper = lab.client().spawn("sleep", sleep).unwrap();
    fs::write(lab.dir().join("sleeper"), sleeper.id().to_string()).unwrap();
    // Ends when it is killed, or when the test is no more.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_crashed_lab_is_collected_by_the_next() {
    let id = format!("crash{}", std::process::id());
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "hold_a_lab_until_killed"])
        .env(CRASHING, &id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let sleeper = wait_for("the lab to stand", SOON, || {
        Ok(fs::read_to_string(registry::dir(&id).join("sleeper"))?.parse::<u32>()?)
    })
    .unwrap();
    let _bystander = Lab::with(&small()).unwrap();
    assert!(!registry::namespaces(&id).is_empty(), "the owner lives, so it stays");
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(Path::new(&format!("/proc/{sleeper}")).exists(), "the crash left a process");

    let _next = Lab::with(&small()).unwrap();
    assert_eq!(registry::namespaces(&id), [""; 0]);
    assert!(!registry::dir(&id).exists() && !registry::pins(&id).exists());
    assert_eq!(registry::processes(&id), [0u32; 0]);
    wait_until("the process to be gone", SOON, || {
        let state = fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    })
    .unwrap();
}
