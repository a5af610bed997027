//! The state a validated manifest asks for: the planner's only view of manifest and objects.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::attach::Attachment;
use crate::model::digest::Digest;
use crate::model::map::{MapOrigin, MapSpec};
use crate::model::name::Name;
use crate::model::pin::{OnMismatch, PinPath, PinPolicy, PinRoot};
use crate::model::program::ProgramSpec;
use crate::object::Image;
use crate::validate::rules::replaced::{Holder, Replaced};

/// One deployment as the manifest wants it, every default filled in and every name resolved.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The deployment's name.
    pub name: Name,
    /// Directory of all its pins.
    pub pin_root: PinRoot,
    /// The manifest, for messages.
    pub manifest: PathBuf,
    /// Its objects, by name.
    pub objects: Vec<DesiredObject>,
}

impl Desired {
    /// The programs of all objects.
    pub fn programs(&self) -> impl Iterator<Item = &DesiredProgram> {
        self.objects.iter().flat_map(|object| &object.programs)
    }

    /// Where all of them are attached.
    pub fn attachments(&self) -> impl Iterator<Item = &Attachment> {
        self.programs().flat_map(|program| &program.attachments)
    }
}

/// One object of a deployment.
#[derive(Clone, Debug)]
pub struct DesiredObject {
    /// Its name in the manifest.
    pub name: Name,
    /// The object itself.
    pub image: Arc<Image>,
    /// Every map of the object, in the object's order.
    pub maps: Vec<DesiredMap>,
    /// The structs of operations to register, in the object's order.
    pub operations: Vec<DesiredOperations>,
    /// The programs to load, in the object's order.
    pub programs: Vec<DesiredProgram>,
    /// Of all that decides what is loaded: the object's bytes, the values of its globals, the
    /// overridden map fields and the list of programs. While it stays, the object is not loaded again.
    pub load_digest: Digest,
}

/// One map of an object.
#[derive(Clone, Debug)]
pub struct DesiredMap {
    /// The object's declaration with the manifest's overrides and global values in it.
    pub spec: MapSpec,
    /// What becomes of its pin.
    pub policy: PinPolicy,
    /// Where it is pinned; `Some` exactly for a pinned policy or an external map.
    pub pin: Option<PinPath>,
    /// What to do about a pin of another shape.
    pub on_mismatch: OnMismatch,
    /// Owned by someone else: must exist, is never created, replaced or unlinked.
    pub external: bool,
}

/// One struct of operations of an object, to be registered.
#[derive(Clone, Debug)]
pub struct DesiredOperations {
    /// Its map.
    pub map: String,
    /// How.
    pub attachment: Attachment,
}

/// One program of an object.
#[derive(Clone, Debug)]
pub struct DesiredProgram {
    /// The object's declaration.
    pub spec: ProgramSpec,
    /// What becomes of its public pin.
    pub policy: PinPolicy,
    /// Where it is publicly pinned; `Some` exactly for a pinned policy.
    pub pin: Option<PinPath>,
    /// Where it is attached. An interface may be a pattern, until the host is known.
    pub attachments: Vec<Attachment>,
    /// On which terms.
    pub terms: Terms,
}

/// What holds of some attachments of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Those that wait for their target, if it is not there.
    pub waits: BTreeSet<Attachment>,
    /// Those of which there is something to say, once the host is known.
    pub notes: BTreeMap<Attachment, String>,
    /// Those that the process which applies holds, because the kernel has no links for them.
    pub held: BTreeSet<Attachment>,
    /// Those that cannot be had on this host, and why.
    pub impossible: BTreeMap<Attachment, String>,
}

impl DesiredObject {
    /// The program of that name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&DesiredProgram> {
        self.programs.iter().find(|program| program.spec.name == name)
    }
}

/// At a function or tracepoint the same program cannot be attached beside itself with another cookie
/// (`bpf_trampoline_link_prog` in `kernel/bpf/trampoline.c`, `perf_event_attach_bpf_prog` in
/// `kernel/trace/bpf_trace.c`): it takes a fresh one.
fn fixed_cookie(attachment: &Attachment) -> Option<[u8; 8]> {
    match attachment {
        Attachment::Fentry(at)
        | Attachment::Fexit(at)
        | Attachment::Fsession(at)
        | Attachment::FmodRet(at)
        | Attachment::Lsm(at) => at.cookie.map(u64::to_le_bytes),
        Attachment::Tracepoint { cookie, .. } => cookie.map(u64::to_le_bytes),
        _ => None,
    }
}

impl DesiredProgram {
    /// Whether it is attached as an iterator, so that its pin can be read.
    #[must_use]
    pub fn is_iterator(&self) -> bool {
        self.attachments.iter().any(|attachment| matches!(attachment, Attachment::Iter(_)))
    }
}

/// Digest of all that decides what is loaded, see [`DesiredObject::load_digest`].
pub(super) fn load_digest(
    image: &Image,
    maps: &[DesiredMap],
    programs: &[DesiredProgram],
) -> Digest {
    let object = image.digest.to_string();
    let entries: Vec<[u8; 4]> =
        maps.iter().map(|map| map.spec.shape.max_entries.to_le_bytes()).collect();
    let cookies: Vec<(&str, [u8; 8])> = programs
        .iter()
        .flat_map(|program| {
            let cookies = program.attachments.iter().filter_map(fixed_cookie);
            cookies.map(|cookie| (program.spec.name.as_str(), cookie))
        })
        .collect();
    let mut parts = vec![object.as_bytes(), b"maps"];
    for (map, entries) in maps.iter().zip(&entries) {
        parts.extend([map.spec.name.as_bytes(), entries]);
        if let MapOrigin::Section { contents, .. } = &map.spec.origin {
            parts.push(contents);
        }
    }
    parts.push(b"programs");
    for program in programs {
        parts.push(program.spec.name.as_bytes());
        let target = program.spec.kind.as_ref().and_then(|kind| kind.target.as_deref());
        parts.push(target.unwrap_or_default().as_bytes());
        // A program is loaded for links of several functions, and attached to one function once.
        let several = program.attachments.iter().any(Attachment::is_several);
        if several {
            parts.push(b"several");
        }
        parts.extend(
            cookies
                .iter()
                .filter(|(name, _)| *name == program.spec.name)
                .map(|(_, cookie)| cookie.as_slice()),
        );
        match program.replaces() {
            Some(Replaced { holder: Holder::Program { object, program }, function }) => {
                parts.extend([object, program, function].map(str::as_bytes));
            }
            Some(Replaced { holder: Holder::Pinned(pin), function }) => {
                parts.extend([pin.as_os_str().as_bytes(), function.as_bytes()]);
            }
            Some(Replaced { holder: Holder::Dispatcher, .. }) => parts.push(b"dispatched"),
            None => {}
        }
    }
    Digest::of_parts(parts)
}
