//! `ebpf-apply`: a declarative eBPF loader.

pub mod apply;
pub mod btf;
pub mod kernel;
pub mod model;
pub mod object;
pub mod plan;
pub mod relocate;
pub mod validate;
pub mod view;
