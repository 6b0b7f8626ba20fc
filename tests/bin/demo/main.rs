//! `lb-demo`: the product shown at work in a lab, judged by its clients. `cargo xtask demo` runs
//! it as root; `LB_AGENT`, `LB_APISERVER` and `LB_EBPF_OBJECT` say where the programs are when
//! they are not beside this one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`load`] | the clients |
//! | [`node`] | a balancer with its agent |
//! | [`acts`] | what is done to them, in order |
//! | [`judge`] | which failures were to be expected |
//! | [`timeline`] | what is printed while it happens |
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool answers on stdout and complains on stderr"
)]

mod acts;
mod judge;
mod load;
mod node;
mod timeline;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use lb_tests::lab::Lab;

use crate::{
    acts::Stage,
    judge::{failed, reasons, spread},
    load::{Load, PACE, WATCHES},
    node::{Node, vips},
};

fn main() -> ExitCode {
    match demo() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether service held.
fn demo() -> Result<bool> {
    let began = Instant::now();
    let lab = Lab::new()?;
    let servers = lab.start_api_servers()?;
    let nodes = [Node::start(&lab, 1)?, Node::start(&lab, 2)?];
    introduce();

    nodes[0].wait_active()?;
    let load = Load::start(lab.client(), lab.pki(), vips().into())?;
    let mut stage = Stage::new(&lab, servers, nodes, load);
    stage.play()?;
    stage.load.finish()?;
    tables(&stage.nodes[0])?;
    let held = conclude(&stage);

    // The lab goes last: it holds what the others run in.
    drop(stage);
    drop(lab);
    println!("the lab is down; all this took {:.0} s", began.elapsed().as_secs_f64());
    Ok(held)
}

fn introduce() {
    let [v4, v6] = vips().map(|vip| vip.ip());
    println!("Network namespaces on one bridge stand for six machines:");
    println!("  client        sends an HTTPS request over a new connection every {PACE:?}, to the");
    println!("                virtual addresses (VIPs) {v4} and {v6} by turns, and");
    println!("                verifies the server; beside that it holds {WATCHES} watches open");
    println!("                through each VIP, and opens those that break anew");
    println!(
        "  lb-01, lb-02  XDP program and agent. They hold the VIPs together by VRRP version 3,"
    );
    println!("                an advertisement a second: lb-01 (priority 101) while it can,");
    println!("                otherwise lb-02 (100)");
    println!("  cp-01..cp-03  HTTPS API servers on port 6443, their /readyz checked every 200 ms:");
    println!("                three failures are the verdict `down`, two successes lift it");
}

fn tables(node: &Node) -> Result<()> {
    for verb in ["status", "stats"] {
        println!("\n[{}] lb-agent {verb}", node.name());
        print!("{}", node.command(&[verb])?);
    }
    Ok(())
}

/// The verdict over every request, those too that ended after their act.
fn conclude(stage: &Stage<'_>) -> bool {
    let requests = stage.load.requests();
    let mut surprises = failed(&requests);
    let slowest = requests.iter().filter(|r| r.outcome.is_ok()).map(|r| r.ended - r.began).max();
    println!("\nsummary");
    println!("  requests   {}, answered by {}", requests.len(), spread(&requests));
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for outage in &stage.outages {
        let all = surprises.len();
        surprises.retain(|request| !outage.covers(request));
        let count = all - surprises.len();
        match counts.iter_mut().find(|(what, _)| *what == outage.what) {
            Some((_, sum)) => *sum += count,
            None => counts.push((outage.what, count)),
        }
    }
    counts.push(("at any other time", surprises.len()));
    for (place, (what, count)) in counts.iter().enumerate() {
        println!("  {:<10} {count:>3} {what}", if place == 0 { "failed" } else { "" });
    }
    println!("  slowest    {:.0?} to an answer", slowest.unwrap_or_default());
    for lapse in stage.timeline.broken() {
        println!("  FAILED     {lapse}");
    }
    if !surprises.is_empty() {
        println!("  FAILED     {}", reasons(surprises.iter().copied()));
    }
    let held = surprises.is_empty() && stage.timeline.broken().is_empty();
    println!("  verdict    service {}", if held { "held" } else { "did NOT hold" });
    held
}
