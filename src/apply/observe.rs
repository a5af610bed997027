//! Looks at the part of a host that concerns one deployment.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::{Kernel, Result};
use crate::model::attach::Attachment;
use crate::model::inventory::{Anchor, Inventory, LinkRecord, MapRecord, Resource};
use crate::model::kinds::{MapType, ProgramType};
use crate::model::live::{
    Descriptor, LiveHeld, LiveMap, LiveObject, LiveState, OperationsState, Others, RootState,
    TargetState,
};
use crate::model::name::Name;
use crate::model::pin::{PinPath, PinRoot};
use crate::model::socket_hook::{Kept, SocketHook, holds_sockets};
use crate::plan::Adoption;
use crate::validate::Desired;

/// What concerns a deployment that shall become `desired`.
pub(super) fn desired<K: Kernel>(
    kernel: &K,
    desired: &Desired,
    inventory: &Inventory,
    adoption: Adoption,
) -> Result<LiveState> {
    let mut pins = BTreeSet::new();
    let mut attachments = BTreeSet::new();
    for object in &desired.objects {
        for map in &object.maps {
            pins.extend(map.pin.clone());
            pins.insert(PinPath::map(&desired.name, &object.name, &map.spec.name));
        }
        for ops in &object.operations {
            pins.insert(PinPath::link(&desired.name, &object.name, &ops.map, &ops.attachment));
            attachments.insert(&ops.attachment);
        }
        for program in &object.programs {
            let name = &program.spec.name;
            pins.extend(program.pin.clone());
            pins.insert(PinPath::program(&desired.name, &object.name, name));
            for attachment in &program.attachments {
                pins.insert(PinPath::link(&desired.name, &object.name, name, attachment));
                attachments.insert(attachment);
            }
        }
    }
    let mut live = look(kernel, &desired.pin_root, inventory, pins, &attachments)?;
    if adoption == Adoption::Foreign {
        for attachment in attachments {
            live.occupants.insert(attachment.clone(), kernel.occupants(attachment)?);
        }
    }
    Ok(live)
}

/// What concerns a deployment as it is on record.
pub(super) fn recorded<K: Kernel>(kernel: &K, inventory: &Inventory) -> Result<LiveState> {
    look(kernel, &inventory.pin_root, inventory, BTreeSet::new(), &BTreeSet::new())
}

