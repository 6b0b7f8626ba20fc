//! The text of a `lb.toml` for an agent of the lab.

use std::{
    fmt::Write,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    lab::{API_PORT, Host, Lab, topology},
    vrrp::Instance,
};

/// What becomes a `lb.toml`. Fields are open: a test sets what it is about.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// `[node] name`.
    pub name: String,
    /// `[node] interfaces`.
    pub interfaces: Vec<String>,
    /// `[node] pin_dir`.
    pub pin_dir: PathBuf,
    /// `[node] admin_socket`.
    pub admin_socket: PathBuf,
    /// More lines of `[node]`: `xdp_mode = "native"`.
    pub node: Vec<String>,
    /// `[[service]]` tables.
    pub services: Vec<ServiceConfig>,
    /// `[[vrrp]]` tables, on `eth0`.
    pub vrrp: Vec<Instance>,
    /// More tables, as text, at the end of the file.
    pub tail: String,
}

/// A `[[service]]`.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// `name`.
    pub name: String,
    /// `vip`.
    pub vip: IpAddr,
    /// `port`.
    pub port: u16,
    /// More lines of the service: `affinity = "client"`.
    pub lines: Vec<String>,
    /// Lines of `[service.check]`.
    pub check: Vec<String>,
    /// `[[service.backend]]` tables.
    pub backends: Vec<BackendConfig>,
}

/// A `[[service.backend]]`.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// `name`.
    pub name: String,
    /// `address`.
    pub address: IpAddr,
    /// `port`.
    pub port: u16,
    /// `weight`.
    pub weight: u16,
}

impl AgentConfig {
    /// An agent on `host` with all its interfaces and no service yet. Pins and admin socket are
    /// the host's own.
    pub fn new(host: &Host) -> Self {
        Self {
            name: host.name().to_owned(),
            interfaces: host.interfaces(),
            pin_dir: host.pin_dir().join("lb"),
            admin_socket: host.file("admin.sock"),
            node: Vec::new(),
            services: Vec::new(),
            vrrp: Vec::new(),
            tail: String::new(),
        }
    }

    /// `lb-0N` of a pair as a deployment has it: the API servers behind the first VIP of each
    /// family, both held by whichever node is active; lb-01 when both can.
    pub fn pair(lab: &Lab, n: u8) -> Self {
        let backends: Vec<&Host> = lab.backends().collect();
        let vips = [topology::vip4(1), topology::vip6(1)];
        let mut config = Self::new(lab.lb(n));
        config.services = vips.map(|vip| ServiceConfig::api(lab, vip, &backends)).into();
        config.vrrp = Instance::both(102 - n, vips);
        config
    }

    /// With one more service.
    #[must_use]
    pub fn service(mut self, service: ServiceConfig) -> Self {
        self.services.push(service);
        self
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "[node]\nname = {:?}\ninterfaces = {:?}\npin_dir = {:?}\nadmin_socket = {:?}\n",
            self.name, self.interfaces, self.pin_dir, self.admin_socket
        );
        push_lines(&mut text, &self.node);
        for service in &self.services {
            service.push_to(&mut text);
        }
        text + &self.tail
    }

    /// Writes the file (mode 0644) into the lab's directory as `HOST.lb.toml`, the virtual
    /// routers at its end, and a password into a file of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, host: &Host) -> Result<PathBuf> {
        let path = host.file("lb.toml");
        let mut text = self.to_toml();
        for instance in &self.vrrp {
            text += &instance.agent(host, "eth0")?;
        }
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(path)
    }
}

impl ServiceConfig {
    /// A service on the API servers of `hosts`, in the VIP's family: HTTPS check of `/readyz`
    /// with the lab's CA, every 200 ms, rise 2, fall 3; weights 1.
    pub fn api(lab: &Lab, vip: IpAddr, hosts: &[&Host]) -> Self {
        let name = if vip.is_ipv4() { "kube-apiserver" } else { "kube-apiserver-6" };
        Self::new(name, vip, API_PORT, API_PORT, hosts)
            .check(&https_check(&lab.pki().ca_file()))
            .check(&["interval = \"200ms\"", "timeout = \"1s\"", "rise = 2", "fall = 3"])
    }

    /// A service from `vip`:`port` to `backend_port` of `hosts`, without lines for its check.
    pub fn new(name: &str, vip: IpAddr, port: u16, backend_port: u16, hosts: &[&Host]) -> Self {
        let backends = hosts
            .iter()
            .map(|host| BackendConfig {
                name: host.name().to_owned(),
                address: host.address(vip),
                port: backend_port,
                weight: 1,
            })
            .collect();
        let (lines, check) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), vip, port, lines, check, backends }
    }

    /// With another line of the service.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// With more lines of its check.
    #[must_use]
    pub fn check(mut self, lines: &[impl AsRef<str>]) -> Self {
        self.check.extend(lines.iter().map(|line| line.as_ref().to_owned()));
        self
    }

    /// With these weights, in the backends' order.
    #[must_use]
    pub fn weights(mut self, weights: &[u16]) -> Self {
        for (backend, weight) in self.backends.iter_mut().zip(weights) {
            backend.weight = *weight;
        }
        self
    }

    fn push_to(&self, text: &mut String) {
        let Self { name, vip, port, .. } = self;
        *text += &format!("\n[[service]]\nname = {name:?}\nvip = \"{vip}\"\nport = {port}\n");
        push_lines(text, &self.lines);
        if !self.check.is_empty() {
            *text += "[service.check]\n";
            push_lines(text, &self.check);
        }
        for BackendConfig { name, address, port, weight } in &self.backends {
            *text += &format!(
                "[[service.backend]]\nname = {name:?}\naddress = \"{address}\"\nport = {port}\n\
                 weight = {weight}\n"
            );
        }
    }
}

/// Lines of an HTTPS check of `/readyz` that verifies the lab's servers.
pub fn https_check(ca_file: &Path) -> Vec<String> {
    vec![
        "type = \"https\"".to_owned(),
        "path = \"/readyz\"".to_owned(),
        format!("sni = {:?}", crate::pki::SERVER_NAME),
        format!("ca_file = {ca_file:?}"),
    ]
}

fn push_lines(text: &mut String, lines: &[String]) {
    for line in lines {
        // invariant: writing to a `String` cannot fail
        writeln!(text, "{line}").expect("a string takes every line");
    }
}
