//! Host tests of the packet path.

mod claim;
mod csum;
mod cursor;
mod frames;
mod icmp;
mod parse;
mod reset;
mod rewrite;
mod select;
