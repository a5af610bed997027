//! Many manifests in one call: each on its own, on all cores, then one beside the other.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::claims::Claims;
use super::demands::Demands;
use super::report::{CheckedManifest, Report};
use super::{disk, signature, together, validate_for};
use crate::model::code;
use crate::model::problem::Problem;
use crate::model::release::Release;

/// Yields a file's bytes, from several threads at a time.
type Read<'r> = dyn Fn(&Path) -> io::Result<Vec<u8>> + Sync + 'r;

/// Checks the manifests of one host, without a kernel, privileges or a network.
///
/// Every problem is reported in one pass, and none is printed: a [`Report`] is data. Its order depends
/// on the manifests only.
///
/// ```
/// use ebpf_apply::validate::{Severity, Validator};
///
/// let report = Validator::new().check(["examples/invalid/unknown-key.toml"]);
/// for (manifest, problem) in report.problems() {
///     let path = manifest.path.display();
///     match manifest.place(problem) {
///         Some((start, _)) => println!("{path}:{}:{}: {}", start.line, start.column, problem.message),
///         None => println!("{path}: {}", problem.message),
///     }
/// }
/// assert!(!report.is_valid());
/// assert!(report.count(Severity::Error) >= 1);
/// ```
///
/// Where files come from, the caller can say, such as an editor whose buffers are not saved:
///
/// ```
/// use std::io;
/// use ebpf_apply::validate::Validator;
///
/// let read = |path: &std::path::Path| match path.to_str() {
///     Some("edge.toml") => Ok(b"version = 1\nname = \"edge\"\npin-rot = \"/sys/fs/bpf/edge\"\n".into()),
///     _ => Err(io::Error::from(io::ErrorKind::NotFound)),
/// };
/// let report = Validator::with_reader(&read).check(["edge.toml"]);
/// let (_, problem) = report.problems().next().expect("one problem");
/// assert_eq!(problem.code, "unknown-key");
/// assert_eq!(problem.help.as_deref(), Some("did you mean `pin-root`?"));
/// ```
pub struct Validator<'r> {
    read: &'r Read<'r>,
    demands: Demands,
}

impl Validator<'static> {
    /// One that reads regular files.
    #[must_use]
    pub fn new() -> Self {
        Self { read: &disk::read, demands: Demands::default() }
    }
}

impl Default for Validator<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'r> Validator<'r> {
    /// One that is given the bytes of manifests, by the path that [`check`](Self::check) gets, and of
    /// objects, by the manifest's directory and the path in the manifest. `read` is asked once for each
    /// file of a manifest and need not yield more than [`OBJECT_MAX`](super::OBJECT_MAX) bytes and one.
    #[must_use]
    pub fn with_reader(read: &'r Read<'r>) -> Self {
        Self { read, demands: Demands::default() }
    }

    /// Has it check, too, that Linux of that release has all that is needed.
    #[must_use]
    pub fn for_kernel(mut self, kernel: Release) -> Self {
        self.demands.kernel = Some(kernel);
        self
    }

    /// Has it check that manifests meet all that is demanded. For a signature it asks `read` for the
    /// file [`signature_of`](super::signature_of) names, before anything of the manifest is parsed.
    #[must_use]
    pub fn demanding(self, demands: Demands) -> Self {
        Self { demands, ..self }
    }

    /// Checks manifests, each against its objects and all against each other: they are taken to be
    /// for one host, where no two deployments can have one name, one pin or one exclusive hook.
    ///
    /// A manifest that cannot be read is a problem like another. What is held in memory at a time are
    /// the objects of as many manifests as there are cores.
    pub fn check<P: Into<PathBuf>>(&self, manifests: impl IntoIterator<Item = P>) -> Report {
        let paths: Vec<PathBuf> = manifests.into_iter().map(Into::into).collect();
        let checked = on_all_cores(&paths, |path| self.one(path));
        let (mut manifests, claims): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
        together::check(&mut manifests, &claims);
        Report { manifests }
    }

    fn one(&self, path: &Path) -> (CheckedManifest, Claims) {
        let path = path.to_owned();
        match manifest_text(&path, &self.demands, self.read) {
            Ok(source) => {
                let validation = validate_for(&path, &source, &self.demands, self.read);
                let problems = validation.problems;
                (CheckedManifest { path, source, problems }, validation.claims)
            }
            Err(problem) => {
                let problems = vec![*problem];
                (CheckedManifest { path, source: String::new(), problems }, Claims::default())
            }
        }
    }
}

/// Some editors begin a file with it; TOML has parsers pass over it, and no place counts it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a manifest's text, once, and checks its signature if that is demanded; that it cannot be read
/// or is not signed is a problem.
pub(crate) fn manifest_text(
    path: &Path,
    demands: &Demands,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<String, Box<Problem>> {
    let unreadable = |error: io::Error| {
        let message = format!("the manifest cannot be read: {error}");
        Box::new(Problem::error(code::MANIFEST_UNREADABLE, None, message))
    };
    let bytes = read(path).map_err(unreadable)?;
    signature::check(path, &bytes, &demands.keys, read)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        let message = format!("it is not UTF-8 at byte {at}, in line {line}");
        unreadable(io::Error::new(io::ErrorKind::InvalidData, message))
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

/// Does `work` on each item, one thread a core, and yields the results in the order of the items.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if cores <= 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match items.get(index) {
                Some(item) => done.push((index, work(item))),
                None => return done,
            }
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (1..cores).map(|_| scope.spawn(share)).collect();
        let mut done = share();
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_in_no_place() {
        let read = |_: &Path| Ok("\u{feff}version = 2\nname = \"demo\"\n".into());
        let report = Validator::with_reader(&read).check(["demo.toml"]);
        let (manifest, problem) = report.problems().next().expect("the version is wrong");
        let (start, _) = manifest.place(problem).expect("it has a place");
        assert_eq!((start.line, start.column), (1, 11));
        assert!(manifest.source.starts_with("version"));
    }

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        let squares = on_all_cores(&items, |item| item * item);
        assert!(squares.iter().enumerate().all(|(index, square)| index * index == *square));
        assert_eq!(squares.len(), items.len());
        assert!(on_all_cores(&[] as &[usize], |item| *item).is_empty());
    }
}
