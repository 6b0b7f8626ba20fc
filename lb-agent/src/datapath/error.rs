//! What can go wrong between the agent and the kernel's eBPF, and its cure.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};
use lb_common::abi::LAYOUT_VERSION;

use super::program::Interface;

/// Loading or using the data plane failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No permission to use eBPF.
    #[error(
        "the agent may not use eBPF: it lacks {missing}\n  hint: run it as root, or give it these \
         capabilities (`AmbientCapabilities=` in its systemd unit)"
    )]
    Capabilities {
        /// Names of what is missing.
        missing: String,
    },
    /// The pin directory cannot be had.
    #[error(
        "failed to use `{}` as pin directory: {what}\n  hint: `mount -t bpf bpf /sys/fs/bpf`, or \
         set `pin_dir` to a directory on a bpffs", path.display()
    )]
    PinDir {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Pins of another layout.
    #[error(
        "`{}` holds pinned maps of layout `{found}`, and this agent speaks `v{LAYOUT_VERSION}`\n  \
         hint: `lb-agent unload` removes them; established connections are cut by that", path.display()
    )]
    OtherLayout {
        /// The pin directory.
        path: PathBuf,
        /// The layout's directory.
        found: String,
    },
    /// A pinned map is not what it should be.
    #[error(
        "the pinned map `{}` is not of this layout: {what}\n  hint: `lb-agent unload` removes it; \
         established connections are cut by that", path.display()
    )]
    ForeignPin {
        /// The pin.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
    /// The object does not load.
    #[error("failed to load the XDP object")]
    Load(#[source] Box<EbpfError>),
    /// The verifier or the kernel refused a program.
    #[error("the kernel refused program `{name}`\n  hint: kernels from 5.15 on are supported")]
    Verify {
        /// The program.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<ProgramError>,
    },
    /// The object lacks a program: it belongs to another version.
    #[error("the XDP object has no program `{name}`\n  hint: build it with `cargo xtask build`")]
    NoProgram {
        /// The program.
        name: &'static str,
    },
    /// The object lacks a map.
    #[error("the XDP object has no map `{name}`\n  hint: build it with `cargo xtask build`")]
    NoMap {
        /// The map.
        name: &'static str,
    },
    /// Nothing is pinned.
    #[error(
        "nothing is pinned in `{}`\n  hint: is the agent's `pin_dir` another one, or was it never \
         started?", path.display()
    )]
    NothingPinned {
        /// The pin directory.
        path: PathBuf,
    },
    /// A map operation failed.
    #[error("failed to access map `{name}`")]
    Map {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        source: MapError,
    },
    /// A raw map operation failed.
    #[error("failed to walk map `{name}`")]
    Walk {
        /// The map.
        name: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A pinned link cannot be looked at.
    #[error("failed to look at the pinned link `{}`", path.display())]
    Link {
        /// The pin.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program could not be pinned.
    #[error("failed to pin program `{name}`")]
    PinProgram {
        /// The program.
        name: &'static str,
        /// Why.
        #[source]
        source: PinError,
    },
    /// The kernel's device maps are too old.
    #[error("the kernel does not take interfaces into a device map")]
    NoDevmap,
    /// The program could not be attached.
    #[error("failed to attach XDP to `{interface}`")]
    Attach {
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: AttachError,
    },
}

/// Attaching to one interface failed.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Somebody else's program is there.
    #[error(
        "another XDP program is attached to `{interface}`{which}\n  hint: `ip link set dev \
         {interface} xdp off` removes it, if nobody needs it; see `bpftool net`"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// What is known of it.
        which: String,
    },
    /// The driver has no native XDP.
    #[error(
        "the driver of `{interface}` does not run XDP natively (or not in this state of the \
         interface)\n  hint: set `xdp_mode = \"auto\"` or `\"generic\"`"
    )]
    NoNative {
        /// The interface.
        interface: String,
        /// What the kernel said.
        #[source]
        source: Box<ProgramError>,
    },
    /// No mode was tried.
    #[error("no XDP mode is allowed")]
    NoMode,
    /// Anything else about the program.
    #[error("the kernel refused")]
    Program(#[from] ProgramError),
    /// Anything else about the link.
    #[error("the link cannot be used")]
    Link(#[from] LinkError),
    /// The link could not be pinned.
    #[error("the link cannot be pinned")]
    Pin(#[from] PinError),
    /// A pin could not be removed.
    #[error("failed to remove `{}`", path.display())]
    Unpin {
        /// The pin.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(super) fn from_load(source: EbpfError) -> Self {
        Self::Load(Box::new(source))
    }

    pub(super) fn from_verify(name: &'static str, source: ProgramError) -> Self {
        Self::Verify { name, source: Box::new(source) }
    }
}

impl AttachError {
    /// Sorts the kernel's answer: `EBUSY` and `EEXIST` say that the hook is taken (by the same or
    /// the other mode), `EOPNOTSUPP` that the driver cannot.
    pub(super) fn from_program(source: ProgramError, interface: &Interface, native: bool) -> Self {
        let errno = match &source {
            ProgramError::SyscallError(e) => e.io_error.raw_os_error(),
            _ => None,
        };
        let name = interface.name.clone();
        match errno {
            Some(libc::EBUSY | libc::EEXIST) => Self::Occupied {
                interface: name,
                which: super::occupant::describe(interface.occupant),
            },
            _ if native => Self::NoNative { interface: name, source: Box::new(source) },
            _ => Self::Program(source),
        }
    }
}
