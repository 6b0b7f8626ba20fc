//! The thread's loop: packets first, then what it is told, then what is due.

use std::{net::IpAddr, os::fd::AsFd, time::Duration};

use tokio::sync::mpsc::UnboundedSender;

use super::{
    Answer, Change, Input, Report, Tools, View, inlet::Outlet, limiter::Limiter, member::Member,
    ports::Ports,
};
use crate::{
    config::vrrp::Vrrp,
    datapath::leases::Leases,
    netlink::Interface,
    vips::{Order, Orders},
    vrrp::{
        clock,
        machine::{Action, Event, Machine, Router, Send, Transition},
        packet::{self, Objection, Received},
        realtime,
        socket::BUFFER_LEN,
        time::Time,
        track::Sum,
    },
};

/// Before sockets that could not be opened are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The thread's state. `members` and the router's instances have the same indices.
pub(super) struct Runner {
    pub(super) router: Router,
    pub(super) members: Vec<Member>,
    pub(super) ports: Ports,
    pub(super) leases: Leases,
    pub(super) orders: Orders,
    pub(super) surroundings: Option<Vec<Interface>>,
    pub(super) actions: Vec<(usize, Action)>,
    reports: UnboundedSender<Report>,
    outlet: Option<Outlet<Input>>,
    limiter: Limiter<(String, String)>,
    retry_at: Option<Time>,
    packet: Vec<u8>,
}

impl Runner {
    pub(super) fn new(instances: Vec<(Vrrp, Sum)>, tools: Tools, outlet: Outlet<Input>) -> Self {
        let (members, tracked): (Vec<_>, Vec<_>) =
            instances.into_iter().map(|(config, tracked)| (Member::new(config), tracked)).unzip();
        let mut runner = Self {
            router: Router::new(members.iter().map(Member::instance).collect()),
            members,
            ports: Ports::default(),
            leases: tools.leases,
            orders: tools.orders,
            surroundings: None,
            actions: Vec::new(),
            reports: tools.reports,
            outlet: Some(outlet),
            limiter: Limiter::default(),
            retry_at: None,
            packet: Vec::with_capacity(BUFFER_LEN),
        };
        for (index, tracked) in tracked.into_iter().enumerate() {
            runner.track(index, tracked, clock::now());
        }
        runner
    }

