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
//!
//! # As a library
//!
//! [`validate`] is made for other programs: editors, pipelines, admission checks. It gives what
//! `ebpf-apply validate` says as data, without a kernel or privileges, and prints nothing.
//! [`view::problems`] renders it as the program does. The codes of problems and what [`manifest`]
//! describes are as stable as the program's own interface; the other rooms are public for the program
//! and its tests, and follow its needs.
//!
//! ```
//! use ebpf_apply::validate::Validator;
//! use ebpf_apply::view::{Style, problems};
//!
//! let report = Validator::new().check(["examples/invalid/bad-name.toml"]);
//! for manifest in &report.manifests {
//!     let file = manifest.path.display().to_string();
//!     let (source, found) = (&manifest.source, &manifest.problems);
//!     let view = problems::Report { file: &file, source, problems: found };
//!     assert!(problems::concise(&[view], Style::PLAIN).contains("error[bad-name]"));
//! }
//! assert!(!report.is_valid());
//! ```

pub mod apply;
#[doc(hidden)]
pub mod btf;
#[doc(hidden)]
pub mod cli;
pub mod draft;
pub mod kernel;
pub mod manifest;
pub mod model;
pub mod object;
pub mod plan;
#[doc(hidden)]
pub mod relocate;
#[doc(hidden)]
pub mod trust;
pub mod validate;
pub mod view;
#[doc(hidden)]
pub mod watch;
