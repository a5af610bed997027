//! Tests on the running kernel, each in namespaces of its own. They need root, and fail without it;
//! they skip, by name, only what the running kernel is too old for.

#[path = "../support/contract/mod.rs"]
mod contract;
#[path = "../support/sandbox.rs"]
mod sandbox;
#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod crashes;
mod examples;
mod host;
mod layer;
mod lifetimes;
mod locks;
mod migration;
mod output;
mod permissions;
mod program;
mod readme;
mod refusals;
mod same_as_libbpf;
mod slots;
mod types;
mod updates;
mod watch;