    pub(super) fn run(mut self) {
        for refused in realtime::claim() {
            self.trouble("", &refused);
        }
        let Some(outlet) = self.outlet.take() else { return };
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            let until = self.router.next_deadline().into_iter().chain(self.retry_at).min();
            if let Err(error) = self.ports.wait(outlet.as_fd(), until) {
                self.trouble("waiting for advertisements failed", &error);
            }
            self.read(&mut buffer);
            let (inputs, more) = outlet.take();
            for input in inputs {
                if matches!(input, Input::Shutdown) {
                    return self.shut_down();
                }
                self.take(input);
            }
            if !more {
                return;
            }
            let now = clock::now();
            self.router.expire(now, &mut self.actions);
            self.carry_out();
            if self.retry_at.is_some_and(|at| at <= now) {
                self.look_around();
            }
        }
    }

    fn shut_down(mut self) {
        let now = clock::now();
        for index in 0..self.members.len() {
            self.router.handle(index, Event::Shutdown, now, &mut self.actions);
        }
        self.carry_out();
    }

    fn take(&mut self, input: Input) {
        let now = clock::now();
        match input {
            Input::Surroundings(all) => {
                let first = self.surroundings.replace(all).is_none();
                self.look_around();
                if first {
                    self.start();
                }
            }
            Input::Track { name, tracked } => {
                if let Some(index) = self.find(&name) {
                    self.track(index, tracked, now);
                }
            }
            Input::Change { name, change, reply } => {
                let answer = match self.find(&name) {
                    Some(index) => self.change(index, change, now),
                    None => Answer::Unknown,
                };
                // Whoever has asked may have gone away.
                let _gone = reply.send(answer);
            }
            Input::Reconfigure(instances) => self.reconfigure(instances),
            Input::View(reply) => {
                let _gone = reply.send(self.view(now));
            }
            Input::Shutdown => {}
        }
        self.carry_out();
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.config.name == name)
    }

    pub(super) fn track(&mut self, index: usize, tracked: Sum, now: Time) {
        let Sum { weight, failed } = tracked;
        self.router.handle(index, Event::Track { weight, failed }, now, &mut self.actions);
    }

    fn change(&mut self, index: usize, change: Change, now: Time) -> Answer {
        let event = match change {
            Change::Release => Event::Release,
            Change::Resume => Event::Resume,
            Change::Announce if self.is_active(index) => {
                self.actions.push((index, Action::Announce));
                return Answer::Done;
            }
            Change::Announce => return Answer::NotActive,
        };
        self.router.handle(index, event, now, &mut self.actions);
        Answer::Done
    }

    fn start(&mut self) {
        for index in 0..self.members.len() {
            self.begin(index);
        }
    }

    /// Starts one instance, as active if an earlier run's lease lives. What it does not hold must
    /// not be claimed, nor stay: an earlier run's lease may have just ended, or the node may have
    /// held it for itself.
    pub(super) fn begin(&mut self, index: usize) {
        let now = clock::now();
        let inherited = self.members[index].inherit(&self.leases, now);
        let lease = self.checked(inherited).flatten();
        self.router.handle(index, Event::Start { lease }, now, &mut self.actions);
        if self.router.get(index).is_some_and(|machine| machine.lease().is_none()) {
            let done = self.members[index].lease(None, &mut self.leases);
            self.checked(done);
            self.each_address(index, |address| Order::Drop { address });
        }
        self.carry_out();
    }

    /// Takes in the interfaces and addresses as they are now.
    pub(super) fn look_around(&mut self) {
        let Some(all) = self.surroundings.clone() else { return };
        let vips: Vec<IpAddr> =
            self.members.iter().flat_map(Member::addresses).map(|a| a.address).collect();
        let mut back = Vec::new();
        for member in &mut self.members {
            let was_up = std::mem::replace(&mut member.up, false);
            member.look_around(&all, &vips);
            if let Some(interface) = &member.interface
                && member.up
                && !was_up
            {
                back.push(interface.index);
            }
        }
        let mut errors = self.ports.arrange(&self.members);
        for ifindex in back {
            errors.extend(self.ports.rejoin(ifindex));
        }
        let now = clock::now();
        self.retry_at = (!errors.is_empty()).then_some(now + RETRY);
        for error in &errors {
            self.trouble("", error);
        }
        for index in 0..self.members.len() {
            let member = &self.members[index];
            // Without sockets it is as if there were no link.
            let heard = !errors.iter().any(|error| error.interface == member.config.interface);
            let (up, source) = (member.up && heard, member.source);
            self.router.handle(index, Event::Link(up), now, &mut self.actions);
            self.router.handle(index, Event::Source(source), now, &mut self.actions);
        }
        self.carry_out();
    }

    fn read(&mut self, buffer: &mut [u8]) {
        // Out of `self`, so that what is heard can change the rest; answers are sent afterwards.
        let mut ports = std::mem::take(&mut self.ports);
        let result = ports.drain(buffer, |members, received| {
            // What is too short to say whom it is for is refused by everybody.
            let wanted = packet::peek(received).map(|peek| peek.virtual_router_id);
            for &index in members {
                let own = self.members[index].config.virtual_router_id;
                if wanted.is_none_or(|wanted| wanted == own) {
                    self.hear(index, received);
                }
            }
        });
        self.ports = ports;
        if let Err(error) = result {
            self.trouble("failed to receive advertisements", &error);
        }
        self.carry_out();
    }

    fn hear(&mut self, index: usize, received: &Received<'_>) {
        let now = clock::now();
        let member = &mut self.members[index];
        let objection = match member.codec.decode(received, member.source) {
            Ok(advert) => {
                member.counts.received += 1;
                self.router.handle(index, Event::Heard(advert.heard), now, &mut self.actions);
                advert.warning
            }
            Err(objection) => Some(objection),
        };
        if let Some(objection) = objection {
            self.object(index, &objection, now);
        }
    }

    fn object(&mut self, index: usize, objection: &Objection, now: Time) {
        let member = &mut self.members[index];
        *member.counts.objections.entry(objection.reason.name()).or_default() += 1;
        let instance = member.config.name.clone();
        let sender = objection.sender.map_or_else(|| "somebody".to_owned(), |s| s.to_string());
        let kind = (instance.clone(), format!("{sender} {}", objection.reason.name()));
        if let Some(times) = self.limiter.admit(kind, now) {
            let taken = if objection.reason.is_tolerated() { "counts" } else { "is refused" };
            let text = format!("an advertisement of {sender} {taken}: {objection}");
            self.tell(Report::Objected { instance, text, times });
        }
    }

    fn send(&mut self, index: usize, send: &Send) {
        let Some(source) = self.members[index].source else { return };
        for destination in self.members[index].destinations() {
            let member = &mut self.members[index];
            member.codec.encode(send, source, destination, &mut self.packet);
            match self.ports.send(member, source, destination, &self.packet) {
                Ok(()) => member.counts.sent += 1,
                Err(error) => {
                    member.counts.unsent += 1;
                    let name = &member.config.name;
                    let what =
                        format!("`{name}`: failed to send an advertisement to {destination}");
                    self.trouble(&what, &error);
                }
            }
        }
    }

    fn each_address(&self, index: usize, order: impl Fn(IpAddr) -> Order) {
        for address in self.members[index].addresses() {
            self.orders.give(order(address.address));
        }
    }

    fn changed(&mut self, index: usize, transition: Transition) {
        let member = &mut self.members[index];
        member.cause = Some(transition.cause.clone());
        let (instance, group) = (member.config.name.clone(), member.config.sync_group.clone());
        let priority = self.router.get(index).map(Machine::effective_priority).unwrap_or_default();
        self.tell(Report::Changed { instance, group, transition, priority });
    }

    /// The value, or a report of why there is none.
    pub(super) fn checked<T, E: std::error::Error + 'static>(
        &mut self,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.trouble("", &error)).ok()
    }

    /// Tells of an error and its causes; not each time.
    fn trouble(&mut self, what: &str, error: &dyn std::error::Error) {
        let causes = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string);
        let what = Some(what).filter(|what| !what.is_empty()).map(str::to_owned);
        let text = what.into_iter().chain(causes).collect::<Vec<_>>().join(": ");
        if let Some(times) = self.limiter.admit((String::new(), text.clone()), clock::now()) {
            self.tell(Report::Trouble { text, times });
        }
    }

    fn tell(&self, report: Report) {
        // The agent's loop ends before this thread does.
        let _ending = self.reports.send(report);
    }

    fn view(&self, now: Time) -> Vec<View> {
        let instances = self.members.iter().zip(self.router.iter());
        instances.map(|(member, machine)| member.view(machine, now)).collect()
    }

    pub(super) fn carry_out(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for (index, action) in actions.drain(..) {
            match action {
                Action::Send(send) => self.send(index, &send),
                Action::Lease(end) => {
                    let done = self.members[index].lease(end, &mut self.leases);
                    self.checked(done);
                }
                Action::Hold => {
                    for address in self.members[index].addresses() {
                        self.members[index].hold(address, &self.orders);
                    }
                }
                Action::Drop => self.each_address(index, |address| Order::Drop { address }),
                Action::Announce => self.each_address(index, |address| Order::Announce { address }),
                Action::Changed(transition) => self.changed(index, transition),
            }
        }
        self.actions = actions;
    }
}
