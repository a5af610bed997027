//! The codes of all problems, readable and stable: they are part of the machine-readable output.

use super::problem::Severity;

macro_rules! codes {
    ($($constant:ident = $code:literal, $severity:ident, $summary:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $summary, ".")] pub const $constant: &str = $code;)*

        /// Every code with what it stands for, in one line without a full stop.
        pub const ALL: &[(&str, &str)] = &[$(($constant, $summary),)*];

        /// In the order of [`ALL`].
        const SEVERITIES: &[Option<Severity>] = &[$(fixed!($severity),)*];

        /// In the order of [`ALL`].
        const PAGES: &[&str] = &[$(include_str!(concat!("../../docs/codes/", $code, ".md")),)*];
    };
}

macro_rules! fixed {
    (error) => {
        Some(Severity::Error)
    };
    (warning) => {
        Some(Severity::Warning)
    };
    (either) => {
        None
    };
}

/// The severity that every problem of a code has; `None` if that depends, or for no code of these.
#[must_use]
pub fn severity(code: &str) -> Option<Severity> {
    let at = ALL.iter().position(|(known, _)| *known == code)?;
    SEVERITIES.get(at).copied().flatten()
}

/// What a code means, an example, and how to mend it, in Markdown.
#[must_use]
pub fn page(code: &str) -> Option<&'static str> {
    let at = ALL.iter().position(|(known, _)| *known == code)?;
    PAGES.get(at).copied()
}

