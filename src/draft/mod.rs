//! The manifest to begin with: objects in, commented text out.
//!
//! What is proposed is what the validator takes: each proposal is tried before it is made, so a hook
//! that this version learns is proposed from then on, and what an object declares wrongly is left to
//! the validator to say.

mod globals;
mod programs;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::model::map::{MapOrigin, MapSpec};
use crate::model::name::Name;
use crate::object::Image;
use crate::validate::validate;
use text::{comment, key, quoted};

/// An object to be written down.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Its name in the manifest.
    pub name: &'e Name,
    /// Its file as the manifest shall name it.
    pub path: &'e str,
    /// What it declares.
    pub image: &'e Image,
}

/// A part of the draft with proposals, best first; the last is a mere comment, which cannot be wrong.
struct Block {
    proposals: Vec<Proposal>,
    chosen: usize,
}

/// One way to write a part.
struct Proposal {
    /// What is written, commented out where someone has to fill in a target.
    shown: String,
    /// The same as it is tried: with what is commented out, and with targets of its own.
    tried: String,
}

impl Proposal {
    fn certain(text: String) -> Self {
        Self { shown: text.clone(), tried: text }
    }

    /// What says nothing to a program.
    fn remark(shown: String) -> Self {
        Self { shown, tried: String::new() }
    }
}

impl From<Proposal> for Block {
    fn from(proposal: Proposal) -> Self {
        Self { proposals: vec![proposal], chosen: 0 }
    }
}

impl Block {
    fn text(&self, of: impl Fn(&Proposal) -> &str) -> &str {
        self.proposals.get(self.chosen).map_or("", of)
    }
}

/// Writes a manifest of a deployment `name` for these objects.
#[must_use]
pub fn draft(name: &Name, entries: &[Entry<'_>]) -> String {
    let mut blocks = vec![head(name)];
    let apart = share_a_pin(entries);
    for entry in entries {
        blocks.push(object(entry, apart));
        blocks.extend(maps(entry));
        blocks.push(globals::block(entry));
        blocks.extend(programs::blocks(entry));
    }
    while improve(&mut blocks, entries) {}
    blocks.iter().map(|block| block.text(|proposal| &proposal.shown)).collect()
}

/// Tries all parts at once and goes to the next proposal where one has a problem; `false` once none
/// has.
fn improve(blocks: &mut [Block], entries: &[Entry<'_>]) -> bool {
    let mut text = String::new();
    let mut ends = Vec::new();
    for block in &*blocks {
        text.push_str(block.text(|proposal| &proposal.tried));
        ends.push(text.len());
    }
    let read = |path: &Path| {
        let entry = entries.iter().find(|entry| Path::new(entry.path) == path);
        entry.map(|entry| entry.image.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    // A part goes on by one, however much is wrong with it.
    let mut wrong = BTreeSet::new();
    for problem in validate(Path::new(""), &text, &read).problems {
        let Some(span) = problem.span else { continue };
        wrong.insert(ends.partition_point(|end| *end <= span.start));
    }
    let mut improved = false;
    for at in wrong {
        if let Some(block) = blocks.get_mut(at)
            && block.chosen + 1 < block.proposals.len()
        {
            block.chosen += 1;
            improved = true;
        }
    }
    improved
}

fn head(name: &Name) -> Block {
    let text = format!(
        "# Check this file with `ebpf-apply validate`, see what it would do with `ebpf-apply plan`.\n\
         # For completion in editors: `ebpf-apply schema > ebpf-apply-v1.schema.json`, and on top here\n\
         # the line `#:schema ./ebpf-apply-v1.schema.json`.\n\
         version = 1\n\
         name    = {}\n\
         # pin-root = \"/sys/fs/bpf/ebpf-apply/{name}\"   # the directory of all its pins\n",
        quoted(name.as_str())
    );
    Proposal::certain(text).into()
}

fn object(entry: &Entry<'_>, apart: bool) -> Block {
    let Entry { name, path, .. } = entry;
    let mut text = format!("\n[objects.{name}]\npath = {}\n", quoted(path));
    if apart {
        text.push_str(
            "# Another object has a pinned map of the same name. Without a directory of its own, both \
             would\n# share one map, which must be the same in both.\n",
        );
        let _ = writeln!(text, "subpath = {}", quoted(name.as_str()));
    }
    if programs::must_list(entry) {
        text.push_str(
            "# Some programs cannot be loaded before the manifest says what they are for. So only those \
             with\n# a table below are loaded.\nload = \"listed\"\n",
        );
    }
    let _ = writeln!(text, "# sha256 = \"{}\"   # refuses any other bytes", entry.image.digest);
    Proposal::certain(text).into()
}

/// Whether two objects pin a map of one name.
fn share_a_pin(entries: &[Entry<'_>]) -> bool {
    let mut names: Vec<&str> = entries
        .iter()
        .flat_map(|entry| entry.image.spec.maps.iter().filter(|map| map.declares_pinning()))
        .map(|map| map.name.as_str())
        .collect();
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

/// The maps that ask for a pin, each with its policy, and a word on the others.
fn maps(entry: &Entry<'_>) -> Vec<Block> {
    let declared = |map: &&MapSpec| map.is_declared();
    let (pinned, others): (Vec<&MapSpec>, Vec<&MapSpec>) =
        entry.image.spec.maps.iter().filter(declared).partition(|map| map.declares_pinning());
    let mut blocks = Vec::new();
    if !pinned.is_empty() {
        let text = "\n# Maps whose definition in C asks for a pin. `by-name`: pinned until the \
                    deployment ends.\n# `persist-on-exit`: stays pinned with its entries, and is used \
                    again. `none`: not pinned.\n";
        blocks.push(Proposal::remark(text.to_owned()).into());
    }
    for (index, map) in pinned.into_iter().enumerate() {
        let gap = if index > 0 { "\n" } else { "" };
        let table = format!("{gap}[objects.{}.maps.{}]", entry.name, key(&map.name));
        let text = format!("{table}   # {}\npin = \"by-name\"\n", comment(&described(map)));
        let none =
            Proposal::remark(format!("# {}: {}\n", comment(&map.name), comment(&described(map))));
        blocks.push(Block { proposals: vec![Proposal::certain(text), none], chosen: 0 });
    }
    let others: Vec<String> =
        others.iter().map(|map| format!("{} ({})", map.name, map.shape.map_type)).collect();
    if !others.is_empty() {
        let text = format!(
            "\n# Not pinned, for without `__uint(pinning, LIBBPF_PIN_BY_NAME);` in C:\n{}",
            listed(&others)
        );
        blocks.push(Proposal::remark(text).into());
    }
    blocks
}

/// A map in a few words: `lru_hash, 1024 entries, __be32 → __u64`.
fn described(map: &MapSpec) -> String {
    let mut parts = vec![map.shape.map_type.to_string()];
    if map.shape.max_entries != 0 && map.origin == MapOrigin::Declared {
        parts.push(format!("{} entries", map.shape.max_entries));
    }
    if let (Some(key), Some(value)) = (&map.key, &map.value) {
        parts.push(format!("{key} → {value}"));
    }
    parts.join(", ")
}

/// Words as comment lines of at most 100 columns.
fn listed(words: &[String]) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for (index, word) in words.iter().enumerate() {
        let mut word = comment(word);
        if index + 1 < words.len() {
            word.push(',');
        }
        let full = lines.last().is_some_and(|line| {
            !line.is_empty() && line.chars().count() + word.chars().count() + 4 > WIDTH
        });
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines.iter().flat_map(|line| ["# ", line, "\n"]).collect()
}
