//! Maps that are not pinned by name: made anew whenever their object is loaded.

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::kinds::MapType;
use crate::model::map::MapSpec;
use crate::model::pin::{PinPath, PinPolicy};
use crate::validate::{DesiredObject, DesiredOperations};

use super::draft::{Draft, Phase, Source};
use super::maps::{create_step, held, record};
use super::{Action, Change, compat};

/// Why the private maps of an object make it necessary to load it again, if they do.
pub(super) fn reload_reason(object: &DesiredObject, draft: &Draft<'_>) -> Option<String> {
    object.maps.iter().filter(|map| map.pin.is_none()).find_map(|map| {
        let address = Address::map(&object.name, &map.spec.name);
        let name = &map.spec.name;
        let Some(known) = draft.inventory().map(&address).filter(|known| known.owned) else {
            return Some(format!("map `{name}` is another one now"));
        };
        let registers = |ops: &DesiredOperations| {
            ops.map == *name && matches!(ops.attachment, Attachment::StructOps { link: false, .. })
        };
        if draft.live.spent.contains(&known.id) && object.operations.iter().any(registers) {
            return Some(format!("map `{name}` was unregistered, and cannot be registered again"));
        }
        let lost = drops_contents_unreferenced(&map.spec) && held(&address, draft).is_none();
        lost.then(|| {
            format!("the pin that kept the contents of map `{name}` (id {}) is gone", known.id)
        })
    })
}

/// Plans the maps that are not pinned by name: made anew whenever their object is loaded.
pub(super) fn plan(object: &DesiredObject, reload: bool, draft: &mut Draft<'_>) {
    for map in object.maps.iter().filter(|map| map.pin.is_none()) {
        let address = Address::map(&object.name, &map.spec.name);
        let known = draft.inventory().map(&address).cloned();
        let keeper = drops_contents_unreferenced(&map.spec)
            .then(|| PinPath::map(&draft.name(), &object.name, &map.spec.name));
        let (change, source) = if reload {
            let (action, reason) = match (&known, map.spec.is_declared()) {
                (None, true) => (Action::Create, "policy none: held by its programs, not pinned"),
                (None, false) => (Action::Create, "data section"),
                (Some(_), true) => {
                    (Action::Replace, "loaded again: contents dropped (policy none)")
                }
                (Some(_), false) => (Action::Replace, "loaded again: contents as in the object"),
            };
            create_step(&address, &object.name, &map.spec, draft);
            let shape = map.spec.shape.reported(&draft.live.host);
            let change = Change::new(address.clone(), action, reason);
            (change.after(compat::describe(&shape)), Some(Source::New(address.clone())))
        } else {
            let was = known.as_ref().map_or(PinPolicy::None, |known| known.policy);
            let change = match was {
                PinPolicy::None => {
                    Change::new(address.clone(), Action::NoOp, "held by its programs")
                }
                PinPolicy::ByName => Change::new(
                    address.clone(),
                    Action::Update,
                    "no longer pinned (policy none); its programs hold it",
                ),
                PinPolicy::PersistOnExit => Change::new(
                    address.clone(),
                    Action::Update,
                    "policy none now; its pin persists until `destroy --purge`",
                ),
            };
            let held = held(&address, draft);
            (
                change,
                held.map(|held| Source::Live {
                    pin: held.pin,
                    identity: Identity::map(held.found.id),
                }),
            )
        };
        draft.change(change);
        let id = match &source {
            Some(source) => source.recorded_id(),
            None => known.map_or(0, |known| known.id),
        };
        if let (Some(pin), Some(source)) = (&keeper, source) {
            draft.claim(pin.clone(), &address, source, Phase::PinMaps);
        }
        record(&address, map, keeper, (id, true), draft);
    }
}

/// Whether the kernel drops a map's contents with its last user reference, though programs still
/// use it (`map_release_uref` in `kernel/bpf/`: prog arrays, sockmaps; timers and work queues too).
/// No program refers to the map of the struct ops it belongs to, so that one goes as a whole.
pub(super) fn drops_contents_unreferenced(spec: &MapSpec) -> bool {
    let by_type = [MapType::PROG_ARRAY, MapType::SOCKMAP, MapType::SOCKHASH, MapType::STRUCT_OPS];
    let timers = |name: &str| matches!(name, "struct bpf_timer" | "struct bpf_wq");
    by_type.contains(&spec.shape.map_type)
        || spec.value.as_ref().is_some_and(|value| value.contains(&timers))
}
