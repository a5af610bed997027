//! `ebpf-apply`: a declarative eBPF loader.

pub mod kernel;
pub mod model;
pub mod object;
pub mod validate;
