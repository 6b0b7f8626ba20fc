//! The play: what is done to the lab, and what its clients must see.

mod failover;

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use lb_tests::{
    lab::{Lab, Process, crash},
    wait::{SOON, wait_for, wait_until},
};

use crate::{
    judge::{Outage, between, failed, reasons, since, spread},
    load::{Load, WATCHES, Watch},
    node::Node,
    timeline::Timeline,
};

/// How long the clients are watched after each change.
const SCENE: Duration = Duration::from_secs(2);

/// Everything that plays a part.
pub(crate) struct Stage<'a> {
    lab: &'a Lab,
    pub(crate) servers: Vec<Process>,
    pub(crate) nodes: [Node; 2],
    pub(crate) load: Load,
    pub(crate) timeline: Timeline,
    pub(crate) outages: Vec<Outage>,
}

impl<'a> Stage<'a> {
    /// The traffic flows already.
    pub(crate) fn new(lab: &'a Lab, servers: Vec<Process>, nodes: [Node; 2], load: Load) -> Self {
        Self { lab, servers, nodes, load, timeline: Timeline::begin(), outages: Vec::new() }
    }

    /// All acts.
    ///
    /// # Errors
    /// When something cannot be done; what does not hold goes to the timeline.
    pub(crate) fn play(&mut self) -> Result<()> {
        let backup_since = self.nodes[1].all("backup")?.context("lb-02 is not backup")?;
        self.timeline.doing("nothing yet: all three servers share the load");
        self.scene(Instant::now());
        self.kill_a_server()?;
        self.drain_another()?;
        self.bring_it_back()?;
        self.kill_an_agent(backup_since)?;
        self.hand_over()?;
        self.cut_the_power()
    }

    /// Demands that lb-02 has been backup since then, and so has never had the VIPs.
    fn unmoved(&mut self, since: SystemTime) -> Result<()> {
        let (active, backup) = (self.nodes[0].all("active")?, self.nodes[1].all("backup")?);
        // The agent computes the time anew for each answer: it varies by its own delay.
        let same = backup.is_some_and(|now| now < since + SCENE / 2);
        self.timeline.must(active.is_some() && same, "the VIPs have been on lb-01 all the time");
        Ok(())
    }

    /// Lets the traffic flow, and demands that no request that began at or after `from` fails,
    /// except where that was announced.
    fn scene(&mut self, from: Instant) {
        sleep(SCENE);
        let requests = self.load.requests();
        let requests = since(&requests, from);
        let mut failures = failed(requests.iter().copied());
        failures.retain(|request| !self.outages.iter().any(|outage| outage.covers(request)));
        let (held, count) = (failures.is_empty(), failures.len());
        let details = if held { spread(requests.iter().copied()) } else { reasons(failures) };
        let text = format!("{} new connections, {count} failed: {details}", requests.len());
        self.timeline.must(held, &text);
    }

    fn kill_a_server(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("kill -9 the API server on cp-01");
        let death = Instant::now();
        crash(&mut self.servers[0])?;
        let verdicts = self.verdicts("cp-01", false)?;
        // The clients feel the verdict of the node that has the VIPs.
        let until = verdicts[0];
        let what = "between a server's death and its verdict";
        let outage = Outage { what, from: death, until };
        sleep(SCENE);
        self.report_outage(&outage);
        let known = latest(death, &verdicts);
        let took = (known - death).as_secs_f64();
        let text = format!("verdict on both nodes {took:.2} s after the death: cp-01 is down");
        self.timeline.saw(known, &text);
        self.broken_with(&before, "cp-01");
        let end = outage.end();
        self.outages.push(outage);
        self.scene(end);
        Ok(())
    }

    /// When each node was seen to have a backend in rotation, or out of it, by family.
    fn verdicts(&self, backend: &str, wanted: bool) -> Result<[[Instant; 2]; 2]> {
        let mut seen = [[None; 2]; 2];
        wait_for(&format!("a verdict on {backend}"), SOON, || {
            for (node, seen) in self.nodes.iter().zip(&mut seen) {
                let rotation = node.in_rotation(backend)?;
                for (seen, _) in seen.iter_mut().zip(rotation).filter(|(_, r)| *r == wanted) {
                    seen.get_or_insert_with(Instant::now);
                }
            }
            match seen {
                [[Some(a), Some(b)], [Some(c), Some(d)]] => Ok([[a, b], [c, d]]),
                _ => bail!("not all agents have found it out"),
            }
        })
    }

