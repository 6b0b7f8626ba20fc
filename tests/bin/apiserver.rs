//! `lb-apiserver`: what the lab's backends run.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use lb_tests::apiserver::{Options, serve};

/// An API server as far as a load balancer sees it
#[derive(Debug, Parser)]
struct Args {
    /// What it calls itself in `X-Server`
    #[arg(long)]
    name: String,
    /// Serve HTTPS here; may be repeated
    #[arg(long, value_name = "ADDR:PORT", requires = "cert", requires = "key")]
    listen: Vec<SocketAddr>,
    /// Serve HTTP here
    #[arg(long, value_name = "ADDR:PORT")]
    http: Vec<SocketAddr>,
    /// Echo lines here; `whoami` is answered by the name
    #[arg(long, value_name = "ADDR:PORT")]
    tcp_echo: Vec<SocketAddr>,
    /// Answer datagrams here with `NAME payload`
    #[arg(long, value_name = "ADDR:PORT")]
    udp_echo: Vec<SocketAddr>,
    /// Certificate chain, PEM
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// Ask clients for a certificate that one of these signed, PEM
    #[arg(long)]
    client_ca: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    serve(Options {
        name: args.name,
        listen: args.listen,
        http: args.http,
        tcp_echo: args.tcp_echo,
        udp_echo: args.udp_echo,
        certificate: args.cert.zip(args.key),
        client_ca: args.client_ca,
    })
    .await
}