codes! {
    MANIFEST_UNREADABLE = "manifest-unreadable", error, "the manifest's file cannot be read";
    INSECURE_PERMISSIONS = "insecure-permissions", either, "others than root and the user could change the manifest, an object, or the way to it";
    SIGNATURE_MISSING = "signature-missing", error, "a trusted key must have signed the manifest, and there is no signature";
    SIGNATURE_INVALID = "signature-invalid", error, "the manifest's signature is of no trusted key, or of other bytes";
    MANIFEST_TOO_LARGE = "manifest-too-large", error, "the manifest is larger than 1 MiB";
    TOML_SYNTAX = "toml-syntax", error, "the manifest is not TOML";
    DUPLICATE_KEY = "duplicate-key", error, "a key or table is there twice";
    UNKNOWN_KEY = "unknown-key", error, "the manifest's format has no such key";
    WRONG_TYPE = "wrong-type", error, "a value of another type is needed";
    BAD_VALUE = "bad-value", error, "a value outside those allowed";
    MISSING_KEY = "missing-key", error, "a key that must be there is not";
    UNSUPPORTED_VERSION = "unsupported-version", error, "a version of the format that this program does not know";
    BAD_NAME = "bad-name", error, "a name with characters that bpffs or a path would not take";
    BAD_SUBPATH = "bad-subpath", error, "a sub-path that does not stay below the pin root or that bpffs would refuse";
    BAD_PIN_ROOT = "bad-pin-root", error, "a pin root that is not an absolute path, or that bpffs would refuse";
    DUPLICATE_DEPLOYMENT = "duplicate-deployment", error, "two manifests of one host declare a deployment of one name";
    DEPLOYMENT_CHANGED = "deployment-changed", error, "the manifest of a running deployment has become that of another one";
    BAD_DIGEST = "bad-digest", error, "a digest that is not 64 hexadecimal digits";

    OBJECT_UNREADABLE = "object-unreadable", error, "an object's file cannot be read";
    OBJECT_TOO_LARGE = "object-too-large", error, "an object is larger than 64 MiB";
    TOO_MANY_OBJECTS = "too-many-objects", error, "more than 256 objects in one manifest";
    OBJECT_INVALID = "object-invalid", error, "a file is no BPF object";
    OBJECT_DEFECT = "object-defect", either, "a part of an object is broken";
    MAP_DEFINITION_INVALID = "map-definition-invalid", error, "a map's definition contradicts itself or says what libbpf does not know";
    MAP_SHAPE_REFUSED = "map-shape-refused", either, "a map with sizes, entries or flags that no kernel takes for its type";
    DIGEST_MISMATCH = "digest-mismatch", error, "an object has other bytes than the manifest says";
    DIGEST_MISSING = "digest-missing", error, "digests are required, and an object has none";
    EXTERN_UNSUPPORTED = "extern-unsupported", error, "an object needs a symbol that no kernel has";
    UNKNOWN_MAP = "unknown-map", error, "the object has no such map";
    UNKNOWN_PROGRAM = "unknown-program", error, "the object has no such program";
    UNKNOWN_FUNCTION = "unknown-function", error, "a program has no such function, or none that can be replaced";
    UNKNOWN_GLOBAL = "unknown-global", error, "the object has no such global variable";
    UNKNOWN_SECTION = "unknown-section", either, "a program's section does not say what kind of program it is";
    LEGACY_MAP = "legacy-map", warning, "a map is defined in the way of before BTF";
    SLOT_NOT_LOADED = "slot-not-loaded", error, "a map's initial contents name a program that is not loaded";
    GPL_ONLY_HELPER = "gpl-only-helper", error, "a program without a GPL-compatible license calls a helper for such programs only";
    GPL_ONLY_PROGRAM = "gpl-only-program", either, "a program that the kernel takes only from objects with a GPL-compatible license";
    KERNEL_TOO_OLD = "kernel-too-old", either, "something that the kernel asked for with `--kernel` does not have";
    PIN_ATTRIBUTE_MISSING = "pin-attribute-missing", error, "the manifest pins a map whose definition does not ask for it";
    PIN_ATTRIBUTE_INVALID = "pin-attribute-invalid", error, "a map's `pinning` attribute has a value libbpf does not know";
    MAP_UNPINNABLE = "map-unpinnable", error, "a kind of map that cannot be pinned";
    EXTERNAL_CONFLICT = "external-conflict", error, "an external map is asked to be created, replaced or left without a pin";
    NO_EFFECT = "no-effect", warning, "a setting that changes nothing";
    CONTENTS_NOT_KEPT = "contents-not-kept", warning, "a map that persists, and whose contents do not";
    KERNEL_NAME_CLASH = "kernel-name-clash", warning, "two maps of one object that the kernel shows under one name";
    SHARED_MAP_DIFFERS = "shared-map-differs", error, "two objects share a path and do not agree on the map";
    LAYOUT_UNKNOWN = "layout-unknown", warning, "two objects share a map, and one of them does not say what is in it";
    PIN_PATH_CLASH = "pin-path-clash", error, "two different things are pinned at one path";
    PIN_PATH_NESTED = "pin-path-nested", error, "a pin's path is the directory of another pin";
    EXPECT_MISMATCH = "expect-mismatch", error, "a map is not what the manifest expects";
    MAX_ENTRIES_INAPPLICABLE = "max-entries-inapplicable", error, "a map that takes no number of entries";
    MAX_ENTRIES_MEANING = "max-entries-meaning", warning, "a number of entries that means something else for its type of map";
    MIGRATE_INAPPLICABLE = "migrate-inapplicable", error, "a map whose entries cannot be carried over into a new one";
    HOOK_MISMATCH = "hook-mismatch", error, "a program of a type that the hook does not take";
    SECTION_INCOMPLETE = "section-incomplete", error, "a section that does not say where its program is attached";
    TARGET_MISMATCH = "target-mismatch", either, "a program that was made for another place";
    BAD_TARGET = "bad-target", error, "a place that cannot exist";
    DUPLICATE_ATTACHMENT = "duplicate-attachment", error, "a program attached to one place twice";
    ATTACHMENT_CONFLICT = "attachment-conflict", either, "two programs at a place that has room for one";
    GLOBAL_TYPE = "global-type", error, "a value of another type than the variable's";
    GLOBAL_RANGE = "global-range", error, "a value that does not fit the variable";
    GLOBAL_UNSUPPORTED = "global-unsupported", error, "a variable that no value can be written for";
}
