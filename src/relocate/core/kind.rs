//! What a relocation asks, and names without their flavour.

/// `enum bpf_core_relo_kind` of `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(in crate::relocate) enum ReloKind {
    FieldByteOffset = 0,
    FieldByteSize = 1,
    FieldExists = 2,
    FieldSigned = 3,
    FieldLshiftU64 = 4,
    FieldRshiftU64 = 5,
    TypeIdLocal = 6,
    TypeIdTarget = 7,
    TypeExists = 8,
    TypeSize = 9,
    EnumvalExists = 10,
    EnumvalValue = 11,
    TypeMatches = 12,
}

/// What a relocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Field,
    Type,
    Enumerator,
}

impl ReloKind {
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::FieldByteOffset,
            1 => Self::FieldByteSize,
            2 => Self::FieldExists,
            3 => Self::FieldSigned,
            4 => Self::FieldLshiftU64,
            5 => Self::FieldRshiftU64,
            6 => Self::TypeIdLocal,
            7 => Self::TypeIdTarget,
            8 => Self::TypeExists,
            9 => Self::TypeSize,
            10 => Self::EnumvalExists,
            11 => Self::EnumvalValue,
            12 => Self::TypeMatches,
            _ => return None,
        })
    }

    pub(super) fn subject(self) -> Subject {
        match self {
            Self::FieldByteOffset
            | Self::FieldByteSize
            | Self::FieldExists
            | Self::FieldSigned
            | Self::FieldLshiftU64
            | Self::FieldRshiftU64 => Subject::Field,
            Self::TypeIdLocal
            | Self::TypeIdTarget
            | Self::TypeExists
            | Self::TypeSize
            | Self::TypeMatches => Subject::Type,
            Self::EnumvalExists | Self::EnumvalValue => Subject::Enumerator,
        }
    }

    /// As libbpf's `core_relo_kind_str`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FieldByteOffset => "byte_off",
            Self::FieldByteSize => "byte_sz",
            Self::FieldExists => "field_exists",
            Self::FieldSigned => "signed",
            Self::FieldLshiftU64 => "lshift_u64",
            Self::FieldRshiftU64 => "rshift_u64",
            Self::TypeIdLocal => "local_type_id",
            Self::TypeIdTarget => "target_type_id",
            Self::TypeExists => "type_exists",
            Self::TypeSize => "type_size",
            Self::EnumvalExists => "enumval_exists",
            Self::EnumvalValue => "enumval_value",
            Self::TypeMatches => "type_matches",
        }
    }
}

/// A name without its flavour: `task_struct` of `task_struct___old` (libbpf
/// `bpf_core_essential_name_len`).
pub(in crate::relocate) fn essential(name: &[u8]) -> &[u8] {
    // Three in a row cover a third place, and few names of a kernel have a `_` at one of them.
    if name.iter().skip(2).step_by(3).all(|byte| *byte != b'_') {
        return name;
    }
    let separator = name.windows(5).rposition(|window| {
        matches!(window, [before, b'_', b'_', b'_', after] if *before != b'_' && *after != b'_')
    });
    separator.and_then(|at| name.get(..=at)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::essential;

    #[test]
    fn a_flavour_is_what_follows_the_last_three_underscores() {
        assert_eq!(essential(b"task_struct___old"), b"task_struct");
        assert_eq!(essential(b"a___b___c"), b"a___b");
        assert_eq!(essential(b"a____b"), b"a____b");
        assert_eq!(essential(b"___a"), b"___a");
        assert_eq!(essential(b"a___"), b"a___");
        assert_eq!(essential(b""), b"");
    }
}
