//! Whole tables in few system calls: `BPF_MAP_LOOKUP_BATCH`, which aya does not offer.
//!
//! Walking key by key costs two calls for each entry and begins anew when a key vanishes.

use std::{
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsRawFd, BorrowedFd},
};

use aya::Pod;

/// Entries fetched by one call; more than any bucket holds.
const CHUNK: usize = 4096;
/// `BPF_MAP_LOOKUP_BATCH` of `linux/bpf.h`.
const LOOKUP_BATCH: libc::c_long = 24;

/// The `batch` member of `union bpf_attr`.
#[repr(C)]
struct Attr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Calls `each` for every entry of a hash table or an array. Entries that come or go meanwhile may be met or
/// not; one that moves within its bucket may be met twice.
pub fn walk<K: Pod, V: Pod>(map: BorrowedFd<'_>, mut each: impl FnMut(&K, &V)) -> io::Result<()> {
    let mut keys: Vec<MaybeUninit<K>> = Vec::with_capacity(CHUNK);
    let mut values: Vec<MaybeUninit<V>> = Vec::with_capacity(CHUNK);
    let mut cursor = [0_u32; 2];
    let mut first = true;
    loop {
        let [from, to] = &mut cursor;
        let mut attr = Attr {
            in_batch: if first { 0 } else { (&raw mut *from) as u64 },
            out_batch: (&raw mut *to) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: CHUNK as u32,
            map_fd: map.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the attribute has the layout of the kernel's `batch` member and points to
        // buffers of CHUNK keys and values and to cursors that live across the call.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attr, size_of::<Attr>()) };
        let error = (result < 0).then(io::Error::last_os_error);
        let last = match &error {
            None => false,
            Some(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
            Some(_) => return error.map_or(Ok(()), Err),
        };
        for i in 0..(attr.count as usize).min(CHUNK) {
            // SAFETY: the kernel filled `count` elements of both buffers; `Pod` types have no
            // invalid values.
            let (key, value) =
                unsafe { (&*keys.as_ptr().add(i).cast(), &*values.as_ptr().add(i).cast()) };
            each(key, value);
        }
        if last {
            return Ok(());
        }
        cursor.swap(0, 1);
        first = false;
    }
}
