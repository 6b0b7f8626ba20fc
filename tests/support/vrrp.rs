//! One virtual router as a test describes it, to be written for keepalived and for the agent; and
//! advertisements as a capture shows them.

pub mod advert;

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::lab::Host;

/// What everybody calls the virtual router.
pub const NAME: &str = "VI_1";

/// The virtual router's own link-local address: fe80::51.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x51);

/// One router's part in a virtual router.
#[derive(Clone, Debug)]
pub struct Instance {
    /// [`NAME`], unless there are several.
    pub name: String,
    /// Virtual routers that move together; the agent's only.
    pub sync_group: Option<String>,
    /// 2 or 3.
    pub version: u8,
    /// 1..=254.
    pub priority: u8,
    /// Between two advertisements: whole seconds in version 2, steps of 10 ms in version 3.
    pub interval: Duration,
    /// Version 2 only.
    pub auth: Auth,
    /// Own address and the peers' ones; none = multicast.
    pub unicast: Option<(IpAddr, Vec<IpAddr>)>,
    /// With their prefix lengths; of one family.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Whether it takes over from a lower priority.
    pub preempt: bool,
    /// What changes the priority.
    pub track: Option<Track>,
}

/// Authentication of version 2; the password is cut to 8 bytes by keepalived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// None.
    None,
    /// In clear.
    Pass(String),
    /// IP Authentication Header.
    Ah(String),
}

/// A script that is run every second.
#[derive(Clone, Debug)]
pub struct Track {
    /// Exits with 0 while all is well.
    pub script: PathBuf,
    /// Added to the priority: below zero while the script fails, above zero while it does not;
    /// zero: its failure is the router's.
    pub weight: i16,
}

impl Instance {
    /// Version 3, one second, multicast, pre-empting; `vip` with the lab's prefix length. For
    /// IPv6 a link-local address comes first (RFC 9568 §5.2.9).
    pub fn new(priority: u8, vip: IpAddr) -> Self {
        let addresses = match vip {
            IpAddr::V4(_) => vec![(vip, 24)],
            IpAddr::V6(_) => vec![(LINK_LOCAL.into(), 64), (vip, 64)],
        };
        Self {
            name: NAME.to_owned(),
            sync_group: None,
            version: 3,
            priority,
            interval: Duration::from_secs(1),
            auth: Auth::None,
            unicast: None,
            addresses,
            preempt: true,
            track: None,
        }
    }

    /// An IPv4 and an IPv6 address that one node holds together, as a deployment has them: `VI_1`
    /// and `VI_6` in one sync group.
    pub fn both(priority: u8, vips: [IpAddr; 2]) -> Vec<Self> {
        ["VI_1", "VI_6"]
            .into_iter()
            .zip(vips)
            .map(|(name, vip)| Self {
                name: name.to_owned(),
                sync_group: Some("VG_1".to_owned()),
                ..Self::new(priority, vip)
            })
            .collect()
    }

    /// The address that clients use: the last one.
    pub fn vip(&self) -> IpAddr {
        // invariant: `new` makes one, and nothing here takes one away
        self.addresses.last().expect("a virtual router has an address").0
    }

    /// The same router with another priority.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// When the others believe this router dead: three intervals and the skew of theirs, which is
    /// less than a second in version 2 and less than an interval in version 3 (RFC 3768 §6.1,
    /// RFC 9568 §6.1).
    pub fn longest_silence(&self) -> Duration {
        let skew = if self.version == 2 { Duration::from_secs(1) } else { self.interval };
        self.interval * 3 + skew
    }

