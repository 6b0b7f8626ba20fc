//! The sockets of all instances: those that hear the same share one.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use super::member::Member;
use crate::vrrp::{
    clock,
    packet::Received,
    socket::{self, Family, Interface, Listen, Receiver, Sender},
    time::Time,
};

/// Packets of one socket before the next gets its turn.
const TURN: usize = 64;

/// The sockets.
#[derive(Debug, Default)]
pub(super) struct Ports {
    receivers: Vec<Port>,
    senders: BTreeMap<(u32, bool), Sender>,
}

#[derive(Debug)]
struct Port {
    receiver: Receiver,
    listen: Listen,
    /// Who listens.
    members: Vec<usize>,
}

impl Ports {
    /// Opens what is missing and closes what nobody needs. Returns what could not be opened.
    pub(super) fn arrange(&mut self, members: &[Member]) -> Vec<socket::Error> {
        let mut errors = Vec::new();
        let mut before = std::mem::take(&mut self.receivers);
        let mut senders = std::mem::take(&mut self.senders);
        for (index, member) in members.iter().enumerate() {
            let Some(interface) = &member.interface else { continue };
            for listen in listens(member) {
                self.listen(interface, listen, index, &mut before)
                    .unwrap_or_else(|error| errors.push(error));
            }
            let key = (interface.index, member.family() == Family::V6);
            if self.senders.contains_key(&key) {
                continue;
            }
            let sender = senders.remove(&key);
            match sender.map_or_else(|| Sender::open(interface, member.family()), Ok) {
                Ok(sender) => {
                    self.senders.insert(key, sender);
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    fn listen(
        &mut self,
        interface: &Interface,
        listen: Listen,
        member: usize,
        before: &mut Vec<Port>,
    ) -> Result<(), socket::Error> {
        let same = |port: &Port| port.listen == listen && port.receiver.interface() == interface;
        if let Some(port) = self.receivers.iter_mut().find(|port| same(port)) {
            port.members.push(member);
            return Ok(());
        }
        let receiver = match before.iter().position(same) {
            Some(at) => before.swap_remove(at).receiver,
            None => Receiver::open(interface, listen)?,
        };
        self.receivers.push(Port { receiver, listen, members: vec![member] });
        Ok(())
    }

    /// Joins the groups of an interface anew, whose link has come back.
    pub(super) fn rejoin(&self, ifindex: u32) -> Vec<socket::Error> {
        let here = self.receivers.iter().filter(|p| p.receiver.interface().index == ifindex);
        here.filter_map(|port| port.receiver.rejoin().err()).collect()
    }

    /// Waits until something has arrived, `other` has something, or the time has come.
    pub(super) fn wait(&self, other: BorrowedFd<'_>, until: Option<Time>) -> io::Result<()> {
        let sockets = self.receivers.iter().map(|port| port.receiver.as_fd());
        let mut fds: Vec<_> =
            sockets.chain([other]).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = until.map(|until| TimeSpec::from_duration(until.since(clock::now())));
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Hands over what has arrived, with the members that listen there.
    pub(super) fn drain(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&[usize], &Received<'_>),
    ) -> Result<(), io::Error> {
        let mut result = Ok(());
        for port in &mut self.receivers {
            for _ in 0..TURN {
                match port.receiver.recv(buffer) {
                    Ok(Some(received)) => take(&port.members, &received),
                    Ok(None) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
        }
        result
    }

    pub(super) fn send(
        &self,
        member: &Member,
        source: IpAddr,
        destination: IpAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let index = member.interface.as_ref().map(|i| i.index).unwrap_or_default();
        match self.senders.get(&(index, member.family() == Family::V6)) {
            Some(sender) => sender.send(source, destination, bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Over IPv4 with AH and without, whichever is configured: a neighbour that has it otherwise is
/// told from a silent one.
fn listens(member: &Member) -> Vec<Listen> {
    let address = match (&member.config.unicast, member.source) {
        (None, _) => member.family().group(),
        (Some(_), Some(source)) => source,
        (Some(_), None) => return Vec::new(),
    };
    let forms: &[bool] = if member.family() == Family::V4 { &[false, true] } else { &[false] };
    forms.iter().map(|&ah| Listen { address, ah }).collect()
}
