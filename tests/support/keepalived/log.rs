//! Which lines of keepalived's log are not an error. No IO.
//!
//! keepalived 2.2.7 does not mark its errors, so this is the list of everything else that two of
//! them say to each other in elections, hand-overs, crashes and returns; what is not on it counts
//! as an error. `*` stands for any text.

use crate::vrrp::NAME;

/// What it says of itself.
const OWN: &[&str] = &[
    "Starting Keepalived v*",
    "Running on Linux *",
    "Command line: *",
    // The command line goes on.
    "              *",
    "Opening file '*'.",
    "Configuration file *",
    "NOTICE: setting config option max_auto_priority should result in better keepalived performance",
    "Starting VRRP child process, pid=*",
    "Registering *",
    "Assigned address * for interface *",
    "VRRP sockpool: [*]",
    "Startup complete",
    "VRRP_Script(*) succeeded",
    "VRRP_Script(*) failed (exited with status *)",
    "Script `*` now returning *",
    "Sending gratuitous ARP on *",
    "Sending unsolicited Neighbour Advert on *",
    // A loaded machine, or one that was stopped.
    "A thread timer expired * seconds ago",
    "Track script * is already running, expect idle - skipping run",
    "Netlink reports * down",
    "Netlink reports * up",
    "Stopping",
    "Stopped",
    "Stopped *",
    "CPU usage (self/children) *",
];

/// What it says of the virtual router, after its name in parentheses.
const ROUTER: &[&str] = &[
    "removing VIPs.",
    "setting VIPs.",
    "Entering BACKUP STATE",
    "Entering BACKUP STATE (init)",
    "Entering MASTER STATE",
    "Entering FAULT STATE",
    "Receive advertisement timeout",
    "Sending/queueing gratuitous ARPs on *",
    "Sending/queueing Unsolicited Neighbour Adverts on *",
    "sent 0 priority",
    "Changing effective priority from * to *",
    "Backup received priority 0 advertisement",
    "Master received priority 0 message",
    "received lower priority (*) advert from * - discarding",
    "Master received advert from * with higher priority *, ours *",
    "Master received advert from * with same priority * but higher IP address than ours",
    // Two were active after a split or a stop; the sequence is AH's.
    "Received advert from * with lower priority *, ours *, forcing new election",
    "IPSEC-AH : Syncing seq_num - Increment seq",
    // RFC 9568 §6.4.2: a backup adopts the active router's interval, and drops it as the active.
    "advertisement interval updated from *ms to *ms by master",
    "changing advert interval from *ms to locally configured *ms",
];

/// Lines of a log that are not known to be harmless, without their times.
pub fn error_lines(log: &str) -> Vec<&str> {
    log.lines().map(message).filter(|message| !harmless(message)).collect()
}

/// `Sat Nov 21 20:06:50 2026: ` comes before every message.
fn message(line: &str) -> &str {
    match line.split_at_checked(26) {
        Some((time, message)) if time.ends_with(": ") => message,
        _ => line,
    }
}

/// Whether two advertisements have crossed: the routers count together, so each has sent the same
/// number when one takes over in the moment in which the other advertises.
fn crossed(message: &str) -> bool {
    let rest = message.strip_prefix("IPSEC-AH : sequence number ");
    let numbers =
        rest.and_then(|rest| rest.split_once(" already processed. Packet dropped. Local("));
    numbers.is_some_and(|(theirs, ours)| ours.strip_suffix(')') == Some(theirs))
}

fn harmless(message: &str) -> bool {
    let router = message.strip_prefix(&format!("({NAME}) "));
    if router.is_some_and(crossed) {
        return true;
    }
    let (message, patterns) = router.map_or((message, OWN), |rest| (rest, ROUTER));
    patterns.iter().any(|pattern| matches(pattern, message))
}

/// Whether `text` is `pattern`, any text in the place of each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
