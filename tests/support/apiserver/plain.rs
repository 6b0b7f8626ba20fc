//! Echoes over TCP and UDP.

use std::sync::Arc;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UdpSocket},
};

use super::State;

/// Sends every line back until the client closes; the line `whoami` becomes the server's name.
pub(super) async fn echo_lines(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(1..)) {
        if line == "whoami\n" {
            line = format!("{}\n", state.name);
        }
        if stream.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// Answers every datagram with `NAME payload`.
pub(super) async fn echo_datagrams(socket: UdpSocket, state: Arc<State>) {
    let mut payload = vec![0; 65_536];
    loop {
        // An error is a late ICMP message about an earlier answer.
        let Ok((length, from)) = socket.recv_from(&mut payload).await else { continue };
        let answer = [state.name.as_bytes(), b" ", &payload[..length]].concat();
        drop(socket.send_to(&answer, from).await);
    }
}
