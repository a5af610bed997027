//! Tests on the running kernel, each in namespaces of its own. They need root, and fail without it;
//! they skip, by name, only what the running kernel lacks by the table of `features`.

#[path = "../support/contract/mod.rs"]
mod contract;
#[path = "../support/features.rs"]
mod features;
#[path = "../support/minisign.rs"]
mod minisign;
#[path = "../support/sandbox.rs"]
mod sandbox;
#[path = "../support/mod.rs"]
mod support;

mod adoption;
mod book;
mod crashes;
mod dispatchers;
mod examples;
mod hooks;
mod host;
mod layer;
mod least;
mod lifetimes;
mod locks;
mod migration;
mod net_hooks;
mod nobody;
mod operations;
mod output;
mod permissions;
mod pipeline;
mod probes;
mod program;
mod progress;
mod refusals;
mod replacements;
mod same_as_libbpf;
mod shared_xdp;
mod signed;
mod slots;
mod types;
mod updates;
mod volatile;
mod watch;
