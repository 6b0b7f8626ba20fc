//! The XDP program: loaded, pinned and attached, so that it outlives the agent.
//!
//! Every start loads the program anew over the pinned maps and replaces it atomically on the
//! pinned links: that is a restart, an adoption and an upgrade in one. Until the replacement
//! succeeds the old program forwards, and after the agent's end the new one does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::xdp::{DevMapHash, XdpMapError},
    programs::{
        ProgramError, Xdp,
        links::{FdLink, LinkError, PinnedLink},
        xdp::{XdpLink, XdpMode as AyaMode},
    },
};
use lb_common::abi::{self, map, program};

use super::{
    error::{AttachError, Error},
    maps::Maps,
    pins::Pins,
    reaper::Reaper,
};
use crate::config::XdpMode;

/// An interface to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Id of the XDP program that was found attached to it.
    pub occupant: Option<u32>,
}

/// What the data plane is loaded with.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The XDP object.
    pub object: &'a [u8],
    /// Pin directory, on a bpffs or to become one.
    pub pin_dir: &'a Path,
    /// Wanted mode.
    pub mode: XdpMode,
    /// Capacity of the table of established flows.
    pub max_connections: u32,
    /// Whether the program tells each dropped packet through aya-log.
    pub log_drops: bool,
}

/// How the program sits on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Whether it runs in the driver (otherwise generic).
    pub native: bool,
}

/// A loaded and attached data plane.
pub struct Datapath {
    /// Its maps, for the loop that owns the state.
    pub maps: Maps,
    /// The program that ends flows.
    pub reaper: Reaper,
    /// One for each interface.
    pub attached: Vec<Attached>,
    /// Capacity that the table of established flows has; a pinned one keeps its own.
    pub max_connections: u32,
    /// The object's remaining parts; the log reader takes its ring buffer from here.
    pub object: Ebpf,
}

/// Loads the program over the pinned maps (made where missing), and puts it on the interfaces.
pub fn start(settings: &Settings<'_>, interfaces: &[Interface]) -> Result<Datapath, Error> {
    let pins = Pins::prepare(settings.pin_dir)?;
    let fresh = pins.is_empty()?;
    match load(settings, &pins).and_then(|loaded| attach_all(loaded, settings, &pins, interfaces)) {
        Ok(datapath) => Ok(datapath),
        Err(error) => {
            // Maps that this attempt made hold nothing anybody needs.
            if fresh && let Err(source) = pins.remove_all() {
                tracing::warn!(%source, "could not remove the pins of a failed start");
            }
            Err(error)
        }
    }
}

fn load(settings: &Settings<'_>, pins: &Pins) -> Result<Ebpf, Error> {
    pins.check()?;
    let log_drops = u8::from(settings.log_drops);
    let paths: Vec<(&str, PathBuf)> = map::ALL.iter().map(|&name| (name, pins.map(name))).collect();
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(map::CONNS, settings.max_connections.saturating_mul(2)).override_global(
        "LOG_DROPS",
        &log_drops,
        true,
    );
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let mut object = loader.load(settings.object).map_err(Error::from_load)?;
    for name in [program::XDP, program::REAP] {
        let xdp = xdp_program(&mut object, name)?;
        xdp.load().map_err(|source| Error::from_verify(name, source))?;
    }
    pins.link_names()?;
    Ok(object)
}

fn attach_all(
    mut object: Ebpf,
    settings: &Settings<'_>,
    pins: &Pins,
    interfaces: &[Interface],
) -> Result<Datapath, Error> {
    let mut attached = Vec::new();
    for interface in interfaces {
        let xdp = xdp_program(&mut object, program::XDP)?;
        let native = attach(xdp, interface, settings.mode, pins)
            .map_err(|source| Error::Attach { interface: interface.name.clone(), source })?;
        attached.push(Attached { interface: interface.name.clone(), native });
    }
    let wanted: Vec<_> = interfaces.iter().map(|i| i.name.as_str()).collect();
    pins.detach_others(&wanted)?;
    allow_egress(&mut object, interfaces)?;
    let maps = Maps::take(&mut object)?;
    let reaper = Reaper::pin(&mut object, pins)?;
    let max_connections = maps.conns_capacity()? / 2;
    Ok(Datapath { maps, reaper, attached, max_connections, object })
}

fn xdp_program<'a>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Error> {
    let program = object.program_mut(name).ok_or(Error::NoProgram { name })?;
    program.try_into().map_err(|source| Error::from_verify(name, source))
}

/// Returns whether the program runs natively.
fn attach(
    xdp: &mut Xdp,
    interface: &Interface,
    mode: XdpMode,
    pins: &Pins,
) -> Result<bool, AttachError> {
    for native in [true, false] {
        if replace(xdp, &pins.link(&interface.name, native))? {
            return Ok(native);
        }
    }
    let modes: &[bool] = match mode {
        XdpMode::Native => &[true],
        XdpMode::Generic => &[false],
        XdpMode::Auto => &[true, false],
    };
    let mut last = None;
    for &native in modes {
        let aya_mode = if native { AyaMode::Driver } else { AyaMode::Skb };
        match xdp.attach_to_if_index(interface.index, aya_mode) {
            Ok(id) => {
                let link: XdpLink = xdp.take_link(id)?;
                let link: FdLink = link.try_into()?;
                link.pin(pins.link(&interface.name, native))?;
                return Ok(native);
            }
            Err(error) => {
                let error = AttachError::from_program(error, interface, native);
                if !matches!(error, AttachError::NoNative { .. }) {
                    return Err(error);
                }
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or(AttachError::NoMode))
}

/// Replaces the program on a pinned link; `false` when there is none, or its interface is gone.
fn replace(xdp: &mut Xdp, path: &Path) -> Result<bool, AttachError> {
    if !path.try_exists().unwrap_or(false) {
        return Ok(false);
    }
    let pinned = match PinnedLink::from_pin(path) {
        Ok(pinned) => pinned,
        Err(LinkError::SyscallError(e)) if e.io_error.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(source) => return Err(source.into()),
    };
    let link: FdLink = pinned.into();
    let link: XdpLink = link.try_into()?;
    match xdp.attach_to_link(link) {
        // The pin keeps the link; this descriptor may go.
        Ok(id) => {
            drop(xdp.take_link(id)?);
            Ok(true)
        }
        // The interface was removed, and perhaps made again: the link sits on nothing.
        Err(ProgramError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOLINK) => {
            remove(path)?;
            Ok(false)
        }
        Err(source) => Err(source.into()),
    }
}

fn remove(path: &Path) -> Result<(), AttachError> {
    fs::remove_file(path).map_err(|source| AttachError::Unpin { path: path.to_path_buf(), source })
}

fn allow_egress(object: &mut Ebpf, interfaces: &[Interface]) -> Result<(), Error> {
    let found = object.map_mut(map::EGRESS).ok_or(Error::NoMap { name: map::EGRESS })?;
    let mut egress =
        DevMapHash::try_from(found).map_err(|source| Error::Map { name: map::EGRESS, source })?;
    for interface in interfaces.iter().take(abi::MAX_EGRESS as usize) {
        egress.insert(interface.index, interface.index, None, 0).map_err(|source| {
            let source = match source {
                XdpMapError::MapError(source) => source,
                XdpMapError::ChainedProgramNotSupported => return Error::NoDevmap,
            };
            Error::Map { name: map::EGRESS, source }
        })?;
    }
    Ok(())
}
