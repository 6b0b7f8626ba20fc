use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::knock;

async fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_listener_answers_and_its_program_never_knows() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let (listener, address) = listener(any).await;
        for _ in 0..20 {
            knock(address).await.unwrap();
        }
        let client = TcpStream::connect(address).await.unwrap();
        // Accepting is first come, first served: a knock that had become a connection comes first.
        let (_server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let (listener, address) = listener("127.0.0.1:0").await;
    drop(listener);
    assert_eq!(knock(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}
