//! Looks at the part of a host that concerns one deployment.

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::{Kernel, Result};
use crate::model::attach::Attachment;
use crate::model::inventory::{Anchor, Inventory, Resource};
use crate::model::live::LiveState;
use crate::model::pin::{PinPath, PinRoot};
use crate::validate::Desired;

/// What concerns a deployment that shall become `desired`.
pub(super) fn desired<K: Kernel>(
    kernel: &K,
    desired: &Desired,
    inventory: &Inventory,
) -> Result<LiveState> {
    let mut pins = BTreeSet::new();
    let mut attachments = BTreeSet::new();
    for object in &desired.objects {
        for map in &object.maps {
            pins.extend(map.pin.clone());
            pins.insert(PinPath::map(&desired.name, &object.name, &map.spec.name));
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
    for directory in PinPath::private_directories(&desired.name) {
        pins.extend(kernel.list(&desired.pin_root, &directory)?);
    }
    look(kernel, &desired.pin_root, inventory, pins, &attachments)
}

/// What concerns a deployment as it is on record.
pub(super) fn recorded<K: Kernel>(kernel: &K, inventory: &Inventory) -> Result<LiveState> {
    look(kernel, &inventory.pin_root, inventory, BTreeSet::new(), &BTreeSet::new())
}

fn look<K: Kernel>(
    kernel: &K,
    root: &PinRoot,
    inventory: &Inventory,
    mut paths: BTreeSet<PinPath>,
    attachments: &BTreeSet<&Attachment>,
) -> Result<LiveState> {
    paths.extend(inventory.pins().map(|(pin, _)| pin.clone()));
    let mut pins = BTreeMap::new();
    for path in paths {
        if let Some(found) = kernel.open(root, &path)? {
            pins.insert(path, found.object);
        }
    }
    let mut targets = BTreeMap::new();
    for attachment in attachments {
        targets.insert((*attachment).clone(), kernel.target(attachment)?);
    }
    let mut filters = BTreeMap::new();
    for resource in inventory.resources.values() {
        if let Resource::Link(link) = resource
            && let Anchor::Filter { key, .. } = &link.anchor
            && let Some(filter) = kernel.filter(key)?
        {
            filters.insert(key.clone(), filter);
        }
    }
    Ok(LiveState { root: kernel.root_state(root)?, pins, targets, filters, host: kernel.facts()? })
}
