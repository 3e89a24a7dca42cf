//! ss.
fn main() {}
