//! The end of a deployment by its pin policies.

use crate::model::inventory::Inventory;
use crate::model::live::LiveState;

use super::Plan;
use super::draft::Draft;
use super::prune::{Mode, remove_stray_filters};
use super::recover::known;

/// Plans the end of the deployment that `inventory` records: links and programs go, maps by their
/// policy. With `purge`, persisting pins go too.
#[must_use]
pub fn end(live: &LiveState, inventory: &Inventory, purge: bool) -> Plan {
    let known = known(inventory, live);
    let mut draft = Draft::new(live, &known, inventory.pin_root.clone());
    remove_stray_filters(&mut draft);
    draft.finish(if purge { Mode::Purge } else { Mode::End })
}
