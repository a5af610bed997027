//! ELF objects as plain facts: bytes in, [`ObjectSpec`](crate::model::object::ObjectSpec) out.
//!
//! The only reader of ELF for facts. Needs no privilege and no kernel, and panics on no input.

mod ctypes;
mod definition;
mod elf;
mod error;
mod image;
mod input;
mod programs;
pub mod sections;

pub use error::InspectError;
pub use image::Image;
