//! The benchmark's programs, run under `BPF_PROG_TEST_RUN` only: a wrapper that restores the frame
//! before every packet, the floors to compare with, and the fillers of the flow tables.
//!
//! The kernel's own repetition does not restore the frame: from the second iteration on the
//! balancer would meet its own output. A tail call does not come back either, so the wrapper does
//! all its work, the time stamps included, at the next iteration's beginning.
#![no_std]
#![no_main]
#![expect(missing_docs, unreachable_pub, reason = "the `xdp` macro writes the entry points anew")]

use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_action},
    btf_maps::{Array, HashMap, LruHashMap, ProgramArray},
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_jiffies64, bpf_xdp_adjust_tail},
    },
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use lb_common::{
    abi::{DEFAULT_CONNECTIONS, EMBRYO_ENTRIES, NAT_PORT_FIRST, NAT_PORTS},
    bench::{Bench, CLIENT_BITS, FIRST_CLIENT_PORT, STAMPS, TEMPLATE_WORDS, target},
    flow::{FORWARD, Flow, FlowKey},
    net::{Addr, Be16},
};
use lb_ebpf::{
    cursor::{Cursor, Header},
    header::{ETHERTYPE_IPV4, EthHdr, Ipv4Hdr, Ipv6Hdr, TcpHdr},
    rewrite::{mirror, set_deltas},
};

/// The plan and its progress.
#[btf_map(name = "bench")]
static BENCH: Array<Bench, 1> = Array::new();

/// What the wrapper can call.
#[btf_map(name = "bench_targets")]
static TARGETS: ProgramArray<{ target::COUNT }> = ProgramArray::new();

/// The balancer's own map, shared by the loader.
#[btf_map(name = "conns")]
static CONNS: HashMap<FlowKey, Flow, { DEFAULT_CONNECTIONS as usize * 2 }> = HashMap::new();

/// The balancer's own map, shared by the loader.
#[btf_map(name = "embryo")]
static EMBRYO: LruHashMap<FlowKey, Flow, { EMBRYO_ENTRIES as usize }> = LruHashMap::new();

/// Room for one flow's entries: two of them would overrun the stack.
#[repr(C)]
struct Scratch {
    key: FlowKey,
    flow: Flow,
    other: FlowKey,
    reverse: Flow,
}

#[btf_map(name = "bench_scratch")]
static SCRATCH: Array<Scratch, 1> = Array::new();

/// The first bytes of the frame.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Start([u64; TEMPLATE_WORDS]);

// SAFETY: words; taken at offset 0 of a frame, which the kernel aligns to 8.
unsafe impl Header for Start {}

/// Restores the frame of the next flow and hands it to the program under test.
#[xdp]
pub fn bench_run(ctx: XdpContext) -> u32 {
    let Some(bench) = bench() else { return xdp_action::XDP_ABORTED };
    if prepare(&ctx, bench).is_none() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: nothing is held that would have to be dropped.
    unsafe { TARGETS.tail_call(&ctx, bench.target) };
    xdp_action::XDP_ABORTED
}

/// Nothing: what the loop, the wrapper and the tail call cost.
#[xdp]
pub fn bench_empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// One look-up, by the packet's own key in the balancer's own table.
#[xdp]
pub fn bench_lookup(ctx: XdpContext) -> u32 {
    let Some(key) = key_of(cursor(&ctx)) else { return xdp_action::XDP_ABORTED };
    if CONNS.get_ptr(key).is_some() {
        return xdp_action::XDP_TX;
    }
    if let Some(bench) = bench() {
        bench.misses += 1;
    }
    xdp_action::XDP_DROP
}

/// Makes the next flow an established one.
#[xdp]
pub fn bench_fill(_ctx: XdpContext) -> u32 {
    let (Some(bench), Some(s)) = (bench(), scratch()) else { return xdp_action::XDP_ABORTED };
    let n = next(bench);
    forward(bench, n, s);
    mirror(&s.key, &s.flow, &mut s.other, &mut s.reverse);
    for (key, flow) in [(&s.key, &s.flow), (&s.other, &s.reverse)] {
        bench.done += u32::from(CONNS.insert(key, flow, u64::from(BPF_NOEXIST)).is_ok());
    }
    xdp_action::XDP_PASS
}

/// Removes the next flow from the half-open ones.
#[xdp]
pub fn bench_forget(_ctx: XdpContext) -> u32 {
    let (Some(bench), Some(s)) = (bench(), scratch()) else { return xdp_action::XDP_ABORTED };
    let n = next(bench);
    forward(bench, n, s);
    if let Some(flow) = EMBRYO.get_ptr(s.key) {
        // SAFETY: the element stays mapped while the program runs, and nothing else runs now.
        s.other = s.key.other(unsafe { &*flow });
        for key in [&s.key, &s.other] {
            bench.done += u32::from(EMBRYO.remove(key).is_ok());
        }
    }
    xdp_action::XDP_PASS
}

#[inline(always)]
fn prepare(ctx: &XdpContext, bench: &mut Bench) -> Option<()> {
    let undo = bench.frame_len as i32 - (ctx.data_end() - ctx.data()) as i32;
    if undo != 0 {
        // SAFETY: the context is the kernel's own; no reference into the frame is alive.
        let failed = unsafe { bpf_xdp_adjust_tail(ctx.ctx, undo) };
        if failed != 0 {
            return None;
        }
    }
    cursor(ctx).take::<Start>()?.0 = bench.template;
    let n = next(bench);
    address(cursor(ctx), bench, n)?;
    if bench.countdown != 0 {
        bench.countdown -= 1;
        if bench.countdown == 0 {
            bench.countdown = bench.chunk;
            // SAFETY: a helper without arguments.
            bench.stamps[bench.stamped as usize & (STAMPS - 1)] = unsafe { bpf_ktime_get_ns() };
            bench.stamped += 1;
        }
    }
    Some(())
}

