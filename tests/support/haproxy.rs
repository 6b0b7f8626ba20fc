//! HAProxy on a host, in front of the lab's backends: what forwards beside keepalived.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    agent_config::ServiceConfig,
    lab::{API_PORT, Host, Process, crash},
    pki::SERVER_NAME,
    wait::{self, wait_for},
};

/// A HAProxy that runs. Killed when dropped.
#[derive(Debug)]
pub struct Haproxy {
    process: Process,
    socket: PathBuf,
}

impl Haproxy {
    /// Starts it with a service, in TCP mode, on every address of the host, and waits until all
    /// its backends are up. They are checked as the agent is told to by
    /// [`ServiceConfig::api`]: HTTPS `/readyz`, every 200 ms, rise 2, fall 3.
    ///
    /// # Errors
    /// When it does not come so far: with its log.
    pub fn start(host: &Host, service: &ServiceConfig, ca_file: &Path) -> Result<Self> {
        let (config, socket) = (host.file("haproxy.cfg"), host.file("haproxy.sock"));
        let text = configuration(service, ca_file, &socket);
        fs::write(&config, text)
            .with_context(|| format!("failed to write `{}`", config.display()))?;
        let mut command = host.command("haproxy");
        // One process in the foreground.
        command.args(["-db", "-f"]).arg(config);
        let mut haproxy = Self { process: host.spawn("haproxy", command)?, socket };
        haproxy.wait_ready()?;
        Ok(haproxy)
    }

    /// Waits until all its backends are up.
    ///
    /// # Errors
    /// When one is not, or HAProxy has ended: with its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let ready = wait_for("HAProxy's backends", wait::SOON, || {
            // Once it has ended no answer will come: the deadline need not pass first.
            if self.is_running() { all_up(&self.socket).map(|()| true) } else { Ok(false) }
        });
        match ready {
            Ok(true) => Ok(()),
            Ok(false) => bail!("HAProxy has ended; its log:\n{}", self.process.log()),
            Err(error) => Err(error.context(format!("HAProxy's log:\n{}", self.process.log()))),
        }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn crash(&mut self) -> Result<()> {
        crash(&mut self.process)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(&mut self, signal: Signal) -> Result<()> {
        self.process.kill(signal)
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

fn configuration(service: &ServiceConfig, ca_file: &Path, socket: &Path) -> String {
    let (name, port) = (&service.name, service.port);
    let mut text = format!(
        "global\n  stats socket {} level admin\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n  \
         timeout check 1s\n\
         listen {name}\n  bind :::{port} v4v6\n  balance roundrobin\n  option httpchk GET /readyz\n  \
         option redispatch\n  default-server inter 200ms rise 2 fall 3\n",
        socket.display()
    );
    for backend in &service.backends {
        // In brackets or not, HAProxy takes the last colon for the port's.
        text += &format!(
            "  server {} {}:{} check port {API_PORT} check-ssl check-sni {SERVER_NAME} \
             verify required verifyhost {SERVER_NAME} ca-file {}\n",
            backend.name,
            backend.address,
            backend.port,
            ca_file.display()
        );
    }
    text
}

/// Whether every server is up by a check of its own; HAProxy calls them so before their first.
fn all_up(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"show stat -1 4 -1\n")?;
    let mut table = String::new();
    stream.read_to_string(&mut table)?;
    let header: Vec<&str> =
        table.lines().next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |name| {
        header.iter().position(|field| *field == name).with_context(|| format!("no `{name}`"))
    };
    let (status, check) = (column("status")?, column("check_status")?);
    let up = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        fields.get(status) == Some(&"UP") && fields.get(check) == Some(&"L7OK")
    };
    let mut servers = table.lines().skip(1).filter(|line| !line.is_empty());
    ensure!(servers.all(up), "not all are up:\n{table}");
    Ok(())
}
