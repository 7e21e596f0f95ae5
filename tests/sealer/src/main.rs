//! An audit log without a daemon.

fn main() {}
