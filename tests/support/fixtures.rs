//! The manifests of `examples/invalid/`: what each is validated with, and what it must raise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, io};

use ebpf_apply::validate::{Demands, Validation, validate_for};

use crate::support;

/// A manifest that is refused, or not without a warning.
pub(crate) struct Fixture {
    /// Its file without the ending: for most, the code that it is about.
    pub(crate) name: String,
    /// Relative to the package's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// The codes after `# raises:`, in alphabetical order.
    pub(crate) raises: Vec<String>,
    /// `--kernel` by the release after `# kernel:`, and `--require-digests` by `# requires: digests`.
    pub(crate) demands: Demands,
}

/// All of them, by name.
pub(crate) fn invalid() -> Vec<Fixture> {
    manifests("examples/invalid").into_iter().map(|path| Fixture::read(&path)).collect()
}

/// The manifests of a directory, relative to the package's root.
pub(crate) fn manifests(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(support::root().join(directory)).expect("the directory is there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Path::new(directory).join(entry.expect("an entry").file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

impl Fixture {
    /// Reads a manifest and what its comments say, and builds the objects that it names.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(support::root().join(path)).expect("a manifest is text");
        for object in objects(&text) {
            support::object(object);
        }
        let said = |what: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(what));
            line.map(|line| line.trim().to_owned())
        };
        let raises = said("raises:").unwrap_or_default();
        Self {
            name: path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned(),
            path: path.to_owned(),
            raises: raises.split(", ").filter(|code| !code.is_empty()).map(str::to_owned).collect(),
            demands: Demands {
                kernel: said("kernel:").map(|release| release.parse().expect("a release")),
                digests: said("requires:").is_some_and(|what| what == "digests"),
                keys: Vec::new(),
            },
            text,
        }
    }

    /// Validates it with the package's root as working directory.
    pub(crate) fn validate(&self) -> Validation {
        validate_for(&self.path, &self.text, &self.demands, &read)
    }
}

/// The names of the objects of `bpf/` that a manifest names.
pub(crate) fn objects(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("bpf/out/").filter_map(|(at, found)| {
        let (name, _) = text[at + found.len()..].split_once(".bpf.o")?;
        Some(name)
    })
}

/// A file below the package's root, read from disk once.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    static FILES: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut files = FILES.lock().expect("no test panics while it reads");
    if let Some(bytes) = files.get(path) {
        return Ok(bytes.clone());
    }
    let bytes = fs::read(support::root().join(path))?;
    files.insert(path.to_owned(), bytes.clone());
    Ok(bytes)
}
