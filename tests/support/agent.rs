//! The agent on a balancer, started and asked as an administrator would.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    agent_config::AgentConfig,
    lab::{self, Host, Process},
    wait::{self, wait_for},
};

/// A running agent. Killed when dropped; its program and pins stay until the lab goes.
#[derive(Debug)]
pub struct Agent {
    host: Host,
    config: PathBuf,
    pin_dir: PathBuf,
    process: Process,
}

impl Agent {
    /// Writes `config`, starts an agent with it, and waits until it answers `status`: its program
    /// is attached then, its backends may still be unknown.
    ///
    /// # Errors
    /// When it ends or does not answer: with its log.
    pub fn start(host: &Host, config: &AgentConfig) -> Result<Self> {
        let path = config.write(host)?;
        let process = spawn(host, &path)?;
        let pin_dir = config.pin_dir.clone();
        let mut agent = Self { host: host.clone(), config: path, pin_dir, process };
        agent.wait_answering()?;
        Ok(agent)
    }

    /// [`Self::start`], then waits until every backend gets new connections.
    ///
    /// # Errors
    /// When one of them does not.
    pub fn start_ready(host: &Host, config: &AgentConfig) -> Result<Self> {
        let agent = Self::start(host, config)?;
        agent.wait_ready()?;
        Ok(agent)
    }

    /// Starts another process with the same configuration, after this one has ended, and waits
    /// until it answers.
    ///
    /// # Errors
    /// When this one still runs, or the new one does not answer.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(!self.process.is_running(), "the agent of {} still runs", self.host.name());
        self.process = spawn(&self.host, &self.config)?;
        self.wait_answering()
    }

    fn wait_answering(&mut self) -> Result<()> {
        let answered = wait_for("the agent's first status", wait::SOON, || {
            // Once it has ended no answer will come: the deadline need not pass first.
            if !self.process.is_running() {
                return Ok(false);
            }
            self.status().map(|_| true)
        });
        match answered {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the agent ended at once; its log:\n{}", self.log()),
            Err(error) => Err(error.context(format!("the agent's log:\n{}", self.log()))),
        }
    }

    /// Waits until every backend of every service is up, resolved and in rotation.
    ///
    /// # Errors
    /// When one of them is not: with the last status.
    pub fn wait_ready(&self) -> Result<()> {
        self.wait_status("all backends in rotation", |status| {
            backends(status).all(|(_, backend)| {
                backend["state"] == "up" && backend["resolved"] == true && in_rotation(backend)
            })
        })
    }

    /// Waits until `condition` holds for `status --json`.
    ///
    /// # Errors
    /// When it does not within the deadline: with the last status.
    pub fn wait_status(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Result<()> {
        wait_for(what, wait::SOON, || {
            let status = self.status()?;
            ensure!(condition(&status), "the last status: {status:#}");
            Ok(())
        })
    }

    /// Waits until a backend is in `state`: `up`, `down`, `drain` or `maint`.
    ///
    /// # Errors
    /// When it is not within the deadline.
    pub fn wait_backend(&self, service: &str, name: &str, state: &str) -> Result<()> {
        self.wait_status(&format!("{service}/{name} to be {state}"), |status| {
            backend(status, service, name).is_some_and(|backend| backend["state"] == state)
        })
    }

    /// `status --json`.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn status(&self) -> Result<Value> {
        self.json(&["status", "--json"])
    }

    /// `stats --json`; answers without a running agent too.
    ///
    /// # Errors
    /// When nothing is pinned.
    pub fn stats(&self) -> Result<Value> {
        self.json(&["stats", "--json"])
    }

    /// `flows --json`; answers without a running agent too.
    ///
    /// # Errors
    /// When nothing is pinned.
    pub fn flows(&self) -> Result<Value> {
        self.json(&["flows", "--json"])
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.command(args)?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: `{text}`"))
    }

    /// Runs `lb-agent ARGS` on the agent's host with its configuration; returns standard output.
    ///
    /// # Errors
    /// When it exits with another code than 0: with what it wrote.
    pub fn command(&self, args: &[impl AsRef<OsStr>]) -> Result<String> {
        let output = self.output(args)?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
            bail!(
                "`lb-agent {}` on {} ended with {}\n{stdout}{}",
                args.join(" "),
                self.host.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(stdout)
    }

    /// [`Self::command`], whatever its exit code is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, args: &[impl AsRef<OsStr>]) -> Result<Output> {
        let mut command = agent_command(&self.host)?;
        command.arg("--config").arg(&self.config).args(args).stdin(Stdio::null());
        command.output().with_context(|| format!("failed to start {command:?}"))
    }

    /// Writes another configuration and has the agent read it.
    ///
    /// # Errors
    /// When the agent refuses it.
    pub fn reload(&self, config: &AgentConfig) -> Result<()> {
        config.write(&self.host)?;
        self.command(&["reload"]).map(drop)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the agent has ended.
    pub fn kill(&mut self, signal: Signal) -> Result<()> {
        self.process.kill(signal)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it still runs after `deadline`.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.wait(deadline)
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// What it, and those before it on this host, have logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its configuration file.
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// `pin_dir` of the configuration that it was started with.
    pub fn pin_dir(&self) -> &Path {
        &self.pin_dir
    }

    /// Its process, to be detached by a lab that is left standing.
    pub fn into_process(self) -> Process {
        self.process
    }
}

fn spawn(host: &Host, config: &Path) -> Result<Process> {
    let mut command = agent_command(host)?;
    command.arg("run").arg("--config").arg(config);
    host.spawn("agent", command)
}

/// `lb-agent` on a host, without arguments yet: the program that `LB_AGENT` names, otherwise the
/// one built beside the test; with the XDP object that `LB_EBPF_OBJECT` names, otherwise the one
/// that `cargo xtask build-ebpf` made.
///
/// # Errors
/// When there is no such program.
pub fn agent_command(host: &Host) -> Result<Command> {
    let agent = match env::var_os("LB_AGENT") {
        Some(path) => PathBuf::from(path),
        None => lab::program("lb-agent")
            .context("no agent to test\nhint: `cargo build -p lb-agent`, or set `LB_AGENT`")?,
    };
    let mut command = host.command(agent);
    if env::var_os("LB_EBPF_OBJECT").is_none() {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target/bpf/lb-ebpf");
        command.env("LB_EBPF_OBJECT", built);
    }
    Ok(command)
}

/// `lb-agent unload` on a host whose agent has ended: the program and its maps are gone.
///
/// # Errors
/// When it fails: with what it wrote.
pub fn unload(host: &Host) -> Result<()> {
    let mut command = agent_command(host)?;
    command.arg("--config").arg(host.file("lb.toml")).arg("unload");
    let output = command.output().context("failed to start lb-agent")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`lb-agent unload`: {error}");
    Ok(())
}

/// Every backend of a status or of stats, with its service.
pub fn backends(view: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let services = view["services"].as_array().into_iter().flatten();
    services.flat_map(|service| {
        service["backends"].as_array().into_iter().flatten().map(move |backend| (service, backend))
    })
}

/// A backend of a status or of stats by its name.
pub fn backend<'a>(view: &'a Value, service: &str, name: &str) -> Option<&'a Value> {
    backends(view)
        .find(|(of, backend)| of["name"] == service && backend["name"] == name)
        .map(|(_, backend)| backend)
}

fn in_rotation(backend: &Value) -> bool {
    // A weight of 0 keeps a healthy backend out by intent.
    backend["in_rotation"] == true || backend["weight"] == 0
}
