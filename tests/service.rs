//! Real clients and servers through the VIP, over IPv4 and IPv6. Needs root.

use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use lb_tests::{
    agent::Agent,
    agent_config::{AgentConfig, ServiceConfig},
    client::Client,
    lab::{
        API_PORT, ECHO_PORT, Host, Lab, Options, Process, UDP_PORT,
        topology::{vip4, vip6},
    },
    wait::{SOON, wait_for},
};

const CHECK: [&str; 3] = ["interval = \"200ms\"", "timeout = \"2s\"", "rise = 1"];

fn vips() -> [IpAddr; 2] {
    [vip4(1), vip6(1)]
}

/// The API service of both families on lb-01, all of whose backends are up.
fn api_on_both(lab: &Lab, backends: &[&Host]) -> Agent {
    let mut config = AgentConfig::new(lab.lb(1));
    for vip in vips() {
        config = config.service(ServiceConfig::api(lab, vip, backends));
    }
    Agent::start_ready(lab.lb(1), &config).expect("an agent whose backends are all up")
}

fn family(name: &str, vip: IpAddr) -> String {
    format!("{name}-{}", if vip.is_ipv4() { 4 } else { 6 })
}

#[test]
fn curl_and_kubectl_reach_readyz_through_the_vip() {
    let lab = Lab::with(&Options { balancers: 1, ..Options::default() }).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let _agent = api_on_both(&lab, &[lab.cp(1), lab.cp(2), lab.cp(3)]);
    let (ca, pki) = (lab.pki().ca_file(), lab.pki());
    for vip in vips() {
        let server = format!("https://{}", SocketAddr::new(vip, API_PORT));
        let arguments = ["-sS", "--max-time", "20", "--cacert", ca.to_str().unwrap()];
        let url = format!("{server}/readyz");
        let body = lab.client().run("curl", &[&arguments[..], &[&url]].concat()).unwrap();
        assert_eq!(body, "ok", "{url}");

        let mut kubectl = lab.client().command("kubectl");
        kubectl
            .arg(format!("--server={server}"))
            .arg(format!("--certificate-authority={}", ca.display()))
            .arg(format!("--client-certificate={}", pki.certificate("client").display()))
            .arg(format!("--client-key={}", pki.key("client").display()))
            .args(["--request-timeout=20s", "get", "--raw", "/readyz"])
            // Nobody's own configuration: the command line says it all.
            .env("KUBECONFIG", "/dev/null")
            .env("HOME", lab.dir());
        assert_eq!(output(&mut kubectl), "ok");
    }
}

/// Standard output of a command that must succeed.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("a program that is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn ports_are_translated_and_udp_is_forwarded() {
    let lab = Lab::with(&Options { balancers: 1, backends: 2, ..Options::default() }).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let backends = [lab.cp(1), lab.cp(2)];
    let mut config = AgentConfig::new(lab.lb(1));
    for vip in vips() {
        let udp = ServiceConfig::new(&family("udp", vip), vip, 5353, UDP_PORT, &backends)
            .line("protocol = \"udp\"")
            .check(&[format!("port = {ECHO_PORT}")])
            .check(&CHECK);
        let api = ServiceConfig::new(&family("api", vip), vip, 8443, API_PORT, &backends);
        config = config.service(api.check(&CHECK)).service(udp);
    }
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    for vip in vips() {
        let answer = client.get(SocketAddr::new(vip, 8443), "/readyz").unwrap();
        assert_eq!((answer.status, &*answer.body), (200, "ok"));
        assert!(["cp-01", "cp-02"].contains(&&*answer.server), "{answer:?}");
        // More than an MTU's worth each way, so that full segments are rewritten too.
        let body = vec![b'x'; 100_000];
        let echoed = client.post(SocketAddr::new(vip, 8443), "/echo", &body).unwrap();
        assert_eq!(echoed.body.as_bytes(), body);
        for n in 0..20 {
            let answer = client.udp(SocketAddr::new(vip, 5353), &format!("datagram {n}")).unwrap();
            let (server, payload) = answer.split_once(' ').unwrap();
            assert!(["cp-01", "cp-02"].contains(&server), "{answer}");
            assert_eq!(payload, format!("datagram {n}"));
        }
        // A port of the VIP that is no service is the kernel's, which refuses it.
        let error = client.get(SocketAddr::new(vip, API_PORT), "/readyz").unwrap_err();
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
    }
    let drops = &agent.stats().unwrap()["drops"];
    assert_eq!(drops, &serde_json::json!({}), "nothing was dropped on the way");
}

#[test]
fn a_backend_and_a_client_two_hops_away_are_served() {
    let options = Options { balancers: 1, backends: 1, router: true, ..Options::default() };
    let lab = Lab::with(&options).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let far = lab.host("far-01");
    let agent = api_on_both(&lab, &[far]);
    for from in [lab.client(), lab.host("far-client")] {
        let client = Client::new(from, lab.pki()).unwrap();
        for vip in vips() {
            let address = SocketAddr::new(vip, API_PORT);
            let answer = client.get(address, "/readyz").unwrap();
            assert_eq!((answer.status, &*answer.server), (200, "far-01"), "{}", from.name());
            let body = vec![b'y'; 100_000];
            assert_eq!(client.post(address, "/echo", &body).unwrap().body.as_bytes(), body);
        }
    }
    let stats = agent.stats().unwrap();
    for service in stats["services"].as_array().unwrap() {
        assert_eq!(service["connections_total"], 4, "{service:#}");
    }
}

