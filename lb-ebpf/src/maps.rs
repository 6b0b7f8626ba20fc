//! Every map, and the one way to each.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    btf_maps::{Array, ArrayOfMaps, DevMapHash, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use lb_common::{
    abi::{DEFAULT_CONNECTIONS, EMBRYO_ENTRIES, MAX_BACKENDS, MAX_EGRESS, MAX_SERVICES, MAX_VIPS},
    backend::Backend,
    config::Config,
    counter::{Counter, Traffic},
    flow::{Flow, FlowKey},
    lease::{Lease, LeaseKey},
    maglev::SLOTS,
    net::Addr,
    reason::Reason,
    service::{Service, ServiceKey},
};

/// VIP, port, protocol → service. The key with port and protocol zero says that the address is a
/// VIP at all. Few and seldom written: not preallocated, so that a reader never sees an element
/// reused under it.
#[btf_map(name = "services")]
static SERVICES: HashMap<
    ServiceKey,
    Service,
    { MAX_SERVICES as usize * 2 },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

/// Service id → its Maglev table. The agent swaps in a fresh inner map; a packet sees the old or
/// the new table.
///
/// The inner value is a [`MaglevTable`](lb_common::maglev::MaglevTable)'s bare array: up to 6.1 the
/// kernel takes a map whose value's BTF is a structure for another kind than one without BTF, which
/// the agent's are, and refuses the swap with `EINVAL`.
#[btf_map(name = "maglev")]
static MAGLEV: ArrayOfMaps<Array<[u16; SLOTS], 1>, { MAX_SERVICES as usize }> = ArrayOfMaps::new();

/// Backend id → backend; see [`Backend`] for how it is changed under readers.
#[btf_map(name = "backends")]
static BACKENDS: Array<Backend, { MAX_BACKENDS as usize }> = Array::new();

/// Established flows, both directions. A plain hash table: a full one refuses new flows, it never
/// evicts a live one. Written here, aged by the agent.
#[btf_map(name = "conns")]
static CONNS: HashMap<FlowKey, Flow, { DEFAULT_CONNECTIONS as usize * 2 }> = HashMap::new();

/// Half-open and just-closed flows, both directions. Under a flood they evict only each other.
#[btf_map(name = "embryo")]
static EMBRYO: LruHashMap<FlowKey, Flow, { EMBRYO_ENTRIES as usize }> = LruHashMap::new();

/// One element: the run-time settings.
#[btf_map(name = "config")]
static CONFIG: Array<Config, 1> = Array::new();

/// One counter for each reason.
#[btf_map(name = "drop_stats")]
static DROP_STATS: PerCpuArray<Counter, { Reason::SLOTS as usize }> = PerCpuArray::new();

/// Traffic of each backend id.
#[btf_map(name = "backend_stats")]
static BACKEND_STATS: PerCpuArray<Traffic, { MAX_BACKENDS as usize }> = PerCpuArray::new();

/// Traffic of each service id.
#[btf_map(name = "service_stats")]
static SERVICE_STATS: PerCpuArray<Traffic, { MAX_SERVICES as usize }> = PerCpuArray::new();

/// Interfaces that packets may leave by, other than the one they came from.
#[btf_map(name = "egress")]
static EGRESS: DevMapHash<{ MAX_EGRESS as usize }> = DevMapHash::new();

/// VIP → until when this node may claim it. Preallocated: renewing a lease asks for no memory.
#[btf_map(name = "leases")]
static LEASES: HashMap<LeaseKey, Lease, { MAX_VIPS as usize }> = HashMap::new();

/// Room for one flow's entries while they are made: two of them and a key would overrun the
/// program's 512 bytes of stack.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Scratch {
    /// The entry at hand.
    pub(crate) flow: Flow,
    /// Key of the other direction.
    pub(crate) other: FlowKey,
    /// Entry of the other direction.
    pub(crate) reverse: Flow,
}

/// This CPU's scratch room; never pinned, never read by the agent.
#[btf_map(name = "scratch")]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// Why an insert did not happen.
pub(crate) enum InsertError {
    /// The key is taken.
    Exists,
    /// No room.
    Full,
}

const EEXIST: i32 = -17;

/// The settings.
#[inline(always)]
pub(crate) fn config() -> Option<&'static Config> {
    CONFIG.get(0)
}

/// The service behind this key.
#[inline(always)]
pub(crate) fn service(key: &ServiceKey) -> Option<Service> {
    // SAFETY: elements are replaced whole under RCU (no preallocation); the copy is taken at once.
    unsafe { SERVICES.get(key) }.copied()
}

