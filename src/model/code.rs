//! The codes of all problems, readable and stable: they are part of the machine-readable output.

macro_rules! codes {
    ($($constant:ident = $code:literal, $summary:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $summary, ".")] pub const $constant: &str = $code;)*

        /// Every code with what it stands for, in one line without a full stop.
        pub const ALL: &[(&str, &str)] = &[$(($constant, $summary),)*];
    };
}

codes! {
    MANIFEST_TOO_LARGE = "manifest-too-large", "the manifest is larger than 1 MiB";
    TOML_SYNTAX = "toml-syntax", "the manifest is not TOML";
    DUPLICATE_KEY = "duplicate-key", "a key or table is there twice";
    UNKNOWN_KEY = "unknown-key", "the manifest's format has no such key";
    WRONG_TYPE = "wrong-type", "a value of another type is needed";
    BAD_VALUE = "bad-value", "a value outside those allowed";
    MISSING_KEY = "missing-key", "a key that must be there is not";
    UNSUPPORTED_VERSION = "unsupported-version", "a version of the format that this program does not know";
    BAD_NAME = "bad-name", "a name with characters that bpffs or a path would not take";
    BAD_SUBPATH = "bad-subpath", "a sub-path that does not stay below the pin root or that bpffs would refuse";
    BAD_PIN_ROOT = "bad-pin-root", "a pin root that is not an absolute path, or that bpffs would refuse";
    BAD_DIGEST = "bad-digest", "a digest that is not 64 hexadecimal digits";
}