    fn report_outage(&self, outage: &Outage) {
        let requests = self.load.requests();
        let meanwhile: Vec<_> = requests.iter().filter(|r| outage.covers(r)).collect();
        let failures = failed(meanwhile.iter().copied());
        let mut ends: Vec<Instant> = failures.iter().map(|request| request.ended).collect();
        ends.sort();
        if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
            self.timeline.saw(*first, "the first request fails");
            self.timeline.saw(
                *last,
                &format!(
                    "the last request fails: {} of {} up to the verdict ({})",
                    failures.len(),
                    meanwhile.len(),
                    reasons(failures)
                ),
            );
        }
    }

    fn drain_another(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline
            .doing("lb-agent backend drain kube-apiserver/cp-02   (both nodes, v4 and v6)");
        self.backend("drain", "cp-02")?;
        let drained = Instant::now();
        self.scene(drained);
        let requests = self.load.requests();
        let late = since(&requests, drained);
        let late = late.iter().filter(|r| r.outcome.as_deref() == Ok("cp-02")).count();
        self.timeline.must(late == 0, &format!("{late} of them went to cp-02"));
        let (its, others): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|(_, watch)| watch.server == "cp-02");
        self.unbroken(&its, "watches on cp-02");
        self.unbroken(&others, "others");

        self.timeline.doing("lb-agent backend ready kube-apiserver/cp-02");
        self.backend("ready", "cp-02")?;
        self.verdicts("cp-02", true)?;
        self.scene(Instant::now());
        Ok(())
    }

    fn backend(&self, verb: &str, backend: &str) -> Result<()> {
        self.nodes.iter().try_for_each(|node| node.backend(verb, backend))
    }

    fn bring_it_back(&mut self) -> Result<()> {
        self.timeline.doing("start the API server on cp-01 again");
        self.servers[0] = self.lab.start_api_server(self.lab.cp(1))?;
        let answers = Instant::now();
        let back = latest(answers, &self.verdicts("cp-01", true)?);
        self.timeline.saw(
            back,
            &format!(
                "up on both nodes {:.2} s after its first answer",
                (back - answers).as_secs_f64()
            ),
        );
        self.scene(back);
        Ok(())
    }

    fn kill_an_agent(&mut self, backup_since: SystemTime) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("kill -9 the agent on lb-01, and start it again");
        let death = Instant::now();
        self.nodes[0].crash()?;
        let stats = self.nodes[0].command(&["stats"]).is_ok();
        self.timeline.must(stats, "`lb-agent stats` answers all the same");
        self.nodes[0].restart()?;
        let restart = Instant::now();
        self.nodes[0].wait_ready()?;
        let gone = restart - death;
        let text = format!("the agent is back {:.2} s after its death", gone.as_secs_f64());
        self.timeline.saw(restart, &text);
        if gone >= self.nodes[0].shortest_lease() {
            return self.too_late(death);
        }
        let requests = self.load.requests();
        let through = between(&requests, death, restart);
        let (count, failures) = (through.len(), failed(through).len());
        let text = format!("{count} new connections without an agent, {failures} failed");
        self.timeline.must(count > 0 && failures == 0, &text);
        self.scene(death);
        self.unbroken(&before, "watches");
        self.unmoved(backup_since)
    }

    /// The machine is so busy that lb-02 may have taken over, as it should: nothing is proven.
    fn too_late(&mut self, death: Instant) -> Result<()> {
        self.nodes[0].wait_active()?;
        let end = Instant::now() + SCENE;
        self.timeline.saw(end, "which is too late for its lease: the VIPs may have moved");
        let what = "while an agent was away for longer than its lease";
        self.outages.push(Outage { what, from: death, until: [end; 2] });
        self.scene(end);
        Ok(())
    }

    /// Watches that stand, with their places among all, once as many stand as there should.
    fn standing(&self) -> Result<Vec<(usize, Watch)>> {
        let began = Instant::now();
        wait_for("every watch to stand", SOON, || {
            let watches = self.load.watches().into_iter().enumerate();
            let stands = |watch: &Watch| watch.broke.is_none() && watch.heard >= began;
            let standing: Vec<_> = watches.filter(|(_, watch)| stands(watch)).collect();
            ensure!(standing.len() == 2 * WATCHES, "only {} do", standing.len());
            Ok(standing)
        })
    }

    /// How many of the watches that stood before have heard from their servers since `from`.
    fn going_on(&self, before: &[(usize, Watch)], from: Instant) -> usize {
        let now = self.load.watches();
        let well = |place: usize| now[place].broke.is_none() && now[place].heard >= from;
        before.iter().filter(|(place, _)| well(*place)).count()
    }

    /// Demands that every watch that stood before hears from its server from now on.
    fn unbroken(&mut self, before: &[(usize, Watch)], which: &str) {
        let now = Instant::now();
        // How many do when the time is up is a verdict, too.
        let all = || self.going_on(before, now) == before.len();
        drop(wait_until("every watch to hear something", SOON, all));
        let count = self.going_on(before, now);
        let text = format!("{count} of {} {which} go on", before.len());
        self.timeline.must(count == before.len(), &text);
    }

    /// Demands that the watches on a server broke, and no others.
    fn broken_with(&mut self, before: &[(usize, Watch)], server: &str) {
        let now = self.load.watches();
        let (lost, others): (Vec<_>, Vec<_>) =
            before.iter().partition(|(_, watch)| watch.server == server);
        let broken = |some: &[&(usize, Watch)]| {
            some.iter().filter(|(place, _)| now[*place].broke.is_some()).count()
        };
        let text = format!(
            "of the watches on {server} {} of {} broke, of the others {} of {}",
            broken(&lost),
            lost.len(),
            broken(&others),
            others.len()
        );
        self.timeline.must(broken(&lost) == lost.len() && broken(&others) == 0, &text);
    }
}

fn latest(from: Instant, seen: &[[Instant; 2]; 2]) -> Instant {
    seen.iter().flatten().copied().fold(from, Instant::max)
}
