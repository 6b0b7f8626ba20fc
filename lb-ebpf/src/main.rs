//! The XDP program: the pipeline from frame to verdict, and the entry points.
#![no_std]
#![no_main]
#![expect(missing_docs, unreachable_pub, reason = "the `xdp` macro writes the entry points anew")]

mod flows;
mod maps;
mod reap;
mod traffic;

use core::hint::black_box;

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::{bpf_ktime_get_ns, bpf_xdp_adjust_tail},
    macros::xdp,
    programs::XdpContext,
};
use lb_common::{
    config::{self, Config},
    flow::FlowKey,
    net::{Addr, proto},
    reason::{Reason, Verdict},
    service::ServiceKey,
};
use lb_ebpf::{
    claim,
    cursor::Cursor,
    icmp,
    parse::{Packet, parse},
    reset, rewrite,
    select::is_nat_port,
};

use crate::flows::Route;

/// Nonzero: every dropped packet is logged through aya-log. Set by the loader; while it is zero
/// the verifier removes the branch, so it costs nothing.
#[unsafe(no_mangle)]
static LOG_DROPS: u8 = 0;

/// Entry point on every interface.
#[xdp]
pub fn lb_xdp(ctx: XdpContext) -> u32 {
    let len = ctx.data_end() - ctx.data();
    let (reason, action) = match pipeline(&ctx) {
        Ok(sent) => sent,
        Err(reason) => match reason.verdict() {
            Verdict::Pass => (reason, xdp_action::XDP_PASS),
            _ => (reason, xdp_action::XDP_DROP),
        },
    };
    maps::count(reason, len as u64);
    if action == xdp_action::XDP_DROP {
        log_drop(&ctx, reason);
    }
    action
}

/// Entry point for the agent's requests, under `BPF_PROG_TEST_RUN`.
#[xdp]
pub fn lb_reap(ctx: XdpContext) -> u32 {
    match reap::run(cursor(&ctx)) {
        Some(()) => xdp_action::XDP_PASS,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Parse → ours? → flow or service → rewrite → send. `Err` carries every verdict that leaves the
/// packet as it came.
#[inline(always)]
fn pipeline(ctx: &XdpContext) -> Result<(Reason, u32), Reason> {
    let config = maps::config().ok_or(Reason::Internal)?;
    let mut packet = Packet::default();
    let parsed = parse(cursor(ctx), |dst| may_be_vip(config, dst), &mut packet);
    match parsed {
        Ok(()) => {}
        Err(Reason::NotIp) if claim_is_over(XdpContext::new(ctx.ctx), config) => {
            return Err(Reason::ClaimOver);
        }
        Err(Reason::NotVip)
            if claim::may_be_group(black_box(&packet.key.dst))
                && claim_is_over(XdpContext::new(ctx.ctx), config) =>
        {
            return Err(Reason::ClaimOver);
        }
        Err(Reason::NotVip) => return Err(Reason::NotVip),
        Err(Reason::NotIp) => return Err(Reason::NotIp),
        Err(Reason::Truncated) => return Err(Reason::Truncated),
        Err(reason) => {
            ours(config, packet.eth_dst)?;
            return Err(if is_vip(&packet.key.dst) { reason } else { Reason::NotVip });
        }
    }
    let verdict = match ours(config, packet.eth_dst) {
        Err(reason) => Err(reason),
        Ok(()) => match packet.key.proto {
            proto::TCP | proto::UDP => return transport(ctx, &packet),
            proto::ICMP | proto::ICMPV6 => icmp_error(ctx, &packet),
            _ => Err(Reason::OtherProtocol),
        },
    };
    match verdict {
        // To the VIP itself, or to a solicited-node address that shares a VIP's bit in the filter.
        Err(Reason::NotOurMac | Reason::OtherProtocol)
            if packet.key.proto == proto::ICMPV6
                && claim_is_over(XdpContext::new(ctx.ctx), config) =>
        {
            Err(Reason::ClaimOver)
        }
        Err(Reason::OtherProtocol | Reason::IcmpUnrelated) if !is_vip(&packet.key.dst) => {
            Err(Reason::NotVip)
        }
        verdict => verdict,
    }
}

#[inline(always)]
fn transport(ctx: &XdpContext, packet: &Packet) -> Result<(Reason, u32), Reason> {
    if packet.tagged {
        return Err(unless_served(packet, Reason::VlanTagged));
    }
    if packet.ttl <= 1 {
        return Err(unless_served(packet, Reason::TtlExpired));
    }
    let mut route = Route::default();
    let reason = flows::decide(packet, ctx.ingress_ifindex() as u32, &mut route);
    match reason.verdict() {
        Verdict::Forward => {
            rewrite::apply(cursor(ctx), packet.v4, packet.key.proto, &route.to)
                .ok_or(Reason::Internal)?;
            let action = send(ctx, route.to.ifindex)?;
            traffic::count(reason, &route, packet.ip_len);
            Ok((reason, action))
        }
        Verdict::Reply => answer_with_reset(ctx, packet).map(|action| (reason, action)),
        Verdict::Pass | Verdict::Drop => Err(reason),
    }
}

/// An ICMP error about a flow is translated and sent on; anything else is the kernel's.
#[inline(never)]
fn icmp_error(ctx: &XdpContext, packet: &Packet) -> Result<(Reason, u32), Reason> {
    if packet.v4 != (packet.key.proto == proto::ICMP) || packet.tagged {
        return Err(Reason::OtherProtocol);
    }
    let mut key = FlowKey::default();
    icmp::quoted(cursor(ctx), packet, &mut key)?;
    if key.dst != packet.key.dst {
        return Err(Reason::IcmpUnrelated);
    }
    let mut route = Route::default();
    let reason = flows::route_of(&key, &mut route);
    if !matches!(reason.verdict(), Verdict::Forward) {
        return Err(reason);
    }
    if packet.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    icmp::translate(cursor(ctx), packet, key.proto, &route.to).ok_or(Reason::Internal)?;
    send(ctx, route.to.ifindex).map(|action| (reason, action))
}

/// Out where it came from, or through the devmap.
#[inline(always)]
fn send(ctx: &XdpContext, ifindex: u32) -> Result<u32, Reason> {
    if ifindex == ctx.ingress_ifindex() as u32 {
        return Ok(xdp_action::XDP_TX);
    }
    maps::redirect(ifindex).ok_or(Reason::NoEgress)
}

#[inline(never)]
fn answer_with_reset(ctx: &XdpContext, packet: &Packet) -> Result<u32, Reason> {
    let len = reset::turn_around(cursor(ctx), packet).ok_or(Reason::Internal)?;
    let cut = len as i32 - (ctx.data_end() - ctx.data()) as i32;
    if cut < 0 {
        // SAFETY: the context is the kernel's own; no reference into the frame is alive.
        let failed = unsafe { bpf_xdp_adjust_tail(ctx.ctx, cut) };
        if failed != 0 {
            return Err(Reason::Internal);
        }
    }
    Ok(xdp_action::XDP_TX)
}

#[inline(always)]
fn cursor(ctx: &XdpContext) -> Cursor<'_> {
    // SAFETY: the context's frame, readable and writable while the program runs; each step takes
    // a fresh cursor after the headers of the one before are no longer used.
    unsafe { Cursor::from_addresses(ctx.data(), ctx.data_end()) }
}

#[inline(always)]
fn may_be_vip(config: &Config, dst: &Addr) -> bool {
    let bit = config::filter_bit(dst);
    config.vip_filter.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 != 0)
}

