//! The lab: network namespaces as hosts, real servers in them, and what tests measure with.
//!
//! | room | what it holds |
//! |---|---|
//! | [`lab`] | hosts, wires, faults, processes; needs root |
//! | [`pki`] | a certificate authority and what it signed |
//! | [`apiserver`] | the API server that runs on the lab's backends (`lb-apiserver`) |
//! | [`agent`] | an agent on a balancer: started, asked, reloaded, killed |
//! | [`agent_config`] | the text of a `lb.toml` |
//! | [`client`] | requests and connection pools, sent from inside a host |
//! | [`opener`] | a new connection every 5 ms, and the outage that they saw |
//! | [`claims`] | an observer of who claims a VIP, millisecond by millisecond |
//! | [`vrrp`] | a virtual router, written for keepalived and for the agent; advertisements |
//! | [`keepalived`], [`haproxy`] | the real ones on a host |
//! | [`node`] | a balancer with either, to be stopped, killed, frozen |
//! | [`bed`] | nodes that share a VIP, backends, a client and an observer |
//! | [`routers`] | agents with virtual routers of any configuration |
//! | [`capture`] | tcpdump on a host's interface, and its packets |
//! | [`packet`] | frames built byte by byte, checksums in full |
//! | [`datapath`] | the loaded program under `BPF_PROG_TEST_RUN` |
//! | [`model`] | a plain model of the data plane, to hold the program against |
//! | [`wait`] | waiting for a condition instead of for a time |

pub mod agent;
pub mod agent_config;
pub mod apiserver;
pub mod bed;
pub mod capture;
pub mod claims;
pub mod client;
pub mod datapath;
pub mod haproxy;
pub mod keepalived;
pub mod lab;
pub mod model;
pub mod node;
pub mod opener;
pub mod packet;
pub mod pki;
pub mod routers;
pub mod vrrp;
pub mod wait;
