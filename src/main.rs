//! The command line of `ebpf-apply`.

fn main() {}