/// Whether nothing in the directories that only this deployment uses tells of it.
pub(super) fn is_unheard_of<K: Kernel>(kernel: &K, name: &Name, root: &PinRoot) -> Result<bool> {
    if matches!(kernel.root_state(root)?, RootState::NotBpffs { .. }) {
        return Ok(true);
    }
    for directory in PinPath::private_directories(name) {
        if !kernel.list(root, &directory)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn look<K: Kernel>(
    kernel: &K,
    root: &PinRoot,
    inventory: &Inventory,
    mut paths: BTreeSet<PinPath>,
    attachments: &BTreeSet<&Attachment>,
) -> Result<LiveState> {
    let state = kernel.root_state(root)?;
    let mut pins = BTreeMap::new();
    let mut socket_maps = BTreeMap::new();
    let (mut registered, mut spent) = (BTreeSet::new(), BTreeSet::new());
    // Off bpffs there are no pins, and whoever plans says so.
    if matches!(state, RootState::Present { .. }) {
        for directory in PinPath::private_directories(&inventory.name) {
            paths.extend(kernel.list(root, &directory)?);
        }
        paths.extend(inventory.pins().map(|(pin, _)| pin.clone()));
        paths.extend(inventory.homes().cloned());
        let public = paths.iter().filter(|path| !path.is_private());
        let above: Vec<PinPath> = public.flat_map(PinPath::ancestors).collect();
        paths.extend(above);
        for path in paths {
            if let Some(found) = kernel.open(root, &path)? {
                if let (LiveObject::Map(map), Some(handle)) = (&found.object, &found.handle)
                    && map.shape.map_type == MapType::STRUCT_OPS
                {
                    match kernel.operations_state(handle)? {
                        OperationsState::Unregistered => {}
                        OperationsState::Registered => drop(registered.insert(map.id)),
                        OperationsState::Spent => drop(spent.insert(map.id)),
                    }
                }
                match (&found.object, found.handle) {
                    (LiveObject::Map(map), Some(handle)) if holds_sockets(map.shape.map_type) => {
                        socket_maps.insert(map.id, handle);
                    }
                    _ => {}
                }
                pins.insert(path, found.object);
            }
        }
    }
    let unpinned = unpinned(kernel, inventory, &pins)?;
    let mut targets = BTreeMap::new();
    for attachment in attachments {
        targets.insert((*attachment).clone(), kernel.target(attachment)?);
    }
    let mut filters = BTreeMap::new();
    let mut clsact = BTreeSet::new();
    let pending = inventory.pending.iter().flat_map(|pending| &pending.filters);
    for attachment in attachments.iter().copied().chain(pending) {
        if let Attachment::Tc { interface, direction, .. } = attachment {
            filters.extend(kernel.filters(interface, *direction)?);
        }
    }
    for (attachment, target) in &targets {
        if let (Attachment::Tc { interface, .. }, TargetState::Present(index)) =
            (attachment, target)
            && kernel.has_clsact(interface)?
        {
            clsact.extend(u32::try_from(*index));
        }
    }
    for resource in inventory.resources.values() {
        if let Resource::Link(link) = resource
            && let Anchor::Filter { key, .. } = &link.anchor
            && let Some(filter) = kernel.filter(key)?
        {
            filters.insert(key.clone(), filter);
        }
    }
    let held = held(kernel, inventory)?;
    let wanted = targets.iter().filter_map(|(attachment, target)| match (attachment, target) {
        (Attachment::XdpShared { .. }, TargetState::Present(index)) => u32::try_from(*index).ok(),
        _ => None,
    });
    let mut shared: BTreeSet<u32> = inventory.dispatchers().chain(wanted).collect();
    if has_lost_replacements(inventory, &pins) {
        shared.extend(kernel.dispatched()?);
    }
    let mut dispatchers = BTreeMap::new();
    for index in shared {
        if let Some(found) = kernel.dispatcher(index)? {
            dispatchers.insert(index, found);
        }
    }
    let sockets = sockets(kernel, inventory, attachments, &socket_maps)?;
    let host = kernel.facts()?;
    let occupants = BTreeMap::new();
    let others = Others::default();
    Ok(LiveState {
        root: state,
        pins,
        unpinned,
        registered,
        spent,
        targets,
        occupants,
        filters,
        clsact,
        held,
        sockets,
        dispatchers,
        others,
        host,
    })
}

/// The attachments on record that processes hold.
fn held<K: Kernel>(kernel: &K, inventory: &Inventory) -> Result<BTreeMap<Descriptor, LiveHeld>> {
    let mut held = BTreeMap::new();
    for resource in inventory.resources.values() {
        if let Resource::Link(LinkRecord { anchor: Anchor::Held(descriptor), .. }) = resource
            && let Some(found) = kernel.held(descriptor)?
        {
            held.insert(*descriptor, found);
        }
    }
    Ok(held)
}

/// What these maps of sockets keep by themselves, where the kernel has no links for that.
fn sockets<K: Kernel>(
    kernel: &K,
    inventory: &Inventory,
    attachments: &BTreeSet<&Attachment>,
    maps: &BTreeMap<u32, K::Handle>,
) -> Result<Option<BTreeMap<SocketHook, Kept>>> {
    let wanted = attachments.iter().any(|place| matches!(place, Attachment::Sockmap { .. }));
    let may_be = !maps.is_empty() || wanted;
    // What is on record shows that it has none.
    if !inventory.has_kept() && (!may_be || kernel.has_socket_links()?) {
        return Ok(None);
    }
    let mut sockets = BTreeMap::new();
    for (map, handle) in maps {
        for attach_type in SocketHook::KINDS {
            let hook = SocketHook { map: *map, attach_type };
            sockets.insert(hook, kernel.kept(handle, attach_type)?);
        }
    }
    Ok(Some(sockets))
}

/// Whether a program that replaces a function is pinned as ours and not on record: then only dispatchers
/// tell where it is called.
fn has_lost_replacements(inventory: &Inventory, pins: &BTreeMap<PinPath, LiveObject>) -> bool {
    pins.iter().filter(|(pin, _)| pin.is_private_to(&inventory.name)).any(|(pin, found)| {
        matches!(found, LiveObject::Program(program) if program.program_type == ProgramType::EXT)
            && !inventory.owns(pin, found)
    })
}

/// The maps of ours whose pin someone has removed, and that programs of ours still use.
fn unpinned<K: Kernel>(
    kernel: &K,
    inventory: &Inventory,
    pins: &BTreeMap<PinPath, LiveObject>,
) -> Result<BTreeMap<u32, LiveMap>> {
    let used: BTreeSet<u32> = pins
        .values()
        .filter_map(|found| match found {
            LiveObject::Program(program) => Some(&program.map_ids),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let mut unpinned = BTreeMap::new();
    for resource in inventory.resources.values() {
        let Resource::Map(MapRecord { id, pin: Some(pin), owned: true, .. }) = resource else {
            continue;
        };
        if !pins.contains_key(pin)
            && used.contains(id)
            && let Some(found) = kernel.open_map(*id)?
            && let LiveObject::Map(map) = found.object
        {
            unpinned.insert(*id, map);
        }
    }
    Ok(unpinned)
}
