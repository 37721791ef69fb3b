//! The `fwproof` command.
fn main() {}
