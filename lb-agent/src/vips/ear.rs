//! Hears who else claims our VIPs: packet sockets that receive nothing but such claims.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use tokio::{
    io::unix::AsyncFd,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use crate::{
    frame::{Claim, decode_claim},
    netlink::Family,
};

/// Bytes of a frame that are copied: a Neighbor Advertisement with all options that exist.
const SNAP: u32 = 256;
/// VIPs of one family on one interface that the kernel sorts by; of more, every claim of any
/// address is copied.
const SORTED: usize = 200;
/// After an error of a socket that should have none but a link that went down.
const PAUSE: Duration = Duration::from_millis(100);

/// A claim, and the index of the interface that it was heard on.
pub(super) type Heard = (u32, Claim);

/// An interface's index, and what is listened for there.
pub(super) type Place = (u32, Family);

/// One socket for each interface and family that has VIPs.
#[derive(Debug)]
pub(super) struct Ears {
    ears: BTreeMap<Place, Ear>,
    tasks: JoinSet<()>,
    heard: mpsc::Sender<Heard>,
}

#[derive(Debug)]
struct Ear {
    socket: Arc<AsyncFd<Socket>>,
    addresses: Vec<IpAddr>,
    task: AbortHandle,
}

impl Ears {
    /// What is heard beyond the channel's depth is lost, as on the link itself.
    pub(super) fn new(heard: mpsc::Sender<Heard>) -> Self {
        Self { ears: BTreeMap::new(), tasks: JoinSet::new(), heard }
    }

    /// Listens for claims of these addresses, and of no others. Ears are kept until their interface
    /// is gone, deaf if need be: closing a packet socket takes the kernel tens of milliseconds (a
    /// grace period of RCU), for which the next order would wait.
    pub(super) fn tune(
        &mut self,
        mut wanted: BTreeMap<Place, Vec<IpAddr>>,
        exists: impl Fn(u32) -> bool,
    ) {
        self.ears.retain(|place, ear| {
            let kept = exists(place.0);
            if kept {
                wanted.entry(*place).or_default();
            } else {
                ear.task.abort();
            }
            kept
        });
        while self.tasks.try_join_next().is_some() {}
        for (place, addresses) in wanted {
            if self.ears.get(&place).is_some_and(|ear| ear.addresses == addresses) {
                continue;
            }
            if let Err(error) = self.listen(place, addresses) {
                let (ifindex, family) = place;
                tracing::warn!(ifindex, ?family, %error, "claims of others are not heard");
            }
        }
    }

    fn listen(&mut self, place: Place, addresses: Vec<IpAddr>) -> io::Result<()> {
        let filter = filter(place.1, &addresses);
        if let Some(ear) = self.ears.get_mut(&place) {
            ear.socket.get_ref().attach_filter(&filter)?;
            ear.addresses = addresses;
            return Ok(());
        }
        let socket = open(place, &filter)?;
        // SAFETY: the socket is moved in, owns its descriptor, and always tells the same one.
        let socket = Arc::new(unsafe { AsyncFd::register(socket) }?);
        let task = self.tasks.spawn(hear(Arc::clone(&socket), place.0, self.heard.clone()));
        self.ears.insert(place, Ear { socket, addresses, task });
        Ok(())
    }
}

async fn hear(socket: Arc<AsyncFd<Socket>>, ifindex: u32, heard: mpsc::Sender<Heard>) {
    let mut frame = [0; SNAP as usize];
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        match ready.try_io(|socket| socket.get_ref().read(&mut frame)) {
            Ok(Ok(length)) => {
                if let Some(claim) = decode_claim(&frame[..length])
                    && let Err(mpsc::error::TrySendError::Closed(_)) =
                        heard.try_send((ifindex, claim))
                {
                    return;
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(ifindex, %error, "listening for claims");
                tokio::time::sleep(PAUSE).await;
            }
            Err(_would_block) => {}
        }
    }
}

/// A socket of one protocol hears only what is received, nothing that this machine sends.
fn open((ifindex, family): Place, filter: &[SockFilter]) -> io::Result<Socket> {
    // Bound after the filter is in place: before, with protocol 0, it hears nothing.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    socket.attach_filter(filter)?;
    let protocol = match family {
        Family::V4 => libc::ETH_P_ARP,
        Family::V6 => libc::ETH_P_IPV6,
    };
    let bound = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (protocol as u16).to_be(),
        sll_ifindex: i32::try_from(ifindex).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `storage` is larger than, and aligned for, every socket address, among them the one
    // that is written; the length is that one's.
    let init = |storage: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| unsafe {
        storage.cast::<libc::sockaddr_ll>().write(bound);
        length.write(size_of::<libc::sockaddr_ll>() as libc::socklen_t);
        Ok(())
    };
    // SAFETY: `init` writes a valid address of the length that it tells.
    let ((), address) = unsafe { SockAddr::try_init(init) }?;
    socket.bind(&address)?;
    Ok(socket)
}

/// Lets pass what may be a claim of one of the addresses; [`decode_claim`] has the last word. It
/// compares 32 bits: the whole of an IPv4 address, the last of an IPv6 one.
fn filter(family: Family, addresses: &[IpAddr]) -> Vec<SockFilter> {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    // Offsets in the frame: the next header, the ICMPv6 type, the sender's address in ARP, the
    // last word of an advertisement's target.
    const NEXT_HEADER: u32 = 20;
    const ICMP_TYPE: u32 = 54;
    const ARP_SENDER: u32 = 28;
    const TARGET_END: u32 = 74;

    let op = SockFilter::new;
    let drop = || op(RETURN, 0, 0, 0);
    // Frames for another machine, and of VLANs that this one has no interface for.
    let other_host = u32::from(libc::PACKET_OTHERHOST);
    let mut filter = vec![op(LOAD_BYTE, 0, 0, PACKET_TYPE), op(IF_EQUAL, 0, 1, other_host), drop()];
    if family == Family::V6 {
        for (at, value) in [(NEXT_HEADER, 58), (ICMP_TYPE, 136)] {
            filter.extend([op(LOAD_BYTE, 0, 0, at), op(IF_EQUAL, 1, 0, value), drop()]);
        }
    }
    if addresses.len() <= SORTED {
        let key = if family == Family::V4 { ARP_SENDER } else { TARGET_END };
        filter.push(op(LOAD_WORD, 0, 0, key));
        for (n, address) in addresses.iter().enumerate() {
            let last = match address {
                IpAddr::V4(address) => address.to_bits(),
                IpAddr::V6(address) => address.to_bits() as u32,
            };
            // Over the remaining comparisons and the drop; at most `SORTED`, so it fits.
            let to_accept = (addresses.len() - n) as u8;
            filter.push(op(IF_EQUAL, to_accept, 0, last));
        }
        filter.push(drop());
    }
    filter.push(op(RETURN, 0, 0, SNAP));
    filter
}
