//! BTF, the BPF Type Format, read where it lies.
//!
//! [`Btf`] borrows the bytes of a `.BTF` section or of `/sys/kernel/btf/vmlinux` and keeps one
//! number a type: where it begins. Everything else is decoded when it is asked for, so that the
//! kernel's 150 000 types cost a few milliseconds and less than a megabyte. [`BtfExt`] does the same
//! for `.BTF.ext`.
//!
//! This room knows the format (`include/uapi/linux/btf.h`) and nothing of maps, programs or C
//! syntax. It does no I/O and panics on no bytes: what is out of range reads as absent or as an
//! empty name, and loops among types end at a bound.

mod bytes;
mod error;
mod ext;
mod header;
mod kind;
mod list;
mod lookup;
mod parts;
mod reader;
mod resolve;
mod types;

pub use bytes::Strings;
pub use error::BtfError;
pub use ext::{BtfExt, CoreRelo, FuncInfo, InfoSection, InfoTable, LineInfo};
pub use kind::Kind;
pub use list::{Iter, List, Record};
pub use parts::{Array, Enumerator, Enumerators, Int, IntEncoding, Linkage, Member, Param, SecVar};
pub use reader::Btf;
pub use types::{Shape, Type};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;
