//! The map types as this side lays them out, and as the built object's BTF says: the same field
//! at the same offset. bpftool prints by the latter.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::offset_of,
};

use anyhow::Context as _;
use aya_obj::Object;
use lb_common::{
    abi::map,
    backend::{Backend, NextHop},
    config::Config,
    counter::{Counter, Traffic},
    flow::{Flow, FlowKey},
    lease::{Lease, LeaseKey},
    maglev::{MaglevTable, SLOTS},
    reap::ReapRequest,
    service::{Service, ServiceKey},
};
use lb_tests::datapath::object;

/// A structure: its size, and its fields' names and offsets, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    size: usize,
    fields: BTreeMap<String, usize>,
}

macro_rules! layout {
    ($ty:ident { $($field:ident),+ }) => {
        (
            stringify!($ty),
            Layout {
                size: size_of::<$ty>(),
                fields: [$((stringify!($field).to_owned(), offset_of!($ty, $field))),+].into(),
            },
        )
    };
}

fn ours() -> Vec<(&'static str, Layout)> {
    vec![
        layout!(ServiceKey { vip, port, proto, pad, pad_end }),
        layout!(Service { id, flags, when_no_backend }),
        layout!(Backend { address, port, service, state, hop, pad, hops }),
        layout!(NextHop { ifindex, destination, source }),
        layout!(FlowKey { src, dst, sport, dport, proto, pad, pad_end }),
        layout!(Flow {
            peer,
            new_sport,
            new_dport,
            backend,
            service,
            last_seen,
            created,
            client_ifindex,
            expect_ack,
            client_mac,
            own_mac,
            l3_delta,
            l4_delta,
            direction,
            flags,
            pad
        }),
        layout!(Config { layout_version, pad, own_macs, vip_filter }),
        layout!(Counter { packets, bytes }),
        layout!(Traffic {
            packets_in,
            bytes_in,
            packets_out,
            bytes_out,
            connections_total,
            connections_active
        }),
        layout!(LeaseKey { vip }),
        layout!(Lease { deadline, sequence, pad }),
    ]
}

/// The object's BTF: its structures, and the names of its variables.
struct Btf {
    structs: BTreeMap<String, Layout>,
    variables: BTreeSet<String>,
}

impl Btf {
    fn of_the_object() -> anyhow::Result<Self> {
        let path = object();
        let bytes = std::fs::read(&path)
            .with_context(|| format!("`{}`: build it: `cargo xtask build-ebpf`", path.display()))?;
        let btf = Object::parse(&bytes)?.btf.context("the object has no BTF")?;
        Ok(Self::parse(&btf.to_bytes()))
    }

    /// The format of <https://docs.kernel.org/bpf/btf.html> section 2, in native byte order.
    fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        let number = |at: usize| word(at) as usize;
        let (types, strings) = (number(4) + number(8), number(4) + number(16));
        let name = |offset: usize| {
            let text = &bytes[strings + offset..];
            let len = text.iter().position(|&b| b == 0).unwrap_or(text.len());
            String::from_utf8_lossy(&text[..len]).into_owned()
        };
        let mut btf = Self { structs: BTreeMap::new(), variables: BTreeSet::new() };
        let (mut at, end) = (types, types + number(12));
        while at < end {
            let (info, members) = (word(at + 4), at + 12);
            let count = (info & 0xffff) as usize;
            let tail = match info >> 24 & 0x1f {
                1 | 17 => 4,
                3 => 12,
                4 => {
                    let fields = (members..members + count * 12)
                        .step_by(12)
                        .map(|field| (name(number(field)), (number(field + 8) & 0x00ff_ffff) / 8));
                    let layout = Layout { size: number(at + 8), fields: fields.collect() };
                    btf.structs.insert(name(number(at)), layout);
                    count * 12
                }
                5 | 15 | 19 => count * 12,
                6 | 13 => count * 8,
                14 => {
                    btf.variables.insert(name(number(at)));
                    4
                }
                _ => 0,
            };
            at = members + tail;
        }
        btf
    }
}

#[test]
fn the_object_has_the_same_layouts() {
    let btf = Btf::of_the_object().unwrap_or_else(|error| panic!("{error:#}"));
    for (name, layout) in ours() {
        let theirs =
            btf.structs.get(name).unwrap_or_else(|| panic!("no structure `{name}` in BTF"));
        assert_eq!(*theirs, layout, "`{name}`: left the object, right this side");
    }
}

#[test]
fn the_object_has_every_map() {
    let btf = Btf::of_the_object().unwrap_or_else(|error| panic!("{error:#}"));
    for name in map::ALL {
        assert!(btf.variables.contains(name), "no map `{name}` with BTF");
        assert!(name.len() <= 15, "the kernel cuts `{name}`");
    }
}

/// In the BTF it is the bare array, so that kernels up to 6.1 let one without BTF replace it.
#[test]
fn a_table_is_an_array_of_ids() {
    assert_eq!(size_of::<MaglevTable>(), 2 * SLOTS);
    let btf = Btf::of_the_object().unwrap_or_else(|error| panic!("{error:#}"));
    assert!(!btf.structs.contains_key("MaglevTable"), "the inner map's value is a structure");
}

/// Not in a map, so not in the BTF; `support/datapath.rs` writes it byte by byte.
#[test]
fn a_request_is_laid_out_as_it_is_written() {
    assert_eq!(size_of::<ReapRequest>(), 1304);
    let offsets = [
        offset_of!(ReapRequest, count),
        offset_of!(ReapRequest, jiffies),
        offset_of!(ReapRequest, not_after),
        offset_of!(ReapRequest, removed),
        offset_of!(ReapRequest, ktime_ns),
        offset_of!(ReapRequest, keys),
    ];
    assert_eq!(offsets, [0, 4, 8, 12, 16, 24]);
}
