//! Loading an object's BTF, made fit for a kernel that does not know all of it.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::programs::open;
use super::sys::{self, Answer};
use super::{capability, since};
use crate::model::identity::ObjectKind;
use crate::model::kinds::ProgramType;
use crate::object::Image;
use crate::relocate::{BtfFeature, sanitize_btf};

/// Loads the object's BTF; `None` if it has none or, as with libbpf, if the kernel refuses it: no
/// ordinary map or program depends on it.
pub(super) fn load(image: &Image) -> Result<Option<Handle>> {
    let operation = || format!("load the BTF of object `{}`", image.path.display());
    let linker = open(image)?;
    let completed = linker
        .btf_for(&tagless(image))
        .map_err(|error| KernelError::reason(operation(), error.to_string()))?;
    let Some((bytes, _)) = completed else { return Ok(None) };
    match load_or_sanitize(&bytes, sys::load_btf) {
        Ok(fd) => Handle::of_kind(fd, ObjectKind::Btf)
            .map(Some)
            .map_err(|errno| KernelError::errno(operation(), errno)),
        Err(errno @ Errno::PERM) => Err(KernelError::errno(operation(), errno)
            .advice(capability::advice(capability::for_program(ProgramType::UNSPEC)))),
        Err(errno) => {
            tracing::info!(object = %image.path.display(), %errno, "the kernel refuses its BTF");
            Ok(None)
        }
    }
}

/// The types of the object's programs, if the running kernel does not know the tag of a context.
pub(super) fn tagless(image: &Image) -> BTreeSet<ProgramType> {
    if since::running().is_none_or(|running| running >= since::TAGGED_CONTEXTS) {
        return BTreeSet::new();
    }
    let kinds = image.spec.programs.iter().filter_map(|program| program.kind.as_ref());
    kinds.map(|kind| kind.program_type).collect()
}

/// Loads BTF as it is, and only if the kernel refuses that, without what the kernel does not know.
fn load_or_sanitize<T>(bytes: &[u8], load: impl Fn(&[u8]) -> Answer<T>) -> Answer<T> {
    let refusal = match load(bytes) {
        Err(errno) if errno != Errno::PERM => errno,
        answer => return answer,
    };
    let missing: BTreeSet<BtfFeature> =
        BtfFeature::ALL.into_iter().filter(|feature| load(&feature.probe()).is_err()).collect();
    if missing.is_empty() {
        return Err(refusal);
    }
    let sanitized = sanitize_btf(bytes, &missing).map_err(|_malformed| refusal)?;
    load(&sanitized)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::btf::{Btf, Kind};

    /// A kernel that knows none of these kinds.
    fn without<'a>(
        kinds: &'a [Kind],
        calls: &'a Cell<usize>,
    ) -> impl Fn(&[u8]) -> Answer<Vec<u8>> + 'a {
        |bytes| {
            calls.set(calls.get() + 1);
            let btf = Btf::parse(bytes).expect("BTF");
            let unknown = btf.types().any(|found| kinds.contains(&found.kind()));
            if unknown { Err(Errno::INVAL) } else { Ok(bytes.to_vec()) }
        }
    }

    #[test]
    fn nothing_is_asked_of_a_kernel_that_takes_it() {
        let calls = Cell::new(0);
        let bytes = BtfFeature::DeclTag.probe();
        assert_eq!(load_or_sanitize(&bytes, without(&[], &calls)).as_ref(), Ok(&bytes));
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn an_older_kernel_gets_what_it_knows() {
        let calls = Cell::new(0);
        let bytes = BtfFeature::DeclTag.probe();
        let loaded = load_or_sanitize(&bytes, without(&[Kind::DeclTag, Kind::Enum64], &calls));
        let loaded = loaded.expect("without the tag it is taken");
        let count = |bytes: &[u8]| Btf::parse(bytes).expect("BTF").type_count();
        assert_eq!(count(&loaded), count(&bytes), "ids stay what they were");
    }

    #[test]
    fn a_refusal_for_another_reason_stays() {
        let denied = |_: &[u8]| Err::<(), _>(Errno::PERM);
        assert_eq!(load_or_sanitize(&[], denied), Err(Errno::PERM));
        let bytes = BtfFeature::Float.probe();
        let only_probes = |asked: &[u8]| {
            let whole = asked.len() > 100;
            if whole { Err(Errno::INVAL) } else { Ok(()) }
        };
        let long = [bytes, vec![0; 200]].concat();
        assert_eq!(load_or_sanitize(&long, only_probes), Err(Errno::INVAL));
    }
}
