//! The VIPs move: on purpose, and because their node dies.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{SCENE, Stage};
use crate::{
    judge::{Outage, failed, reasons, since},
    load::{PATIENCE, Watch},
};

/// What a node's death may take longer than its peer's patience: announcing, a client's SYN that
/// is sent again, a machine that has other things to do.
const MARGIN: Duration = Duration::from_secs(3);

/// Slower than any exchange, sooner than the second after which a lost SYN is sent again.
const LATE: Duration = Duration::from_millis(900);

/// From a node's change of state until its neighbours have heard of it, on a busy machine.
const SETTLING: Duration = Duration::from_millis(200);

/// Requests that can be under way at one moment, on a busy machine.
const UNDER_WAY: usize = 10;

impl Stage<'_> {
    pub(super) fn hand_over(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("lb-agent vrrp release VI_1   (on lb-01; VI_6 is in its sync group)");
        let release = Instant::now();
        self.nodes[0].vrrp("release")?;
        self.moves(1, release, &before)?;

        let before = self.standing()?;
        self.timeline.doing("lb-agent vrrp resume VI_1   (on lb-01)");
        let resume = Instant::now();
        self.nodes[0].vrrp("resume")?;
        self.moves(0, resume, &before)
    }

    pub(super) fn cut_the_power(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("power-cut lb-01: no carrier, and all its processes are killed");
        let from = Instant::now();
        let cut = self.nodes[0].power_off(self.lab)?;
        let end = cut + self.nodes[0].longest_silence() + MARGIN;
        self.took(1, cut)?;
        // By then whatever was begun while nobody answered has been answered or has failed.
        sleep(end.saturating_duration_since(Instant::now()));
        self.report_cut(cut);
        let what = "in the seconds that a power cut may cost";
        self.outages.push(Outage { what, from, until: [end; 2] });
        self.scene(end);
        self.survivors(&before);

        let before = self.standing()?;
        self.timeline.doing("power on lb-01");
        let boot = Instant::now();
        self.nodes[0].power_on(self.lab)?;
        self.moves(0, boot, &before)
    }

    /// Both VIPs go to a node while both nodes live: no new connection may fail. One that is under
    /// way at that very moment breaks as every established one does.
    fn moves(&mut self, to: usize, from: Instant, before: &[(usize, Watch)]) -> Result<()> {
        let at = self.took(to, from)?;
        let what = "under way at the moment of a planned move";
        let moved = Outage { what, from: at - SETTLING, until: [at + SETTLING; 2] };
        // By then the last of them have ended.
        sleep((at + SETTLING + PATIENCE).saturating_duration_since(Instant::now()));
        let requests = self.load.requests();
        let broken = failed(requests.iter().filter(|request| moved.covers(request)));
        let (count, why) = (broken.len(), reasons(broken));
        if count > 0 {
            let text = format!("{count} under way at that moment failed ({why})");
            self.timeline.must(count <= UNDER_WAY, &text);
        }
        self.outages.push(moved);
        self.scene(from);
        self.survivors(before);
        Ok(())
    }

    /// Waits until a node has both VIPs; returns since when.
    fn took(&self, node: usize, from: Instant) -> Result<Instant> {
        let node = &self.nodes[node];
        let at = node.wait_active()?;
        let took = at.saturating_duration_since(from).as_secs_f64();
        self.timeline.saw(at, &format!("{} is active {took:.2} s later", node.name()));
        Ok(at)
    }

    /// When somebody answered again, by family, and what became of those who asked before.
    fn report_cut(&mut self, cut: Instant) {
        let all = self.load.requests();
        let after = since(&all, cut);
        let mut first_answers = Vec::new();
        for (vip, family) in ["IPv4", "IPv6"].into_iter().enumerate() {
            let answered = after.iter().filter(|r| r.vip == vip && r.outcome.is_ok());
            let Some(first) = answered.map(|request| request.ended).min() else {
                self.timeline.must(false, &format!("nobody answers over {family} any more"));
                continue;
            };
            let took = (first - cut).as_secs_f64();
            let text = format!("lb-02 answers over {family}, {took:.2} s after the cut");
            self.timeline.saw(first, &text);
            first_answers.push(first);
        }
        let again = first_answers.into_iter().max().unwrap_or_else(Instant::now);
        let meanwhile: Vec<_> = all.iter().filter(|r| r.ended >= cut && r.began <= again).collect();
        let failures = failed(meanwhile.iter().copied());
        let (count, lost) = (meanwhile.len(), failures.len());
        let why = if lost == 0 { String::new() } else { format!(" ({})", reasons(failures)) };
        let late = meanwhile.iter().filter(|r| r.outcome.is_ok()).map(|r| r.ended - r.began);
        let (late, longest) = late
            .filter(|took| *took >= LATE)
            .fold((0, Duration::ZERO), |(n, longest), took| (n + 1, longest.max(took)));
        let longest = longest.as_secs_f64();
        let text = format!("of {count} new connections meanwhile {lost} failed{why};");
        self.timeline.saw(Instant::now(), &text);
        let text = format!("{late} were answered late, after {longest:.1} s at most");
        self.timeline.saw(Instant::now(), &text);
    }

    /// Established connections are only reported: the nodes do not share them.
    fn survivors(&self, before: &[(usize, Watch)]) {
        let count = self.going_on(before, Instant::now() - SCENE / 2);
        let text = format!("{count} of {} watches go on, the others are opened anew", before.len());
        self.timeline.saw(Instant::now(), &text);
    }
}
