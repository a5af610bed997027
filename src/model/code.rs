//! The codes of all problems, readable and stable: they are part of the machine-readable output.

macro_rules! codes {
    ($($constant:ident = $code:literal, $summary:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $summary, ".")] pub const $constant: &str = $code;)*

        /// Every code with what it stands for, in one line without a full stop.
        pub const ALL: &[(&str, &str)] = &[$(($constant, $summary),)*];
    };
}

codes! {
    MANIFEST_UNREADABLE = "manifest-unreadable", "the manifest's file cannot be read";
    INSECURE_PERMISSIONS = "insecure-permissions", "others than root and the user could change the manifest, an object, or the way to it";
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
    DUPLICATE_DEPLOYMENT = "duplicate-deployment", "two manifests of one host declare a deployment of one name";
    DEPLOYMENT_CHANGED = "deployment-changed", "the manifest of a running deployment has become that of another one";
    BAD_DIGEST = "bad-digest", "a digest that is not 64 hexadecimal digits";

    OBJECT_UNREADABLE = "object-unreadable", "an object's file cannot be read";
    OBJECT_TOO_LARGE = "object-too-large", "an object is larger than 64 MiB";
    TOO_MANY_OBJECTS = "too-many-objects", "more than 256 objects in one manifest";
    OBJECT_INVALID = "object-invalid", "a file is no BPF object";
    OBJECT_DEFECT = "object-defect", "a part of an object is broken";
    DIGEST_MISMATCH = "digest-mismatch", "an object has other bytes than the manifest says";
    EXTERN_UNSUPPORTED = "extern-unsupported", "an object needs a symbol that no kernel has";
    UNKNOWN_MAP = "unknown-map", "the object has no such map";
    UNKNOWN_PROGRAM = "unknown-program", "the object has no such program";
    UNKNOWN_FUNCTION = "unknown-function", "a program has no such function, or none that can be replaced";
    UNKNOWN_GLOBAL = "unknown-global", "the object has no such global variable";
    UNKNOWN_SECTION = "unknown-section", "a program's section does not say what kind of program it is";
    LEGACY_MAP = "legacy-map", "a map is defined in the way of before BTF";
    SLOT_NOT_LOADED = "slot-not-loaded", "a map's initial contents name a program that is not loaded";
    PIN_ATTRIBUTE_MISSING = "pin-attribute-missing", "the manifest pins a map whose definition does not ask for it";
    PIN_ATTRIBUTE_INVALID = "pin-attribute-invalid", "a map's `pinning` attribute has a value libbpf does not know";
    MAP_UNPINNABLE = "map-unpinnable", "a kind of map that cannot be pinned";
    EXTERNAL_CONFLICT = "external-conflict", "an external map is asked to be created, replaced or left without a pin";
    NO_EFFECT = "no-effect", "a setting that changes nothing";
    SHARED_MAP_DIFFERS = "shared-map-differs", "two objects share a path and do not agree on the map";
    PIN_PATH_CLASH = "pin-path-clash", "two different things are pinned at one path";
    PIN_PATH_NESTED = "pin-path-nested", "a pin's path is the directory of another pin";
    EXPECT_MISMATCH = "expect-mismatch", "a map is not what the manifest expects";
    MAX_ENTRIES_INAPPLICABLE = "max-entries-inapplicable", "a map that takes no number of entries";
    MIGRATE_INAPPLICABLE = "migrate-inapplicable", "a map whose entries cannot be carried over into a new one";
    HOOK_MISMATCH = "hook-mismatch", "a program of a type that the hook does not take";
    HOOK_UNAVAILABLE = "hook-unavailable", "a hook that this version cannot attach to";
    OPTION_UNAVAILABLE = "option-unavailable", "an option that this version does not carry out";
    SECTION_INCOMPLETE = "section-incomplete", "a section that does not say where its program is attached";
    TARGET_MISMATCH = "target-mismatch", "a program that was made for another place";
    BAD_TARGET = "bad-target", "a place that cannot exist";
    DUPLICATE_ATTACHMENT = "duplicate-attachment", "a program attached to one place twice";
    ATTACHMENT_CONFLICT = "attachment-conflict", "two programs at a place that has room for one";
    GLOBAL_TYPE = "global-type", "a value of another type than the variable's";
    GLOBAL_RANGE = "global-range", "a value that does not fit the variable";
    GLOBAL_UNSUPPORTED = "global-unsupported", "a variable that no value can be written for";
}