    /// Removes its addresses from a host that has them, as a reboot does.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn remove_addresses(&self, host: &Host) -> Result<()> {
        for (address, length) in &self.addresses {
            if host.holds(*address)? {
                let address = format!("{address}/{length}");
                host.run("ip", &["address", "del", &address, "dev", "eth0"])?;
            }
        }
        Ok(())
    }

    /// keepalived's configuration.
    pub(crate) fn keepalived(&self, device: &str) -> String {
        let mut text = format!(
            "vrrp_instance {} {{\n  state BACKUP\n  interface {device}\n  version {}\n  \
             virtual_router_id 51\n  priority {}\n  advert_int {}\n",
            self.name,
            self.version,
            self.priority,
            self.interval.as_secs_f64()
        );
        if !self.preempt {
            text += "  nopreempt\n";
        }
        let auth = match &self.auth {
            Auth::None => None,
            Auth::Pass(password) => Some(("PASS", password)),
            Auth::Ah(password) => Some(("AH", password)),
        };
        if let Some((kind, password)) = auth {
            text += &format!(
                "  authentication {{\n    auth_type {kind}\n    auth_pass {password}\n  }}\n"
            );
        }
        if let Some((source, peers)) = &self.unicast {
            let peers: String = peers.iter().map(|peer| format!("    {peer}\n")).collect();
            text += &format!("  unicast_src_ip {source}\n  unicast_peer {{\n{peers}  }}\n");
        }
        let addresses: String =
            self.addresses.iter().map(|(ip, length)| format!("    {ip}/{length}\n")).collect();
        text += &format!("  virtual_ipaddress {{\n{addresses}  }}\n");
        let Some(Track { script, weight }) = &self.track else { return text + "}\n" };
        let script = script.display();
        format!(
            "vrrp_script check {{\n  script \"{script}\"\n  interval 1\n}}\n{text}  \
             track_script {{\n    check weight {weight}\n  }}\n}}\n"
        )
    }

    /// The agent's `[[vrrp]]` table (DESIGN 2.3); a password goes to a file of the host.
    pub(crate) fn agent(&self, host: &Host, device: &str) -> Result<String> {
        let addresses: Vec<_> =
            self.addresses.iter().map(|(ip, length)| format!("{ip}/{length}")).collect();
        let mut text = format!(
            "\n[[vrrp]]\nname = {:?}\ninterface = \"{device}\"\nvirtual_router_id = 51\n\
             version = {}\npriority = {}\nadvert_interval = \"{}ms\"\naddresses = {addresses:?}\n\
             preempt = {}\n",
            self.name,
            self.version,
            self.priority,
            self.interval.as_millis(),
            self.preempt
        );
        if let Some(group) = &self.sync_group {
            text += &format!("sync_group = {group:?}\n");
        }
        let auth = match &self.auth {
            Auth::None => None,
            Auth::Pass(password) => Some(("pass", password)),
            Auth::Ah(password) => Some(("ah", password)),
        };
        if let Some((kind, password)) = auth {
            let file = secret(host, password)?;
            text += &format!("authentication = {{ type = \"{kind}\", secret_file = {file:?} }}\n");
        }
        if let Some((source, peers)) = &self.unicast {
            let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
            text += &format!("unicast_source = \"{source}\"\nunicast_peers = {peers:?}\n");
        }
        if let Some(Track { script, weight }) = &self.track {
            text += &format!(
                "[[vrrp.track]]\nscript = {script:?}\ninterval = \"1s\"\nweight = {weight}\n\
                 user = \"root\"\n"
            );
        }
        Ok(text)
    }
}

fn secret(host: &Host, password: &str) -> Result<PathBuf> {
    let path = host.file("vrrp.secret");
    write(&path, &format!("{password}\n"), 0o600)?;
    Ok(path)
}

/// A tracked script that a test makes fail and succeed.
#[derive(Clone, Debug)]
pub struct Switch {
    script: PathBuf,
    flag: PathBuf,
}

impl Switch {
    /// Makes the script on a host; it succeeds at first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(host: &Host) -> Result<Self> {
        let (script, flag) = (host.file("check.sh"), host.file("check.fails"));
        write(&script, &format!("#!/bin/sh\ntest ! -e {}\n", flag.display()), 0o755)?;
        Ok(Self { script, flag })
    }

    /// To be tracked.
    pub fn track(&self, weight: i16) -> Track {
        Track { script: self.script.clone(), weight }
    }

    /// Makes it fail, or succeed again.
    ///
    /// # Errors
    /// When its flag cannot be changed.
    pub fn fail(&self, fails: bool) -> Result<()> {
        let changed = if fails { fs::write(&self.flag, "") } else { fs::remove_file(&self.flag) };
        changed.with_context(|| format!("failed to change `{}`", self.flag.display()))
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let file = || -> std::io::Result<()> {
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    file().with_context(|| format!("failed to write `{}`", path.display()))
}
