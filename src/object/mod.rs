//! ELF objects as plain facts: bytes in, [`ObjectSpec`](crate::model::object::ObjectSpec) out.
//!
//! The only reader of ELF for facts. Needs no privilege and no kernel, and panics on no input. What
//! it says is what libbpf would make of the object, as declared: it normalises nothing, judges no
//! pin, and knows no manifest.

mod arena;
mod ctypes;
mod data;
mod definition;
mod elf;
mod error;
mod externs;
mod image;
mod input;
mod inspect;
mod legacy;
mod maps;
mod named;
mod programs;
mod run_config;
pub mod sections;
mod slots;
mod struct_ops;
#[cfg(test)]
mod test_btf;
mod uses;

pub use ctypes::expand_types;
pub use error::InspectError;
pub use image::Image;
pub use inspect::inspect;
