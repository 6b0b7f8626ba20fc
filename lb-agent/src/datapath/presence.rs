//! Whether the program still sits on its interfaces: somebody may detach it, or remove the
//! interface, while the agent runs.

use std::{
    ffi::CString,
    io,
    mem::size_of,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::net::if_::if_nametoindex;

use super::{error::Error, pins::Pins};

/// `BPF_OBJ_GET` of `linux/bpf.h`.
const OBJ_GET: libc::c_long = 7;
/// `BPF_OBJ_GET_INFO_BY_FD`.
const OBJ_GET_INFO: libc::c_long = 15;
/// `BPF_LINK_TYPE_XDP`.
const XDP: u32 = 6;

/// The member of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct GetAttr {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// The `info` member of `union bpf_attr`.
#[repr(C)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_link_info` as far as an XDP link fills it.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    pad: u32,
    /// Zero when the link sits on nothing any more.
    ifindex: u32,
    pad_end: u32,
}

/// Whether the program pinned under `pin_dir` runs on each of these interfaces of the calling
/// thread's network namespace, in their order. Takes four system calls an interface.
///
/// # Errors
/// [`Error::Link`] when a pinned link cannot be looked at; one that is missing is just not there.
pub fn attached(pin_dir: &Path, interfaces: &[String]) -> Result<Vec<(String, bool)>, Error> {
    let pins = Pins::at(pin_dir);
    interfaces.iter().map(|name| Ok((name.clone(), is_on(&pins, name)?))).collect()
}

fn is_on(pins: &Pins, interface: &str) -> Result<bool, Error> {
    for native in [true, false] {
        let path = pins.link(interface, native);
        let index = sits_on(&path).map_err(|source| Error::Link { path, source })?;
        if index.is_some_and(|index| if_nametoindex(interface) == Ok(index)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Index of the interface that a pinned XDP link sits on.
fn sits_on(path: &Path) -> io::Result<Option<u32>> {
    let link = match open(path) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut info = LinkInfo::default();
    let mut attr = InfoAttr {
        bpf_fd: link.as_raw_fd() as u32,
        info_len: size_of::<LinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the attribute has the layout of the kernel's `info` member; `info` has the length
    // given, lives across the call, and any bytes are valid in it.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO, &raw mut attr, size_of::<InfoAttr>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if info.kind != XDP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no XDP link"));
    }
    Ok((info.ifindex != 0).then_some(info.ifindex))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = GetAttr { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the attribute has the layout of the kernel's; the path ends with a zero byte and
    // lives across the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, &raw mut attr, size_of::<GetAttr>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
