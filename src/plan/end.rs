//! The end of a deployment by its pin policies.

use crate::model::inventory::Inventory;
use crate::model::live::LiveState;

use super::Plan;
use super::draft::Draft;
use super::prune::Mode;
use super::recover::known;

/// Plans the end of the deployment that `inventory` records: links and programs go, maps by their
/// policy. With `purge`, persisting pins go too.
#[must_use]
pub fn end(live: &LiveState, inventory: &Inventory, purge: bool) -> Plan {
    let known = known(inventory, live);
    let draft = Draft::new(live, &known, inventory.pin_root.clone());
    draft.finish(if purge { Mode::Purge } else { Mode::End })
}