/// Writes what tells flow `n` from flow zero.
#[inline(always)]
fn address(mut cursor: Cursor<'_>, bench: &Bench, n: u32) -> Option<()> {
    let (last, port) = if bench.reverse == 0 {
        (client_last(bench, n), client_port(n).to_wire())
    } else {
        (backend_last(bench, n), nat_port(bench, n).to_wire())
    };
    let eth = cursor.take::<EthHdr>()?;
    if eth.ethertype == ETHERTYPE_IPV4 {
        cursor.take::<Ipv4Hdr>()?.src = last;
    } else {
        let [.., a, b, c, d] = &mut cursor.take::<Ipv6Hdr>()?.src;
        [*a, *b, *c, *d] = last;
    }
    let tcp = cursor.take::<TcpHdr>()?;
    if bench.reverse == 0 {
        tcp.sport = port;
    } else {
        tcp.dport = port;
    }
    Some(())
}

/// Flow `n`'s forward key and entry.
#[inline(always)]
fn forward(bench: &Bench, n: u32, s: &mut Scratch) {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_jiffies64() as u32 };
    s.key = bench.key;
    s.key.src = with_last(&bench.client, client_last(bench, n));
    s.key.sport = client_port(n);
    s.flow = Flow {
        peer: with_last(&bench.backend, backend_last(bench, n)),
        new_sport: nat_port(bench, n),
        new_dport: s.key.dport,
        backend: 1 + backend(bench, n) as u16,
        service: 1,
        last_seen: now,
        created: now,
        client_ifindex: 1,
        expect_ack: 0,
        client_mac: bench.client_mac,
        own_mac: bench.own_mac,
        l3_delta: 0,
        l4_delta: 0,
        direction: FORWARD,
        flags: 0,
        pad: 0,
    };
    set_deltas(&s.key, &mut s.flow);
}

#[inline(always)]
fn next(bench: &mut Bench) -> u32 {
    let n = bench.flow;
    let mut following = n.wrapping_add(bench.step);
    if following >= bench.end {
        following = following.wrapping_sub(bench.wrap);
    }
    bench.flow = following;
    n
}

#[inline(always)]
fn client_last(bench: &Bench, n: u32) -> [u8; 4] {
    counted(&bench.client, n & ((1 << CLIENT_BITS) - 1))
}

#[inline(always)]
fn client_port(n: u32) -> Be16 {
    Be16::new(FIRST_CLIENT_PORT.wrapping_add((n >> CLIENT_BITS) as u16))
}

#[inline(always)]
fn backend(bench: &Bench, n: u32) -> u32 {
    n & ((1 << (bench.backend_bits & 31)) - 1)
}

#[inline(always)]
fn backend_last(bench: &Bench, n: u32) -> [u8; 4] {
    counted(&bench.backend, backend(bench, n))
}

/// Each of a backend's ports once, scattered as a hash would: new flows' probes go in equal steps
/// and would meet a regular pattern too often. Flow zero has the first.
#[inline(always)]
fn nat_port(bench: &Bench, n: u32) -> Be16 {
    let mask = u32::from(NAT_PORTS) - 1;
    let mut port = (n >> (bench.backend_bits & 31)).wrapping_mul(0x2c1b) & mask;
    port ^= port >> 7;
    port = port.wrapping_mul(0x1a75) & mask;
    port ^= port >> 7;
    Be16::new(NAT_PORT_FIRST + port as u16)
}

#[inline(always)]
fn counted(base: &Addr, n: u32) -> [u8; 4] {
    u32::from_be_bytes(base.v4_octets()).wrapping_add(n).to_be_bytes()
}

#[inline(always)]
fn with_last(base: &Addr, last: [u8; 4]) -> Addr {
    let mut addr = *base;
    [addr.0[12], addr.0[13], addr.0[14], addr.0[15]] = last;
    addr
}

#[inline(always)]
fn key_of(mut cursor: Cursor<'_>) -> Option<FlowKey> {
    let mut key = FlowKey::default();
    if cursor.take::<EthHdr>()?.ethertype == ETHERTYPE_IPV4 {
        let ip = cursor.take::<Ipv4Hdr>()?;
        (key.src, key.dst, key.proto) = (ip.source(), ip.destination(), ip.proto);
    } else {
        let ip = cursor.take::<Ipv6Hdr>()?;
        (key.src, key.dst, key.proto) = (Addr::v6(ip.src), Addr::v6(ip.dst), ip.next);
    }
    let tcp = cursor.take::<TcpHdr>()?;
    (key.sport, key.dport) = (Be16::from_wire(tcp.sport), Be16::from_wire(tcp.dport));
    Some(key)
}

#[inline(always)]
fn bench() -> Option<&'static mut Bench> {
    // SAFETY: one CPU runs one of these programs at a time, and each asks for it once; the
    // look-up floor's second time is after the wrapper has ended by its tail call.
    BENCH.get_ptr_mut(0).map(|b| unsafe { &mut *b })
}

#[inline(always)]
fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: as above.
    SCRATCH.get_ptr_mut(0).map(|s| unsafe { &mut *s })
}

#[inline(always)]
fn cursor(ctx: &XdpContext) -> Cursor<'_> {
    // SAFETY: the context's frame, readable and writable while the program runs; each step takes
    // a fresh cursor after the headers of the one before are no longer used.
    unsafe { Cursor::from_addresses(ctx.data(), ctx.data_end()) }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier rejects the loop, so an object in which a panic is reachable does not load.
    loop {}
}
