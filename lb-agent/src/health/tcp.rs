//! A knock at a listener's door: connect, then reset.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::TcpSocket;

#[cfg(test)]
mod tests;

/// Whether something listens: SYN, SYN/ACK, RST, three packets and no trace in the server.
///
/// Two options make it so. Without quick acknowledgements Linux holds back the ACK that would
/// complete the handshake, in the hope of data to send with it; closing with a zero linger sends
/// an RST instead. So the listener answers, yet its program is never handed the connection, and an
/// API server does not log a failed TLS handshake every two seconds. Nor does a TIME_WAIT remain on
/// our side.
///
/// What it cannot see: a program that hangs while its kernel still accepts for it.
pub(super) async fn knock(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_zero_linger()?;
    SockRef::from(&socket).set_tcp_quickack(false)?;
    socket.connect(address).await?;
    Ok(())
}
