//! What must hold between a manifest and its objects, one family a file.
//!
//! Each family reports what is wrong and goes on; those that also settle something (a policy, a
//! value, a place) yield it as far as it can be settled.

pub(super) mod attachments;
pub(super) mod contents;
pub(super) mod expect;
pub(super) mod flags;
pub(super) mod globals;
pub(super) mod iterated;
pub(super) mod kernel;
pub(super) mod kernel_names;
pub(super) mod license;
pub(super) mod maps;
pub(super) mod named;
pub(super) mod names;
mod net;
pub(super) mod operations;
pub(super) mod paths;
pub(super) mod pins;
pub(super) mod places;
mod probes;
pub(super) mod programs;
pub(super) mod replaced;
pub(super) mod shape;
mod shared;
pub(super) mod tracing;
