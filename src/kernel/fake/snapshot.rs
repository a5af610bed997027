//! Everything that can be seen of a host, to compare before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::bpffs::Node;
use super::objects::Object;
use super::state::State;
use crate::model::dispatch::Run;
use crate::model::kinds::AttachType;
use crate::model::live::LinkTarget;

/// The visible state of a fake host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What lies where on bpffs: `directory`, or the object's kind and id.
    pub pins: BTreeMap<PathBuf, String>,
    /// Contents of the living maps by id.
    pub maps: BTreeMap<u32, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Ids of the maps that were frozen.
    pub frozen: BTreeSet<u32>,
    /// Names of the living programs by id.
    pub programs: BTreeMap<u32, String>,
    /// Program and target of the living links by id.
    pub links: BTreeMap<u32, (u32, LinkTarget)>,
    /// How many BTFs live.
    pub btfs: usize,
    /// Program of each filter, by interface index, side, priority and handle.
    pub filters: BTreeMap<(u32, &'static str, u16, u32), u32>,
    /// What the dispatcher of each interface, by its index, calls: program, and when and how.
    pub dispatchers: BTreeMap<u32, Vec<(u32, Run)>>,
    /// The program that a map of sockets keeps, by the map's id and the hook.
    pub kept: BTreeMap<(u32, AttachType), u32>,
    /// Indices of the interfaces with a `clsact` qdisc.
    pub clsact: BTreeSet<u32>,
}

impl State {
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { clsact: self.hooks.clsact.clone(), ..Snapshot::default() };
        for (path, node) in self.tree.nodes() {
            let text = match node {
                Node::Directory => "directory".to_owned(),
                Node::Pin(object) => object.to_string(),
            };
            snapshot.pins.insert(path.to_owned(), text);
        }
        for (id, counted) in &self.objects {
            match &counted.object {
                Object::Map(map) => {
                    snapshot.maps.insert(id.id, map.entries.clone());
                    for (attach_type, program) in &map.kept {
                        snapshot.kept.insert((id.id, *attach_type), program.id);
                    }
                    if map.frozen {
                        snapshot.frozen.insert(id.id);
                    }
                }
                Object::Program(program) => {
                    snapshot.programs.insert(id.id, program.name.clone());
                }
                Object::Link(link) => {
                    snapshot.links.insert(id.id, (link.program.id, link.target.clone()));
                }
                Object::Btf => snapshot.btfs += 1,
            }
        }
        for ((index, direction, priority, handle), program) in &self.hooks.filters {
            let place = (*index, direction.as_str(), *priority, *handle);
            snapshot.filters.insert(place, program.id);
        }
        for (index, members) in &self.hooks.dispatchers {
            let called = members.iter().map(|member| (member.program.id, member.run.clone()));
            snapshot.dispatchers.insert(*index, called.collect());
        }
        snapshot
    }
}
