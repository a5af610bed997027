//! `ebpf-apply`: a declarative eBPF loader.

pub mod btf;
pub mod model;
pub mod object;
pub mod validate;