/// The backend in this slot of a service's table; zero when there is none.
#[inline(always)]
pub(crate) fn maglev(service: u16, slot: usize) -> u16 {
    match MAGLEV.get_value(u32::from(service), &0) {
        Some(table) => table.get(slot).copied().unwrap_or(0),
        None => 0,
    }
}

/// A backend.
#[inline(always)]
pub(crate) fn backend(id: u16) -> Option<&'static Backend> {
    BACKENDS.get(u32::from(id))
}

/// An established flow's entry.
#[inline(always)]
pub(crate) fn established(key: &FlowKey) -> Option<&'static mut Flow> {
    // SAFETY: the element stays mapped while the program runs. Each entry is written only by
    // packets of its own direction, in single words that need not agree with each other.
    CONNS.get_ptr_mut(key).map(|flow| unsafe { &mut *flow })
}

/// A half-open or just-closed flow's entry.
#[inline(always)]
pub(crate) fn half_open(key: &FlowKey) -> Option<&'static mut Flow> {
    // SAFETY: as for `established`; an evicted element may be reused, which costs one packet.
    EMBRYO.get_ptr_mut(key).map(|flow| unsafe { &mut *flow })
}

/// Claims a key among the established flows.
#[inline(always)]
pub(crate) fn claim_established(key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
    CONNS.insert(key, flow, u64::from(BPF_NOEXIST)).map_err(insert_error)
}

/// Claims a key among the half-open flows.
#[inline(always)]
pub(crate) fn claim_half_open(key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
    EMBRYO.insert(key, flow, u64::from(BPF_NOEXIST)).map_err(insert_error)
}

/// Stores a just-closed flow's entry; whether it could.
#[inline(always)]
pub(crate) fn put_half_open(key: &FlowKey, flow: &Flow) -> bool {
    EMBRYO.insert(key, flow, 0).is_ok()
}

/// Whether this call removed the entry: of several that try, one is told so.
#[inline(always)]
pub(crate) fn remove_established(key: &FlowKey) -> bool {
    CONNS.remove(key).is_ok()
}

/// Whether this call removed the entry.
#[inline(always)]
pub(crate) fn remove_half_open(key: &FlowKey) -> bool {
    EMBRYO.remove(key).is_ok()
}

/// This CPU's scratch room.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: this CPU's own element; XDP programs do not preempt each other on a CPU, and each
    // step asks for it once.
    SCRATCH.get_ptr_mut(0).map(|s| unsafe { &mut *s })
}

/// This CPU's counters of a backend.
#[inline(always)]
pub(crate) fn backend_traffic(id: u16) -> Option<&'static mut Traffic> {
    // SAFETY: this CPU's own element; XDP programs do not preempt each other on a CPU.
    BACKEND_STATS.get_ptr_mut(u32::from(id)).map(|t| unsafe { &mut *t })
}

/// This CPU's counters of a service.
#[inline(always)]
pub(crate) fn service_traffic(id: u16) -> Option<&'static mut Traffic> {
    // SAFETY: this CPU's own element; XDP programs do not preempt each other on a CPU.
    SERVICE_STATS.get_ptr_mut(u32::from(id)).map(|t| unsafe { &mut *t })
}

/// The lease of a VIP.
#[inline(always)]
pub(crate) fn lease(vip: &Addr) -> Option<Lease> {
    // SAFETY: the copy is one word, which is not torn; an element that is replaced meanwhile may
    // be another VIP's by then, which costs one answer.
    unsafe { LEASES.get(LeaseKey { vip: *vip }) }.copied()
}

/// Counts a verdict.
#[inline(always)]
pub(crate) fn count(reason: Reason, bytes: u64) {
    if let Some(counter) = DROP_STATS.get_ptr_mut(reason as u32) {
        // SAFETY: this CPU's own element; XDP programs do not preempt each other on a CPU.
        let counter = unsafe { &mut *counter };
        counter.packets = counter.packets.wrapping_add(1);
        counter.bytes = counter.bytes.wrapping_add(bytes);
    }
}

/// Sends the frame out of another interface; the XDP action, or `None` when that is not allowed.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> Option<u32> {
    EGRESS.redirect(ifindex, 0).ok()
}

#[inline(always)]
fn insert_error(code: i32) -> InsertError {
    if code == EEXIST { InsertError::Exists } else { InsertError::Full }
}
