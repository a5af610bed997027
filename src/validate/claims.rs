//! What a deployment takes of its host for itself, so that no other may take it too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::desired::DesiredObject;
use super::findings::{Findings, Spot};
use super::room::Room;
use super::rules::places::Places;
use super::subject::Subject;
use crate::manifest::{KeyPath, Manifest};
use crate::model::name::Name;
use crate::model::pin::PinRoot;

/// What one manifest claims, as far as it could be settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// The deployment's name, and where the manifest says it; `None` if that has a problem.
    pub(super) name: Option<(Name, Option<Range<usize>>)>,
    /// By the pin's path on the host.
    pub(super) pins: BTreeMap<PathBuf, Claim>,
    /// Hooks with room for one program.
    pub(super) places: BTreeMap<Room, Claim>,
}

/// One claim.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Who claims: ``map `flows` of `fw` ``.
    pub(super) who: String,
    pub(super) span: Option<Range<usize>>,
    /// Only used, and owned by someone else; or shared with others that do the same.
    pub(super) external: bool,
}

/// Collects the claims of a manifest. `resolved` are what the `subjects` come to.
pub(super) fn of(
    manifest: &Manifest,
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    places: &Places,
    findings: &Findings<'_>,
) -> Claims {
    let name = KeyPath::of(["name"]);
    let name = (!findings.is_marked(&name))
        .then(|| (manifest.name.clone(), findings.place(&Spot::Value(name))));
    let root = match (&manifest.pin_root, &name) {
        (Some(root), _) => Some(root.clone()),
        (None, Some((name, _))) if !findings.is_marked(&KeyPath::of(["pin-root"])) => {
            Some(PinRoot::default_for(name))
        }
        _ => None,
    };
    let mut pins = BTreeMap::new();
    for (subject, object) in subjects.iter().zip(resolved) {
        let Some(root) = root.as_ref().filter(|_| !findings.is_marked(&subject.key("subpath")))
        else {
            continue;
        };
        for map in &object.maps {
            let name = &map.spec.name;
            let Some(pin) = &map.pin else { continue };
            if findings.is_marked(&subject.map(name).key("subpath")) {
                continue;
            }
            let who = format!("map `{name}` of `{}`", object.name);
            let span = findings.place(&subject.map_spot(name));
            let claim = Claim { who, span, external: map.external };
            pins.entry(root.join(pin)).or_insert(claim);
        }
        for program in &object.programs {
            let name = &program.spec.name;
            let Some(pin) = &program.pin else { continue };
            let who = format!("program `{name}` of `{}`", object.name);
            let span = findings.place(&subject.program_spot(name));
            pins.entry(root.join(pin)).or_insert(Claim { who, span, external: false });
        }
    }
    let places = places.of_host().map(|(place, owner, at, external)| {
        let span = findings.place(&Spot::Value(at.clone()));
        (place.clone(), Claim { who: format!("`{owner}`"), span, external })
    });
    Claims { name, pins, places: places.collect() }
}
