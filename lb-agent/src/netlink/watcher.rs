//! Follows the ways to a set of backends through every change of links, routes and neighbours.

use std::{
    net::IpAddr,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, Stream, StreamExt};
use rtnetlink::{
    MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Error, Netlink,
    changes::is_ours,
    ledger::{Ledger, Report},
    resolve::subject,
};

/// Between looks when nothing is heard: notifications are lost when the socket's buffer overflows,
/// and a stale neighbour is asked again.
const PERIOD: Duration = Duration::from_secs(3);
/// From the first notification to the look: one change makes several notifications. Also the
/// shortest pause between two looks.
const SETTLE: Duration = Duration::from_millis(10);

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Neigh,
    MulticastGroup::Link,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
];

/// Reports how each of `backends` (which may repeat an address) is reached: once for each address,
/// and again whenever that has changed.
///
/// A neighbour that stops answering is not reported: a dead backend is the health check's business.
/// One that never answered is, after a second. Works in the network namespace of the calling
/// thread. Returns when either channel's other end is gone; dropping the future ends it cleanly at
/// any point.
///
/// # Errors
/// [`Error::Open`], and [`Error::EventsEnded`] when notifications cease. A look that fails is
/// logged and taken again.
pub async fn watch(
    mut backends: watch::Receiver<Vec<IpAddr>>,
    reports: mpsc::Sender<Report>,
) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    let (connection, _handle, events) =
        rtnetlink::new_multicast_connection(&GROUPS).map_err(Error::Open)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let mut events = pin!(events.map(|(message, _)| message));
    let mut ledger = Ledger::default();
    loop {
        let wanted = backends.borrow_and_update().clone();
        ledger.retain(&wanted);
        for address in wanted {
            let finding = match netlink.resolve(address).await {
                Ok(finding) => finding,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    tracing::warn!(%address, %error, cause, "no news of the way to a backend");
                    continue;
                }
            };
            let report = ledger.settle(address, finding, Instant::now());
            if let Some(report) = report
                && reports.send(report).await.is_err()
            {
                return Ok(());
            }
        }
        // Never at once: a look that fails leaves its deadline in the past.
        let pause = ledger.next_deadline().map_or(PERIOD, |deadline| {
            deadline.saturating_duration_since(Instant::now()).clamp(SETTLE, PERIOD)
        });
        let look_again = tokio::time::sleep(pause);
        tokio::select! {
            () = look_again => {}
            () = reports.closed() => return Ok(()),
            changed = backends.changed() => if changed.is_err() { return Ok(()) },
            heard = relevant(&mut events, &ledger) => heard?,
        }
    }
}

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// Waits for a notification that may concern a backend, then swallows those that come with it.
async fn relevant(
    events: &mut (impl Stream<Item = Message> + Unpin),
    ledger: &Ledger,
) -> Result<(), Error> {
    loop {
        let message = events.next().await.ok_or(Error::EventsEnded)?;
        if concerns(&message, ledger) {
            break;
        }
    }
    tokio::time::sleep(SETTLE).await;
    while let Some(message) = events.next().now_or_never() {
        message.ok_or(Error::EventsEnded)?;
    }
    Ok(())
}

/// Neighbours come and go all the time, and VIPs of ours are refreshed several times a second;
/// whatever else is heard (an overflow of the socket's buffer too) may concern anyone.
fn concerns(message: &Message, ledger: &Ledger) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewNeighbour(about) | RouteNetlinkMessage::DelNeighbour(about),
        ) => subject(about).is_some_and(|way| ledger.uses(way)),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::GetNeighbour(_)) => false,
        _ => !is_ours(message),
    }
}