/// Clients come in by eth0, backends are behind eth1: every packet is redirected.
#[test]
fn several_interfaces_are_balanced_between() {
    let options = Options { balancers: 1, back_segment: true, ..Options::default() };
    let lab = Lab::with(&options).unwrap();
    let _servers = lab.start_api_servers().unwrap();
    let agent = api_on_both(&lab, &[lab.cp(1), lab.cp(2), lab.cp(3)]);
    let status = agent.status().unwrap();
    let names: Vec<_> =
        status["xdp"].as_array().unwrap().iter().map(|xdp| &xdp["interface"]).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    let client = Client::new(lab.client(), lab.pki()).unwrap();
    for vip in vips() {
        let address = SocketAddr::new(vip, API_PORT);
        let body = vec![b'z'; 100_000];
        for _ in 0..10 {
            let answer = client.post(address, "/echo", &body).unwrap();
            assert_eq!((answer.status, answer.body.as_bytes()), (200, &*body));
        }
    }
    let stats = agent.stats().unwrap();
    for service in stats["services"].as_array().unwrap() {
        assert_eq!(service["connections_total"], 10, "{service:#}");
    }
    // The kernel routed nothing: it does not forward here.
    let forwarding = lab.lb(1).run("sysctl", &["-n", "net.ipv4.ip_forward"]).unwrap();
    assert_eq!(forwarding.trim(), "0");
}

/// etcd on a host, with the host's certificate, that demands one from its clients.
fn start_etcd(lab: &Lab, host: &Host) -> Process {
    let (name, pki) = (host.name(), lab.pki());
    let peers = "http://127.0.0.1:2380";
    let mut command = host.command("etcd");
    command
        .args(["--name", name, "--logger", "zap"])
        .arg("--data-dir")
        .arg(host.file("etcd"))
        .args(["--listen-client-urls", "https://[::]:2379"])
        .args(["--advertise-client-urls", &format!("https://{}:2379", host.ipv4())])
        .args(["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers])
        .args(["--initial-cluster", &format!("{name}={peers}"), "--client-cert-auth"])
        .arg("--trusted-ca-file")
        .arg(pki.ca_file())
        .arg("--cert-file")
        .arg(pki.certificate(name))
        .arg("--key-file")
        .arg(pki.key(name));
    let mut etcd = host.spawn("etcd", command).expect("etcd is installed");
    let running = wait_for("etcd to listen", SOON * 3, || {
        if !etcd.is_running() {
            return Ok(false);
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 2379));
        host.in_netns(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)))??;
        Ok(true)
    });
    assert!(running.expect("etcd to listen"), "etcd ended: {}", etcd.log());
    etcd
}

fn etcdctl(lab: &Lab, endpoint: SocketAddr, arguments: &[&str]) -> Command {
    let pki = lab.pki();
    let mut command = lab.client().command("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints=https://{endpoint}"))
        .arg(format!("--cacert={}", pki.ca_file().display()))
        .arg(format!("--cert={}", pki.certificate("client").display()))
        .arg(format!("--key={}", pki.key("client").display()))
        .args(["--dial-timeout=20s", "--command-timeout=20s"])
        .args(arguments);
    command
}

/// `etcdctl watch`, killed when dropped.
struct Watch {
    etcdctl: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(mut command: Command) -> Self {
        let etcdctl = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut etcdctl = etcdctl.expect("etcdctl is installed");
        let stdout = etcdctl.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        // Ends with etcdctl's output, or when nobody listens any more.
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        Self { etcdctl, lines }
    }

    /// The next event's three lines: what happened, key, value.
    fn event(&self) -> [String; 3] {
        [(); 3].map(|()| self.lines.recv_timeout(SOON).expect("a line of the watch"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.etcdctl.kill());
        drop(self.etcdctl.wait());
    }
}

#[test]
fn etcd_is_put_got_and_watched_over_tls() {
    let lab = Lab::with(&Options { balancers: 1, backends: 1, ..Options::default() }).unwrap();
    let _etcd = start_etcd(&lab, lab.cp(1));
    let (pki, mut config) = (lab.pki(), AgentConfig::new(lab.lb(1)));
    for vip in vips() {
        let check = [
            "type = \"https\"".to_owned(),
            "path = \"/health\"".to_owned(),
            "body = '\"health\":\"true\"'".to_owned(),
            format!("ca_file = {:?}", pki.ca_file()),
            format!("client_cert = {:?}", pki.certificate("client")),
            format!("client_key = {:?}", pki.key("client")),
        ];
        let etcd = ServiceConfig::new(&family("etcd", vip), vip, 2379, 2379, &[lab.cp(1)]);
        config = config.service(etcd.check(&check).check(&CHECK));
    }
    let agent = Agent::start_ready(lab.lb(1), &config).unwrap();
    for vip in vips() {
        let endpoint = SocketAddr::new(vip, 2379);
        let key = family("/lab/key", vip);
        let run = |arguments: &[&str]| output(&mut etcdctl(&lab, endpoint, arguments));
        assert_eq!(run(&["put", &key, "first"]), "OK");
        assert_eq!(run(&["get", &key, "--print-value-only"]), "first");
        // From the beginning: the first event says that the watch stands.
        let watch = Watch::start(etcdctl(&lab, endpoint, &["watch", &key, "--rev=1"]));
        assert_eq!(watch.event(), ["PUT", &key, "first"]);
        for value in ["second", "third"] {
            assert_eq!(run(&["put", &key, value]), "OK");
            assert_eq!(watch.event(), ["PUT", &key, value]);
        }
    }
    // All of it went through the balancer: four calls and a watch for each family.
    let stats = agent.stats().unwrap();
    for service in stats["services"].as_array().unwrap() {
        assert!(service["connections_total"].as_u64().unwrap() >= 5, "{service:#}");
    }
}
