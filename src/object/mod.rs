//! ELF objects as plain facts: bytes in, [`ObjectSpec`](crate::model::object::ObjectSpec) out.
//!
//! The only reader of ELF for facts. Needs no privilege and no kernel, and panics on no input.

mod image;

pub use image::Image;