/// A switch may flood frames for another station to us; those are not ours to forward.
#[inline(always)]
fn ours(config: &Config, dst: u64) -> Result<(), Reason> {
    for &mac in &config.own_macs {
        if mac == 0 {
            break;
        }
        if mac == dst {
            return Ok(());
        }
    }
    Err(Reason::NotOurMac)
}

/// Whether the frame asks for a VIP whose lease is over. The kernel would answer, and undo what the
/// VIP's new holder has told everybody.
#[inline(never)]
fn claim_is_over(ctx: XdpContext, config: &Config) -> bool {
    // SAFETY: the kernel's own context. Volatile, or the compiler would pass on the two fields
    // instead: that costs every packet registers, and the verifier takes 32 bits for numbers.
    let (start, end) = unsafe {
        (
            (&raw const (*ctx.ctx).data).read_volatile() as usize,
            (&raw const (*ctx.ctx).data_end).read_volatile() as usize,
        )
    };
    // SAFETY: as in `cursor`.
    let cursor = unsafe { Cursor::from_addresses(start, end) };
    let asked = claim::asked(cursor, |address| may_be_vip(config, address));
    let Some(lease) = asked.and_then(|vip| maps::lease(&vip)) else { return false };
    // SAFETY: a helper without arguments.
    lease.is_over(unsafe { bpf_ktime_get_ns() })
}

/// The filter errs on the side of "ours": this asks the table.
#[inline(never)]
fn is_vip(dst: &Addr) -> bool {
    maps::service(&ServiceKey::vip(*dst)).is_some()
}

/// `reason` when the packet is for a service or a NAT port; otherwise it is the kernel's.
#[inline(never)]
fn unless_served(packet: &Packet, reason: Reason) -> Reason {
    if !is_vip(&packet.key.dst) {
        Reason::NotVip
    } else if is_nat_port(packet.key.dport) || maps::service(&service_key(packet)).is_some() {
        reason
    } else {
        Reason::NotService
    }
}

#[inline(always)]
fn service_key(packet: &Packet) -> ServiceKey {
    let key = &packet.key;
    ServiceKey::new(key.dst, key.dport, key.proto)
}

#[inline(always)]
fn log_drop(ctx: &XdpContext, reason: Reason) {
    // SAFETY: a plain static, never written; volatile so that the loader's value is seen.
    if unsafe { core::ptr::read_volatile(&raw const LOG_DROPS) } != 0 {
        aya_log_ebpf::debug!(
            ctx,
            "dropped on interface {}: reason {}",
            ctx.ingress_ifindex(),
            reason as u32
        );
    }
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier rejects the loop, so an object in which a panic is reachable does not load.
    loop {}
}
