//! What can be wrong with BTF.

/// Why BTF could not be read, or a question about a type has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// Fewer bytes than the header says or needs.
    #[error("BTF is cut short: {have} bytes where {need} are needed")]
    Truncated {
        /// Bytes needed.
        need: u64,
        /// Bytes there.
        have: u64,
    },
    /// The magic number of the other byte order.
    #[error("BTF is big-endian; only little-endian objects are supported")]
    BigEndian,
    /// Not BTF at all.
    #[error("not BTF: it begins with {0:#06x} instead of 0xeb9f")]
    Magic(u16),
    /// A version of `.BTF.ext` this program does not know.
    #[error("version {0} of the BTF format is unknown")]
    Version(u8),
    /// The parts the header names overlap, lie outside, or are misaligned.
    #[error("the BTF header is wrong: {0}")]
    Header(&'static str),
    /// A type that cannot be decoded, and so neither can those after it.
    #[error("BTF type {id} is wrong: {reason}")]
    Type {
        /// Its id.
        id: u32,
        /// What is wrong.
        reason: String,
    },
    /// An id no type has.
    #[error("there is no BTF type {0}")]
    NoSuchType(u32),
    /// More typedefs, qualifiers or array dimensions than any sane type has, or a loop of them.
    #[error("BTF type {0} refers to others too deeply")]
    TooDeep(u32),
    /// `void`, a function, a forward declaration.
    #[error("BTF type {0} has no size")]
    Unsized(u32),
    /// An array of more than 4 GiB.
    #[error("BTF type {0} is larger than 4 GiB")]
    TooLarge(u32),
}
