//! `ebpf-apply init`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use crate::draft::{Entry, draft};
use crate::model::name::{NAME_MAX, Name};
use crate::object::Image;
use crate::validate::OBJECTS_MAX;

use super::ExitStatus;
use super::args::InitArgs;
use super::context::Context;
use super::inspect::inspect;

pub(super) fn run(args: &InitArgs, context: &Context) -> ExitStatus {
    if args.objects.len() > OBJECTS_MAX {
        let count = args.objects.len();
        return context.misused(&format!("{count} objects; a manifest has at most {OBJECTS_MAX}"));
    }
    let named = args.name.as_ref().map(|name| {
        Name::new(name).map_err(|error| format!("`{name}` names no deployment: {error}"))
    });
    let named = match named.transpose() {
        Ok(named) => named,
        Err(error) => return context.misused(&error),
    };
    let mut images = Vec::new();
    for path in &args.objects {
        match inspect(path) {
            Ok(image) => images.push(image),
            Err(error) => return context.invalid(&error),
        }
    }
    let manifest = match written(named, &images, args.output.as_deref()) {
        Ok(manifest) => manifest,
        Err(error) => return context.misused(&error),
    };
    let Some(output) = &args.output else {
        context.print(&manifest);
        return ExitStatus::Ok;
    };
    match create(output, &manifest) {
        Ok(()) => ExitStatus::Ok,
        Err(error) => {
            let error = if error.kind() == io::ErrorKind::AlreadyExists {
                "it exists already, and is left as it is".to_owned()
            } else {
                error.to_string()
            };
            context.failed(&format!("cannot write {}: {error}", output.display()))
        }
    }
}

fn written(name: Option<Name>, images: &[Image], output: Option<&Path>) -> Result<String, String> {
    let mut taken = BTreeSet::new();
    let mut entries = Vec::new();
    for image in images {
        let path = from(output, &image.path);
        let text = path.to_str().ok_or_else(|| {
            format!("{} is not UTF-8, and a manifest cannot name it", path.display())
        })?;
        entries.push((object_name(image, &mut taken), text.to_owned(), image));
    }
    let entries: Vec<Entry<'_>> =
        entries.iter().map(|(name, path, image)| Entry { name, path, image }).collect();
    let name = name.or_else(|| entries.first().map(|entry| entry.name.clone()));
    Ok(name.map(|name| draft(&name, &entries)).unwrap_or_default())
}

/// The object's path as a manifest in `output` names it.
fn from(output: Option<&Path>, object: &Path) -> PathBuf {
    let Some(output) = output.filter(|_| object.is_relative()) else { return object.to_owned() };
    let directory = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::canonicalize(parent.unwrap_or(Path::new(".")))
    };
    let (Ok(here), Ok(there)) = (directory(output), directory(object)) else {
        return object.to_owned();
    };
    let (here, there): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (here.components().collect(), there.components().collect());
    let common = here.iter().zip(&there).take_while(|(one, other)| one == other).count();
    let up = here.iter().skip(common).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(there.into_iter().skip(common)).collect();
    path.join(object.file_name().unwrap_or_default())
}

/// A name for an object, after its file and unlike all others.
fn object_name(image: &Image, taken: &mut BTreeSet<String>) -> Name {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    // Room for a number behind it.
    let text: String = image.name().chars().take(NAME_MAX - 4).map(legal).collect();
    let text = text.trim_matches('-');
    let text = if text.is_empty() { "object" } else { text };
    let numbered = (2..).map(|n| format!("{text}-{n}"));
    let mut candidates = std::iter::once(text.to_owned()).chain(numbered);
    let free = candidates.find_map(|name| {
        Name::new(&name).ok().filter(|name| taken.insert(name.as_str().to_owned()))
    });
    match free {
        Some(name) => name,
        None => unreachable!("numbers do not end"),
    }
}

/// Writes a new file, or none.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a manifest is worse than none; if even this fails, the error says enough.
        let _ = fs::remove_file(path);
    }
    written
}
