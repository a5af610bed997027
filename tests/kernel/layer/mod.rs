//! The kernel layer by itself: the contract suite, and what only the real kernel can show.

mod attach;
mod capabilities;
mod contents;
mod contract;
mod dialect;
mod entries;
mod externs;
mod helpers;
mod legacy;
mod licenses;
mod maps;
mod modules;
mod namespaces;
mod pins;
mod races;
mod refusals;
pub(crate) mod running;
mod sections;
mod shapes;
mod struct_ops;
