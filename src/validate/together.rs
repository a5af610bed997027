//! Manifests of one host beside each other: what two deployments cannot both have.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::claims::{Claim, Claims};
use super::report::CheckedManifest;
use super::room::Rooms;
use crate::model::code;
use crate::model::name::Name;
use crate::model::problem::Problem;

/// Reports each clash in the later of the two manifests, with a label in both. `claims` are those of
/// the `manifests`, in the same order.
pub(super) fn check(manifests: &mut [CheckedManifest], claims: &[Claims]) {
    if manifests.len() < 2 {
        return;
    }
    let mut known = Known::default();
    let mut found = Vec::new();
    for (index, claims) in claims.iter().enumerate() {
        found.push(known.clashes(index, claims, manifests));
    }
    known.nested(claims, manifests, &mut found);
    for (manifest, problems) in manifests.iter_mut().zip(found) {
        if !problems.is_empty() {
            manifest.problems.extend(problems);
            Problem::sort(&mut manifest.problems);
        }
    }
}

/// Who claimed what first, by the manifest's index.
#[derive(Default)]
struct Known<'c> {
    names: BTreeMap<&'c Name, (usize, Option<Range<usize>>)>,
    /// By path; who only uses a pin does not claim it.
    pins: BTreeMap<&'c Path, Held<'c>>,
    places: Rooms<Held<'c>>,
}

/// A claim with the manifest that makes it.
#[derive(Clone, Copy)]
struct Held<'c> {
    index: usize,
    claims: &'c Claims,
    claim: &'c Claim,
}

impl Held<'_> {
    /// ``map `flows` of `fw` in deployment `edge` ``.
    fn described(&self) -> String {
        match &self.claims.name {
            Some((name, _)) => format!("{} in deployment `{name}`", self.claim.who),
            None => self.claim.who.clone(),
        }
    }

    /// Whether both manifests are two states of one deployment: that is said, and all else follows.
    fn is_of_the_same(&self, other: &Held<'_>) -> bool {
        let same = |(one, _): &(Name, _)| {
            other.claims.name.as_ref().is_some_and(|(other, _)| one == other)
        };
        self.index == other.index || self.claims.name.as_ref().is_some_and(same)
    }
}

impl<'c> Known<'c> {
    /// What of `claims` an earlier manifest has claimed already.
    fn clashes(
        &mut self,
        index: usize,
        claims: &'c Claims,
        manifests: &[CheckedManifest],
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some((name, span)) = &claims.name {
            let (first, there) = self.names.entry(name).or_insert((index, span.clone()));
            if let Some(other) = manifests.get(*first).filter(|_| *first != index) {
                let message =
                    format!("`{}` declares a deployment `{name}` too", other.path.display());
                problems.push(
                    Problem::error(code::DUPLICATE_DEPLOYMENT, span.clone(), message)
                        .label("the same name")
                        .related_in(&other.path, there.clone(), "first here")
                        .help(
                            "the name is a deployment's identity on its host: applying the one \
                             replaces what the other set up; give one of them another `name`",
                        ),
                );
            }
        }
        for (path, claim) in claims.pins.iter().filter(|(_, claim)| !claim.external) {
            let held = Held { index, claims, claim };
            let first = *self.pins.entry(path).or_insert(held);
            if first.is_of_the_same(&held) {
                continue;
            }
            let message = format!(
                "{} and {} would both be pinned at `{}`",
                first.described(),
                held.described(),
                path.display()
            );
            problems.push(clash(code::PIN_PATH_CLASH, message, first, held, manifests).help(
                "give one of them a `pin-root` or a `subpath` of its own; to use a map that the \
                 other deployment owns, say `external = true` of it here",
            ));
        }
        for (room, claim) in &claims.places {
            let held = Held { index, claims, claim };
            let shared = |first: &Held<'_>| first.claim.external && claim.external;
            let other = |first: &Held<'_>| !first.is_of_the_same(&held) && !shared(first);
            if let Some((why, first)) = self.places.clash(room, other) {
                let (one, other) = (first.described(), held.described());
                let message = format!("{one} and {other} both want {}", why.described(room));
                let problem = clash(code::ATTACHMENT_CONFLICT, message, *first, held, manifests);
                let advice = why.help().unwrap_or("only one deployment of a host can have it");
                problems.push(Problem { severity: why.severity(), ..problem }.help(advice));
            }
        }
        // What one manifest claims is held against what others do.
        for (room, claim) in &claims.places {
            self.places.take(room.clone(), Held { index, claims, claim });
        }
        problems
    }

    /// Pins whose path is the directory of another deployment's pin.
    fn nested(&self, all: &[Claims], manifests: &[CheckedManifest], found: &mut [Vec<Problem>]) {
        for (index, claims) in all.iter().enumerate() {
            for (path, claim) in &claims.pins {
                let inside = Held { index, claims, claim };
                let above = path.ancestors().skip(1).find_map(|above| self.pins.get(above));
                let Some(file) = above.filter(|file| !file.is_of_the_same(&inside)) else {
                    continue;
                };
                let message = format!(
                    "{} would be pinned at `{}`, below the pin of {}",
                    inside.described(),
                    path.display(),
                    file.described()
                );
                let problem = clash(code::PIN_PATH_NESTED, message, *file, inside, manifests).help(
                    "a pin is no directory: give one of them another `pin-root` or `subpath`",
                );
                if let Some(problems) = found.get_mut(index) {
                    problems.push(problem);
                }
            }
        }
    }
}

fn clash(
    code: &'static str,
    message: String,
    first: Held<'_>,
    second: Held<'_>,
    manifests: &[CheckedManifest],
) -> Problem {
    let problem =
        Problem::error(code, second.claim.span.clone(), message).label(second.described());
    match manifests.get(first.index) {
        Some(other) => problem.related_in(&other.path, first.claim.span.clone(), first.described()),
        None => problem,
    }
}
