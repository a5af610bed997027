//! The objects a manifest names: read once, measured, compared with their digests, inspected.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::demands::Demands;
use super::findings::Findings;
use crate::manifest::{KeyPath, Manifest};
use crate::model::code;
use crate::model::name::Name;
use crate::model::problem::Problem;
use crate::object::{Image, InspectError};

/// Largest object, in bytes.
pub const OBJECT_MAX: usize = 64 << 20;

/// Most objects that one manifest may name.
pub const OBJECTS_MAX: usize = 256;

/// Most bytes of all of them together, so that no manifest decides how much memory is taken.
const TOGETHER_MAX: usize = 4 * OBJECT_MAX;

/// An object that a manifest names.
#[derive(Clone, Debug)]
pub struct ObjectFile {
    /// Its name in the manifest.
    pub name: Name,
    /// Its file, the manifest's directory in front.
    pub path: PathBuf,
    /// Its contents, if they could be read and are a BPF object.
    pub image: Option<Arc<Image>>,
}

/// Why a file yields no object.
enum Unloaded {
    Read(io::Error),
    TooLarge,
    TooLargeTogether,
    Invalid(InspectError),
}

/// Reads every object of the manifest; a file that two objects name, once.
pub(super) fn load(
    manifest: &Manifest,
    path: &Path,
    demands: &Demands,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    findings: &mut Findings<'_>,
) -> Vec<ObjectFile> {
    let mut images = BTreeMap::<PathBuf, Result<Arc<Image>, Unloaded>>::new();
    let mut files = Vec::new();
    let mut together = 0;
    if manifest.objects.len() > OBJECTS_MAX {
        let count = manifest.objects.len();
        let message = format!("{count} objects; at most {OBJECTS_MAX} are read");
        let problem = Problem::error(code::TOO_MANY_OBJECTS, None, message)
            .help("several manifests, each with a name of its own, can be applied side by side");
        findings.at_key(&KeyPath::of(["objects"]), problem);
        return files;
    }
    for (name, entry) in &manifest.objects {
        let at = KeyPath::of(["objects", name.as_str()]);
        let path = entry.file(path);
        let image = images.entry(path.clone()).or_insert_with(|| open(&path, read, &mut together));
        match image {
            Ok(image) => {
                if let Some(wanted) = entry.sha256.filter(|wanted| *wanted != image.digest) {
                    let message = format!("the object is {}, not {wanted}", image.digest);
                    let problem = Problem::error(code::DIGEST_MISMATCH, None, message)
                        .label("of other bytes")
                        .help("if the new bytes are meant, write their digest here");
                    findings.at_value(&at.key("sha256"), problem);
                }
            }
            Err(error) => findings.at_value(&at.key("path"), unloaded(error, &entry.path, &path)),
        }
        if demands.wants_digests() && entry.sha256.is_none() {
            let image = image.as_deref().ok();
            let problem = without_digest(name, image, !demands.keys.is_empty());
            if !findings.is_marked(&at.key("sha256")) {
                findings.at_key(&at, problem);
            }
        }
        let image = image.as_ref().ok().map(Arc::clone);
        files.push(ObjectFile { name: name.clone(), path, image });
    }
    files
}

/// An object that could be replaced without a change of the manifest.
fn without_digest(name: &Name, image: Option<&Image>, signed: bool) -> Problem {
    let why = if signed {
        "a signed manifest vouches only for what it names by digest"
    } else {
        "digests are required"
    };
    let problem = Problem::error(
        code::DIGEST_MISSING,
        None,
        format!("object `{name}` has no `sha256`, and {why}"),
    )
    .label("may be any file");
    match image {
        Some(image) => problem.help(format!(
            "if the file there is what was reviewed, its digest is {}",
            image.digest
        )),
        None => problem.help("`sha256sum` prints the digest of a file"),
    }
}

/// Opens an object; `together` counts the bytes of all of them.
fn open(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    together: &mut usize,
) -> Result<Arc<Image>, Unloaded> {
    if *together > TOGETHER_MAX {
        return Err(Unloaded::TooLargeTogether);
    }
    let bytes = read(path).map_err(Unloaded::Read)?;
    if bytes.len() > OBJECT_MAX {
        return Err(Unloaded::TooLarge);
    }
    *together += bytes.len();
    if *together > TOGETHER_MAX {
        return Err(Unloaded::TooLargeTogether);
    }
    Image::new(path, bytes).map(Arc::new).map_err(Unloaded::Invalid)
}

fn unloaded(error: &Unloaded, named: &Path, path: &Path) -> Problem {
    if named.as_os_str().is_empty() {
        return Problem::error(code::OBJECT_UNREADABLE, None, "the path of the object is empty")
            .help("name the file that clang has made, such as `firewall.bpf.o`");
    }
    let source = path.extension().is_some_and(|extension| extension == "c");
    let compiled = path.with_extension("o");
    let path = path.display();
    match error {
        Unloaded::Read(error) => {
            let message = format!("`{path}` cannot be read: {error}");
            let problem = Problem::error(code::OBJECT_UNREADABLE, None, message);
            if error.kind() == io::ErrorKind::NotFound && source {
                problem.help(format!(
                    "an object is what clang makes of a source, such as `{}`",
                    compiled.display()
                ))
            } else if error.kind() == io::ErrorKind::NotFound {
                problem.help("a relative path begins at the manifest's directory")
            } else {
                problem
            }
        }
        Unloaded::TooLarge => {
            let message = format!("`{path}` is larger than {} MiB", OBJECT_MAX >> 20);
            Problem::error(code::OBJECT_TOO_LARGE, None, message)
                .help("`llvm-strip -g` takes debug information out, and keeps BTF")
        }
        Unloaded::TooLargeTogether => {
            let mib = TOGETHER_MAX >> 20;
            let message = format!("with `{path}` the objects are larger than {mib} MiB together");
            Problem::error(code::OBJECT_TOO_LARGE, None, message)
                .help("`llvm-strip -g` takes debug information out, and keeps BTF")
        }
        Unloaded::Invalid(error) => Problem::error(
            code::OBJECT_INVALID,
            None,
            format!("`{path}` is no BPF object: {error}"),
        ),
    }
}
