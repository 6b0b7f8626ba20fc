//! What is done to the bed, and how it is undone.

use anyhow::Result;
use clap::ValueEnum;
use lb_tests::{bed::Bed, lab::crash};

/// What happens; lb-01 has the VIP before, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// `lb-agent vrrp release` on lb-01; keepalived is ended by SIGTERM, its HAProxy goes on
    HandOver,
    /// kill -9 of every program on lb-01: the agent, or both processes of keepalived and HAProxy
    AgentKilled,
    /// SIGSTOP to every program on lb-01
    AgentStopped,
    /// lb-01 loses carrier; its programs go on
    LinkDown,
    /// lb-01 loses carrier and every program at once
    PowerCut,
    /// kill -9 of the API server on cp-01
    BackendKilled,
    /// cp-01 is cut off without a word
    BackendSilent,
    /// lb-01 and lb-02 do not hear each other for a second after both are active; clients reach
    /// both
    SplitLink,
    /// lb-01, which was ended in peace, starts again and takes the VIP back
    OwnerReturns,
}

/// Who must have the VIP after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heir {
    /// It does not move.
    Same,
    /// lb-02.
    Second,
    /// lb-01 from lb-02.
    First,
    /// lb-01 after both had it.
    Split,
}

impl Scenario {
    /// As on the command line.
    pub(crate) fn name(self) -> String {
        // invariant: no variant is skipped
        let value = self.to_possible_value().expect("every scenario has a name");
        value.get_name().to_owned()
    }

    pub(crate) fn heir(self) -> Heir {
        match self {
            Self::BackendKilled | Self::BackendSilent => Heir::Same,
            Self::SplitLink => Heir::Split,
            Self::OwnerReturns => Heir::First,
            _ => Heir::Second,
        }
    }

    /// Before clients are watched.
    pub(crate) fn prepare(self, bed: &mut Bed) -> Result<()> {
        match self {
            Self::OwnerReturns => bed.nodes[0].stop(),
            _ => Ok(()),
        }
    }

    /// Does it.
    pub(crate) fn strike(self, bed: &mut Bed) -> Result<()> {
        match self {
            Self::HandOver => bed.nodes[0].release(),
            Self::AgentKilled => bed.nodes[0].crash(),
            Self::AgentStopped => bed.nodes[0].freeze(),
            Self::LinkDown => bed.lab.plug(bed.lab.lb(1), false),
            Self::PowerCut => bed.power_off(0),
            Self::BackendKilled => crash(&mut bed.servers[0]),
            Self::BackendSilent => bed.lab.cut(bed.lab.cp(1)),
            Self::SplitLink => bed.split(true),
            Self::OwnerReturns => bed.nodes[0].start(),
        }
    }

    /// Undoes it, so that lb-01 gets the VIP back and all backends get connections.
    pub(crate) fn restore(self, bed: &mut Bed) -> Result<()> {
        match self {
            Self::HandOver => bed.nodes[0].resume()?,
            Self::AgentKilled => bed.nodes[0].start()?,
            Self::AgentStopped => bed.nodes[0].thaw()?,
            Self::LinkDown => bed.lab.plug(bed.lab.lb(1), true)?,
            Self::PowerCut => bed.power_on(0)?,
            Self::BackendKilled => bed.servers[0] = bed.lab.start_api_server(bed.lab.cp(1))?,
            Self::BackendSilent => bed.lab.heal(bed.lab.cp(1))?,
            Self::SplitLink | Self::OwnerReturns => {}
        }
        bed.wait_ready()
    }
}
