//! What can be wrong with a virtual router, beyond the single value.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::config::error::Shown;

/// One cause for refusing a `[[vrrp]]`.
#[derive(Debug, thiserror::Error)]
pub(in crate::config) enum RouterFault {
    #[error("`addresses` is `{value}`, not of the same family as `{first}`")]
    MixedFamilies { value: Shown, first: Shown },
    #[error("`{key}` is `{value}`, not of the same family as `addresses`")]
    OtherFamily { key: &'static str, value: Shown },
    #[error("`addresses` has the IPv6 address `{value}`, which version 2 cannot carry")]
    V2Family { value: Shown },
    #[error("`advert_interval` is `{value}`, which version 2 cannot carry")]
    V2Interval { value: Shown },
    #[error("`advert_interval` is `{value}`, which is longer than version 3 can carry")]
    V3TooLong { value: Shown },
    #[error("`advert_interval` is `{value}`, which is not a multiple of 10 ms")]
    V3Step { value: Shown, below: u128 },
    #[error("`authentication` does not belong to version 3")]
    AuthenticationInV3,
    #[error("`preempt_delay` stands beside `preempt = false`, and would not be used")]
    DelayUnused,
    #[error("`label` is `{value}`, which does not begin with `{interface}`")]
    LabelElsewhere { value: Shown, interface: Shown },
    #[error("`label` stands beside IPv6 addresses alone, which have none")]
    LabelWithoutIpv4,
    #[error("`unicast_peers` has `{value}`, which is `unicast_source`")]
    SourceIsPeer { value: Shown },
    #[error("nothing is tracked")]
    NothingTracked,
    #[error("both `{first}` and `{second}` are tracked")]
    TwoTracked { first: &'static str, second: &'static str },
    #[error("`{key}` does not belong to a tracked `{kind}`")]
    ScriptOnly { key: &'static str, kind: &'static str },
    #[error("there is no service `{name}`")]
    NoService { name: Shown, near: Option<String> },
    #[error("`virtual_router_id` `{id}` is already used on `{interface}` on line {first}")]
    SameRouter { id: u8, interface: Shown, first: usize },
    #[error("`{value}` is already held by `[[vrrp]]` `{router}` (line {first})")]
    HeldTwice { value: Shown, router: Shown, first: usize },
    #[error("`{value}` is the address of a backend (line {line})")]
    HeldIsBackend { value: Shown, line: usize },
}

impl RouterFault {
    pub(in crate::config) fn hint(&self) -> String {
        match self {
            Self::MixedFamilies { .. } => "a virtual router has one family: write a second \
                                           `[[vrrp]]` with the same `sync_group` for the other"
                .into(),
            Self::OtherFamily { .. } => {
                "advertisements go out in the family of the addresses they are about".into()
            }
            Self::V2Family { .. } => "write `version = 3`".into(),
            Self::V2Interval { .. } => "write whole seconds, from `\"1s\"` to `\"255s\"`, or \
                                        `version = 3` if every neighbour has it"
                .into(),
            Self::V3TooLong { .. } => "write at most `\"40950ms\"`".into(),
            Self::V3Step { below, .. } => {
                format!("write `advert_interval = \"{below}ms\"` or `\"{}ms\"`", below + 10)
            }
            Self::AuthenticationInV3 => {
                "take it out, or write `version = 2`; version 3 has none (RFC 9568 §9)".into()
            }
            Self::DelayUnused => "take one of the two out".into(),
            Self::LabelElsewhere { interface, .. } => {
                format!("begin it with `{interface}`, at most 15 characters in all, or take it out")
            }
            Self::LabelWithoutIpv4 => "take `label` out".into(),
            Self::SourceIsPeer { .. } => "name the other nodes alone".into(),
            Self::NothingTracked => {
                "add `script = \"/etc/lb/check.sh\"`, `interface = \"eth1\"` or `service = \"…\"`"
                    .into()
            }
            Self::TwoTracked { second, .. } => {
                format!("give `{second}` a `[[vrrp.track]]` of its own")
            }
            Self::ScriptOnly { key, .. } => {
                format!("`{key}` belongs to a tracked `script`; take it out")
            }
            Self::NoService { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoService { near: None, .. } => "write the `name` of a `[[service]]`".into(),
            Self::SameRouter { .. } => "routers of one family on one interface are told apart by \
                                        it: write another number, here and on the neighbours"
                .into(),
            Self::HeldTwice { .. } => {
                "one virtual router holds an address; take it out here".into()
            }
            Self::HeldIsBackend { .. } => {
                "this node would take the backend's own address from it; write the VIP".into()
            }
        }
    }
}
