//! Host tests of the packet path.
