//! An XDP program that gives every frame the same verdict.
//!
//! With [`Verdict::Pass`] it is for the far end of a balancer's wire. A frame that XDP sends back (`XDP_TX`) into a veth waits in the peer's receive ring until the
//! peer polls it, and `veth_xdp_flush` wakes only a peer that has an XDP program. `gro on`
//! suffices for a redirected frame, not for this one: on Linux 6.18 the frames then stay in the
//! ring until some other packet wakes the peer.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{Xdp, XdpMode, links::FdLink},
};

/// What becomes of every frame; the values are the kernel's `enum xdp_action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody gets it.
    Drop = 1,
    /// The kernel gets it.
    Pass = 2,
    /// It goes back where it came from, as it is.
    Tx = 3,
}

/// Attaches the program to `devices` of the calling thread's network namespace, in native mode,
/// and pins the links under `pin_dir`, so that they outlive this process.
///
/// # Errors
/// When the kernel refuses the program, the attachment or the pin.
pub(super) fn attach(verdict: Verdict, devices: &[String], pin_dir: &Path) -> Result<()> {
    let mut object = Ebpf::load(&object(verdict)).context("failed to load the stub XDP program")?;
    let program: &mut Xdp =
        object.program_mut("stub").context("the object has no program `stub`")?.try_into()?;
    program.load().context("failed to load the stub XDP program")?;
    for device in devices {
        let link = program
            .attach(device, XdpMode::Driver)
            .with_context(|| format!("failed to attach the stub XDP program to `{device}`"))?;
        let link: FdLink = program.take_link(link)?.try_into()?;
        let pin = pin(pin_dir, device);
        link.pin(&pin).with_context(|| format!("failed to pin a link as `{}`", pin.display()))?;
    }
    Ok(())
}

/// Where the link of a device is pinned; a dot in a bpffs name is reserved.
pub(super) fn pin(pin_dir: &Path, device: &str) -> PathBuf {
    pin_dir.join(format!("stub-{}", device.replace('.', "-")))
}

/// Names of sections and symbol: `.strtab` at 1, `xdp` at 9, `.symtab` at 13, `stub` at 21.
const NAMES: &[u8] = b"\0.strtab\0xdp\0.symtab\0stub\0\0\0\0\0\0\0";
const HEADER: usize = 64;
const SYMBOLS: usize = 48;

/// A relocatable ELF object, little-endian (System V ABI, chapter 4), with that one program: two
/// instructions do not deserve a compiler.
fn object(verdict: Verdict) -> Vec<u8> {
    // mov r0, verdict; exit
    let code = [0xb7, 0, 0, 0, verdict as u8, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let code_at = HEADER + NAMES.len();
    let symbols_at = code_at + code.len();
    let sections_at = symbols_at + SYMBOLS;

    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    elf.resize(16, 0);
    push16(&mut elf, &[1, 247]); // ET_REL, EM_BPF
    push32(&mut elf, &[1]);
    push64(&mut elf, &[0, 0, sections_at]);
    push32(&mut elf, &[0]);
    push16(&mut elf, &[64, 0, 0, 64, 4, 1]); // four sections, names in the first real one
    elf.extend_from_slice(NAMES);
    elf.extend_from_slice(&code);
    // The null symbol, then the function `stub` (STB_GLOBAL, STT_FUNC) in section 2.
    elf.extend_from_slice(&[0; 24]);
    push32(&mut elf, &[21]);
    elf.extend_from_slice(&[0x12, 0, 2, 0]);
    push64(&mut elf, &[0, code.len()]);
    elf.extend_from_slice(&[0; 64]);
    // name, type, flags, offset, size, link, info, alignment, entry size
    section(&mut elf, [1, 3], 0, [HEADER, NAMES.len()], [0, 0], [1, 0]);
    section(&mut elf, [9, 1], 6, [code_at, code.len()], [0, 0], [8, 0]);
    section(&mut elf, [13, 2], 0, [symbols_at, SYMBOLS], [1, 1], [8, 24]);
    elf
}

fn section(
    elf: &mut Vec<u8>,
    name_type: [u32; 2],
    flags: usize,
    place: [usize; 2],
    link_info: [u32; 2],
    align_entry: [usize; 2],
) {
    push32(elf, &name_type);
    push64(elf, &[flags, 0, place[0], place[1]]);
    push32(elf, &link_info);
    push64(elf, &align_entry);
}

fn push16(elf: &mut Vec<u8>, values: &[u16]) {
    elf.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn push32(elf: &mut Vec<u8>, values: &[u32]) {
    elf.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn push64(elf: &mut Vec<u8>, values: &[usize]) {
    elf.extend(values.iter().flat_map(|value| (*value as u64).to_le_bytes()));
}
