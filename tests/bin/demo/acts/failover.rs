//! The VIPs move: on purpose, and because their node dies.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{SCENE, Stage};
use crate::{
    judge::{Outage, failed, reasons, since},
    load::{Request, Watch},
};

/// What a node's death may take longer than its peer's patience: announcing, a client's SYN that
/// is sent again, a machine that has other things to do.
const MARGIN: Duration = Duration::from_secs(3);

/// Slower than any exchange, sooner than the second after which a lost SYN is sent again.
const LATE: Duration = Duration::from_millis(900);

impl Stage<'_> {
    pub(super) fn hand_over(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("lb-agent vrrp release VI_1   (on lb-01; VI_6 is in its sync group)");
        let release = Instant::now();
        self.nodes[0].vrrp("release")?;
        self.moved(1, release)?;
        self.scene(release);
        self.survivors(&before);

        let before = self.standing()?;
        self.timeline.doing("lb-agent vrrp resume VI_1    (on lb-01)");
        let resume = Instant::now();
        self.nodes[0].vrrp("resume")?;
        self.moved(0, resume)?;
        self.scene(resume);
        self.survivors(&before);
        Ok(())
    }

    pub(super) fn cut_the_power(&mut self) -> Result<()> {
        let before = self.standing()?;
        self.timeline.doing("power-cut lb-01: no carrier, and all its processes are killed");
        let from = Instant::now();
        self.nodes[0].power_off(self.lab)?;
        let cut = Instant::now();
        let end = cut + self.nodes[0].longest_silence() + MARGIN;
        let outage = Outage { what: "in the seconds a power cut may cost", from, until: [end; 2] };
        self.moved(1, cut)?;
        // By then whatever was begun while nobody answered has been answered or has failed.
        sleep(end.saturating_duration_since(Instant::now()));
        self.report_cut(cut, &outage);
        self.outages.push(outage);
        self.scene(end);
        self.survivors(&before);

        let before = self.standing()?;
        self.timeline.doing("power on lb-01");
        let boot = Instant::now();
        self.nodes[0].power_on(self.lab)?;
        self.nodes[0].wait_ready()?;
        self.moved(0, boot)?;
        self.scene(boot);
        self.survivors(&before);
        Ok(())
    }

    /// Waits until a node has both VIPs, and the other one, if it runs, has none.
    fn moved(&self, to: usize, since: Instant) -> Result<()> {
        let node = &self.nodes[to];
        node.wait_active()?;
        let now = Instant::now();
        let text = format!("{} is active {:.2} s later", node.name(), (now - since).as_secs_f64());
        self.timeline.saw(now, &text);
        Ok(())
    }

    fn report_cut(&mut self, cut: Instant, outage: &Outage) {
        let all = self.load.requests();
        let from = since(&all, cut);
        for (vip, name) in ["IPv4", "IPv6"].into_iter().enumerate() {
            let served = |r: &&&Request| r.vip == vip && r.outcome.is_ok();
            match from.iter().filter(served).map(|request| request.ended).min() {
                Some(first) => {
                    let took = (first - cut).as_secs_f64();
                    let text =
                        format!("the new owner answers over {name}, {took:.2} s after the cut");
                    self.timeline.saw(first, &text);
                }
                None => self.timeline.must(false, &format!("nobody answers over {name}")),
            }
        }
        let meanwhile: Vec<_> = all.iter().filter(|request| outage.covers(request)).collect();
        let failures = failed(meanwhile.iter().copied());
        let late: Vec<_> = meanwhile
            .iter()
            .filter(|r| r.outcome.is_ok() && r.ended - r.began >= LATE)
            .map(|r| r.ended - r.began)
            .collect();
        let text = format!(
            "of {} new connections {} failed {}",
            meanwhile.len(),
            failures.len(),
            reasons(failures)
        );
        self.timeline.saw(Instant::now(), &text);
        if let Some(longest) = late.iter().max() {
            let text = format!("{} were answered late, after {longest:.1?} at most", late.len());
            self.timeline.saw(Instant::now(), &text);
        }
    }

    /// Established connections are only reported: the nodes do not share them.
    fn survivors(&self, before: &[(usize, Watch)]) {
        let count = self.going_on(before, Instant::now() - SCENE);
        let text = format!("{count} of {} watches go on, the others are opened anew", before.len());
        self.timeline.saw(Instant::now(), &text);
    }
}
