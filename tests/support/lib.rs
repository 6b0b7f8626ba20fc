//! The lab: network namespaces as hosts, real servers in them, and what tests measure with.
//!
//! | room | what it holds |
//! |---|---|
//! | [`lab`] | hosts, wires, faults, processes; needs root |
//! | [`pki`] | a certificate authority and what it signed |
//! | [`apiserver`] | the API server that runs on the lab's backends (`lb-apiserver`) |
//! | [`agent`] | an agent on a balancer, and its commands |
//! | [`agent_config`] | the text of a `lb.toml` |
//! | [`client`] | requests and connection pools, sent from inside a host |
//! | [`capture`] | tcpdump on a host's interface, and its packets |
//! | [`packet`] | frames built byte by byte |
//! | [`datapath`] | the program loaded by itself, without a lab |
//! | [`model`] | a plain model of it |
//! | [`wait`] | waiting for a condition instead of for a time |

pub mod agent;
pub mod agent_config;
pub mod apiserver;
pub mod capture;
pub mod client;
pub mod datapath;
pub mod lab;
pub mod model;
pub mod packet;
pub mod pki;
pub mod wait;
