//! The end of a deployment by its pin policies.

use crate::model::inventory::Inventory;
use crate::model::live::LiveState;

use super::Plan;
use super::draft::Draft;
use super::prune::{Mode, prune};

/// Plans the end of the deployment that `inventory` records: links and programs go, maps by their
/// policy. With `purge`, persisting pins go too.
#[must_use]
pub fn end(live: &LiveState, inventory: &Inventory, purge: bool) -> Plan {
    let mut draft = Draft::new(live, inventory, inventory.pin_root.clone());
    prune(if purge { Mode::Purge } else { Mode::End }, &mut draft);
    draft.finish()
}
