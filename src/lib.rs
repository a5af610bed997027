//! `ebpf-apply` brings a host's eBPF state to what a TOML manifest declares.
//!
//! ```text
//! manifest text ─parse─► Manifest ─┐
//!                                  ├─validate─► Desired ─┐
//! object bytes ─inspect─► Specs ───┘                     ├─plan─► Plan ─apply─► Outcome
//!                         kernel, bpffs ─observe─► Live ─┘
//! ```
//!
//! Everything up to the [`plan::Plan`] is pure: it reads no file, asks no kernel, and can be tested
//! on any machine. [`kernel`] is the one door to the kernel, and [`apply`] the only room that knows
//! both sides. `ARCHITECTURE.md` says which room may know which, and a test holds it.

pub mod apply;
pub mod btf;
pub mod cli;
pub mod draft;
pub mod kernel;
pub mod manifest;
pub mod model;
pub mod object;
pub mod plan;
pub mod relocate;
pub mod trust;
pub mod validate;
pub mod view;
pub mod watch;
