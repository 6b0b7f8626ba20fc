//! What the tests share: a packet builder, the loaded data plane, and a plain model of it.

pub mod datapath;
pub mod model;
pub mod packet;
