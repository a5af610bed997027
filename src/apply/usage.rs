//! What the resources of a deployment have used and done.

use std::collections::BTreeMap;

use crate::kernel::Kernel;
use crate::model::address::Address;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::inventory::{Inventory, Resource};
use crate::model::usage::Usage;

/// Figures of the maps and programs on record that are there. What cannot be opened or asked, such as
/// a map without a pin for who may not open maps by their ids, is left out.
pub(super) fn usage<K: Kernel>(kernel: &K, inventory: &Inventory) -> BTreeMap<Address, Usage> {
    let figures = |(address, resource): (&Address, &Resource)| {
        let found = match resource.pins().next() {
            Some((pin, _)) => kernel.open(&inventory.pin_root, pin),
            None if is_map(resource.identity()) => kernel.open_map(resource.identity().id),
            None => Ok(None),
        };
        let usage = found.and_then(|found| match found.and_then(|found| found.handle) {
            Some(handle) if kernel.identity_of(&handle) == resource.identity() => {
                kernel.usage(&handle).map(Some)
            }
            _ => Ok(None),
        });
        match usage {
            Ok(usage) => Some((address.clone(), usage?)),
            Err(error) => {
                tracing::debug!(%address, %error, "what it uses is not known");
                None
            }
        }
    };
    inventory.resources.iter().filter_map(figures).collect()
}

fn is_map(identity: Identity) -> bool {
    identity.kind == ObjectKind::Map && identity.id != 0
}
