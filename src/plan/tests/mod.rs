//! The planner on hand-made states: each test says what is wanted, what is there, and what follows.

mod adoption;
mod identity;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::address::Address;
use crate::model::attach::{Attachment, XdpMode};
use crate::model::digest::Digest;
use crate::model::host::{HostFacts, HostIdentity};
use crate::model::identity::Identity;
use crate::model::inventory::{Inventory, Resource};
use crate::model::kinds::{AttachType, LinkType, MapType, ProgramType};
use crate::model::live::{
    LinkTarget, LiveLink, LiveMap, LiveObject, LiveProgram, LiveState, Others, RootState,
    TargetState,
};
use crate::model::map::{MapOrigin, MapShape, MapSpec};
use crate::model::name::Name;
use crate::model::object::ObjectSpec;
use crate::model::pin::{OnMismatch, PinPath, PinPolicy, PinRoot, SubPath};
use crate::model::program::{ProgramKind, ProgramSpec, Uses};
use crate::object::Image;
use crate::validate::{Desired, DesiredMap, DesiredObject, DesiredProgram, Terms};

use super::{Action, Adoption, Plan, ResourceState, Step, drift, end, plan};

const SHAPE: MapShape = MapShape {
    map_type: MapType::HASH,
    key_size: 4,
    value_size: 8,
    max_entries: 64,
    map_flags: 0,
    map_extra: 0,
};

fn name(text: &str) -> Name {
    Name::new(text).expect("a legal name")
}

fn path(text: &str) -> PinPath {
    let (directory, file) = text.rsplit_once('/').map_or(("", text), |(d, f)| (d, f));
    let subpath = SubPath::new(directory).unwrap_or_default();
    PinPath::public(&subpath, file)
}

fn map(name: &str, pin: Option<&str>, policy: PinPolicy) -> DesiredMap {
    let spec = MapSpec {
        name: name.to_owned(),
        origin: MapOrigin::Declared,
        shape: SHAPE,
        numa_node: None,
        pinning: pin.map(|_| 1),
        key: None,
        value: None,
        key_type_id: 0,
        value_type_id: 0,
        inner: None,
        slots: Vec::new(),
    };
    let on_mismatch = OnMismatch::Fail;
    DesiredMap { spec, policy, pin: pin.map(path), on_mismatch, external: false }
}

fn xdp(interface: &str) -> Attachment {
    Attachment::Xdp { interface: interface.to_owned(), mode: XdpMode::Auto }
}

/// Of the program `filter` of object `main`.
fn replacing() -> Attachment {
    let [object, program, function] = ["main", "filter", "verdict"].map(str::to_owned);
    Attachment::Freplace { object, program, function }
}

fn program(name: &str, attachments: Vec<Attachment>) -> DesiredProgram {
    let kind = ProgramKind {
        program_type: ProgramType::XDP,
        attach_type: Some(AttachType::XDP),
        attach_type_optional: true,
        target: None,
        sleepable: false,
        xdp_frags: false,
        needs_attach_btf: false,
    };
    let spec = ProgramSpec {
        name: name.to_owned(),
        section: "xdp".to_owned(),
        kind: Some(kind),
        autoload: true,
        instructions: 2,
        uses: Uses::default(),
        xdp_run: None,
    };
    DesiredProgram {
        spec,
        policy: PinPolicy::None,
        pin: None,
        attachments,
        terms: Terms::default(),
    }
}

fn object(label: &str, maps: Vec<DesiredMap>, programs: Vec<DesiredProgram>) -> DesiredObject {
    let image = Image {
        path: PathBuf::from(format!("{label}.bpf.o")),
        bytes: Vec::new(),
        digest: Digest::of(label.as_bytes()),
        spec: ObjectSpec::default(),
    };
    DesiredObject {
        name: name(label),
        image: Arc::new(image),
        maps,
        operations: Vec::new(),
        programs,
        load_digest: Digest::of(b"settings"),
    }
}

fn desired(objects: Vec<DesiredObject>) -> Desired {
    Desired { name: name("edge"), pin_root: root(), manifest: PathBuf::from("edge.toml"), objects }
}

fn root() -> PinRoot {
    PinRoot::new(std::path::Path::new("/sys/fs/bpf/edge")).expect("a legal root")
}

/// One object with a pinned, a persisting and a private map, and one attached program.
fn firewall() -> Desired {
    let maps = vec![
        map("flows", Some("fw/flows"), PinPolicy::ByName),
        map("state", Some("state"), PinPolicy::PersistOnExit),
        map("scratch", None, PinPolicy::None),
    ];
    desired(vec![object("fw", maps, vec![program("filter", vec![xdp("eth0")])])])
}

/// A host on which plans are carried out by changing plain data.
struct Host {
    live: LiveState,
    inventory: Inventory,
    next_id: u32,
}

impl Host {
    fn empty() -> Self {
        let live = LiveState {
            root: RootState::Absent { missing: vec![root().as_path().to_owned()] },
            pins: BTreeMap::new(),
            unpinned: BTreeMap::new(),
            registered: BTreeSet::new(),
            spent: BTreeSet::new(),
            targets: BTreeMap::from([
                (xdp("eth0"), TargetState::Present(2)),
                (xdp("eth1"), TargetState::Present(3)),
                (replacing(), TargetState::Present(0)),
            ]),
            occupants: BTreeMap::new(),
            filters: BTreeMap::new(),
            held: BTreeMap::new(),
            sockets: None,
            dispatchers: BTreeMap::new(),
            clsact: BTreeSet::new(),
            others: Others::default(),
            host: HostFacts { possible_cpus: 4, page_size: 4096 },
        };
        let identity = HostIdentity { boot_id: "boot".to_owned(), bpffs: None, netns: 1 };
        let inventory = Inventory::empty(name("edge"), root(), PathBuf::new(), identity);
        Self { live, inventory, next_id: 100 }
    }

    fn plan(&self, desired: &Desired) -> Plan {
        plan(desired, &self.live, &self.inventory, Adoption::Never)
    }

    /// Makes the live state and the record what the plan says they are in the end.
    fn carry_out(&mut self, desired: &Desired) -> Plan {
        let done = self.plan(desired);
        assert!(!done.is_refused(), "{:#?}", done.changes);
        self.settle(&done);
        done
    }

    fn settle(&mut self, done: &Plan) {
        let mut after = done.after.clone();
        let mut by_pin = BTreeMap::new();
        for resource in after.resources.values_mut().filter(|resource| resource.identity().id == 0)
        {
            let shared = resource.pins().find_map(|(pin, _)| by_pin.get(pin).copied());
            let id = shared.unwrap_or_else(|| {
                self.next_id += 1;
                self.next_id
            });
            resource.set_id(id);
            by_pin.extend(resource.pins().map(|(pin, made)| (pin.clone(), made.id)));
        }
        self.live.pins.retain(|pin, found| {
            let kept = after.pins().any(|(kept, _)| kept == pin);
            let foreign = found.identity().is_some_and(|found| found.id < 100);
            kept || foreign
        });
        for resource in after.resources.values() {
            for (pin, Identity { id, .. }) in resource.pins() {
                let found = match resource {
                    Resource::Map(map) => live_map(id, map.shape),
                    Resource::Program(_) => live_program(id),
                    Resource::Link(link) => {
                        let program = after.program(&link.program).expect("on record");
                        let index = if link.attachment == Some(xdp("eth1")) { 3 } else { 2 };
                        if link.attachment == Some(replacing()) {
                            live_replacement(id, program.id)
                        } else {
                            live_link(id, program.id, index)
                        }
                    }
                };
                self.live.pins.insert(pin.clone(), found);
            }
        }
        for step in &done.steps {
            match step {
                Step::MakeDirectory(path) if !path.is_private() => {
                    self.live.pins.insert(path.clone(), LiveObject::Directory);
                }
                Step::RemoveDirectory(path) => {
                    self.live.pins.remove(path);
                    after.directories.retain(|made| made != path);
                }
                _ => {}
            }
        }
        after.generation += 1;
        self.live.root = RootState::Present { device: 1 };
        self.inventory = after;
    }
}

fn live_map(id: u32, shape: MapShape) -> LiveObject {
    LiveObject::Map(LiveMap { id, name: "map".to_owned(), shape, key: None, value: None })
}

fn live_program(id: u32) -> LiveObject {
    LiveObject::Program(LiveProgram {
        id,
        name: "filter".to_owned(),
        program_type: ProgramType::XDP,
        tag: [0; 8],
        map_ids: Vec::new(),
    })
}

fn live_link(id: u32, program_id: u32, index: u32) -> LiveObject {
    let target = LinkTarget::Interface { index, attach_type: None };
    LiveObject::Link(LiveLink { id, link_type: LinkType::XDP, program_id, target })
}

fn live_replacement(id: u32, program_id: u32) -> LiveObject {
    let (link_type, target) = (LinkType::TRACING, LinkTarget::Other);
    LiveObject::Link(LiveLink { id, link_type, program_id, target })
}

fn verdicts(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{} {}", change.action, change.address)).collect()
}

fn reason<'p>(plan: &'p Plan, address: &str) -> &'p str {
    let change = plan.changes.iter().find(|change| change.address.as_str() == address);
    &change.expect("a change of that address").reason
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

#[test]
fn a_first_apply_verifies_everything_before_anything_is_visible() {
    let first = Host::empty().plan(&firewall());
    assert_eq!(
        steps(&first),
        [
            "create map.fw.flows",
            "create map.fw.state",
            "create map.fw.scratch",
            "load the programs of object `fw`",
            "make the pin root",
            "make directory fw",
            "make directory ~links",
            "make directory ~links/edge",
            "make directory ~progs",
            "make directory ~progs/edge",
            "pin map.fw.flows at fw/flows",
            "pin map.fw.state at state",
            "pin program.fw.filter at ~progs/edge/fw:filter",
            "attach link.fw.filter[xdp:eth0]",
            "pin link.fw.filter[xdp:eth0] at ~links/edge/fw:filter:xdp:eth0",
        ]
    );
    assert!(first.changes.iter().all(|change| change.action == Action::Create));
}

#[test]
fn a_second_apply_changes_nothing() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let again = host.plan(&firewall());
    assert!(again.is_unchanged(), "{:#?}", again.changes);
    assert_eq!(again.steps, []);
    assert!(drift(&host.inventory, &host.live).iter().all(|status| {
        status.state == ResourceState::InSync || status.address.as_str() == "map.fw.scratch"
    }));
}

#[test]
fn the_end_follows_the_pin_policies_and_the_next_apply_adopts() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let kept = host.live.pins[&path("state")].clone();
    let ending = end(&host.live, &host.inventory, false);
    assert_eq!(
        verdicts(&ending),
        [
            "delete link.fw.filter[xdp:eth0]",
            "delete map.fw.flows",
            "delete map.fw.scratch",
            "forget map.fw.state",
            "delete program.fw.filter",
        ]
    );
    host.settle(&ending);
    assert_eq!(host.live.pins.keys().cloned().collect::<Vec<_>>(), [path("state")]);
    assert_eq!(host.inventory.directories, []);

    let next = host.plan(&firewall());
    assert_eq!(reason(&next, "map.fw.state"), "pinned before with the same shape; contents kept");
    assert!(!steps(&next).contains(&"create map.fw.state".to_owned()));
    host.carry_out(&firewall());
    assert_eq!(host.live.pins[&path("state")], kept);
}

#[test]
fn a_purge_removes_what_persists() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let purge = end(&host.live, &host.inventory, true);
    assert!(steps(&purge).contains(&"retire pin state".to_owned()));
    host.settle(&purge);
    assert!(host.live.pins.is_empty() && host.inventory.resources.is_empty());
}

#[test]
fn a_pin_of_another_shape_is_refused_with_every_difference() {
    let mut host = Host::empty();
    let other = MapShape { value_size: 16, max_entries: 32, ..SHAPE };
    host.live.root = RootState::Present { device: 1 };
    host.live.pins.insert(path("fw/flows"), live_map(7, other));
    let refused = host.plan(&firewall());
    assert!(refused.is_refused());
    assert_eq!(refused.steps, []);
    let reason = reason(&refused, "map.fw.flows");
    for part in
        ["value_size 8 in the object, 16 in the pin", "max_entries 64 in the object, 32 in the pin"]
    {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn only_our_own_map_is_replaced() {
    let mut wanted = firewall();
    wanted.objects[0].maps[0].on_mismatch = OnMismatch::Replace;
    let grown = |wanted: &Desired| {
        let mut grown = wanted.clone();
        grown.objects[0].maps[0].spec.shape.max_entries = 128;
        grown.objects[0].load_digest = Digest::of(b"other settings");
        grown
    };
    let mut host = Host::empty();
    host.carry_out(&wanted);
    let replaced = host.plan(&grown(&wanted));
    let swaps = replaced.steps.iter().filter(|step| matches!(step, Step::Swap { .. }));
    assert_eq!(swaps.count(), 2, "the map and the program that uses it");
    assert_eq!(
        reason(&replaced, "link.fw.filter[xdp:eth0]"),
        "its program changed: swapped atomically"
    );

    let mut stranger = Host::empty();
    stranger.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    let refused = stranger.plan(&grown(&wanted));
    assert!(refused.is_refused());
    assert!(reason(&refused, "map.fw.flows").contains("not on record"));
}

/// The firewall with a larger `flows`, whose entries are to be carried over.
fn grown() -> Desired {
    let mut grown = firewall();
    let flows = &mut grown.objects[0].maps[0];
    flows.on_mismatch = OnMismatch::Migrate;
    flows.spec.shape.max_entries = 128;
    grown.objects[0].load_digest = Digest::of(b"other settings");
    grown
}

#[test]
fn entries_are_copied_before_anything_is_visible_and_late_writes_after_the_links() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let plan = host.plan(&grown());
    assert!(verdicts(&plan).contains(&"migrate map.fw.flows".to_owned()), "{:?}", verdicts(&plan));
    let steps = steps(&plan);
    let at = |text: &str| {
        let found = steps.iter().position(|step| step == text);
        found.unwrap_or_else(|| panic!("{text}: {steps:#?}"))
    };
    let order = [
        "open pin fw/flows",
        "create map.fw.flows",
        "load the programs of object `fw`",
        "copy the entries of pin fw/flows to map.fw.flows",
        "put map.fw.flows in place of pin fw/flows",
        "swap the program of pin ~links/edge/fw:filter:xdp:eth0",
        "carry late writes of pin fw/flows over to map.fw.flows",
        "drop ~stage/edge/0",
    ];
    assert!(order.map(at).is_sorted(), "{steps:#?}");
    let reason = reason(&plan, "map.fw.flows");
    for part in [
        "max_entries 128 in the object, 64 in the pin",
        "up to 64 entries are copied",
        "not to entries that the new programs have written",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
    host.carry_out(&grown());
    assert!(host.plan(&grown()).is_unchanged());
}

#[test]
fn a_map_that_moves_and_migrates_leaves_no_pin_behind() {
    let mut host = Host::empty();
    let mut persisting = firewall();
    persisting.objects[0].maps[0].policy = PinPolicy::PersistOnExit;
    host.carry_out(&persisting);
    let mut moved = grown();
    moved.objects[0].maps[0].policy = PinPolicy::PersistOnExit;
    moved.objects[0].maps[0].pin = Some(path("other/flows"));
    let plan = host.plan(&moved);
    let steps = steps(&plan);
    for step in [
        "copy the entries of pin fw/flows to map.fw.flows",
        "pin map.fw.flows at other/flows",
        "retire pin fw/flows",
    ] {
        assert!(steps.contains(&step.to_owned()), "{steps:#?}");
    }
    host.carry_out(&moved);
    assert!(host.inventory.forgotten.is_empty());
    assert!(host.plan(&moved).is_unchanged());
}

#[test]
fn only_our_own_map_is_migrated() {
    let mut stranger = Host::empty();
    stranger.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    let refused = stranger.plan(&grown());
    assert!(refused.is_refused());
    assert!(reason(&refused, "map.fw.flows").contains("not on record"));
}

#[test]
fn a_refused_mismatch_names_every_option() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let mut wanted = grown();
    wanted.objects[0].maps[0].on_mismatch = OnMismatch::Fail;
    let plan = host.plan(&wanted);
    let said = reason(&plan, "map.fw.flows");
    for option in ["`on-mismatch`", "\"migrate\" carries", "\"replace\" starts", "\"fail\", as now"]
    {
        assert!(said.contains(option), "{said}");
    }
    let array = |on_mismatch| {
        let mut wanted = wanted.clone();
        wanted.objects[0].maps[0].spec.shape.map_type = MapType::ARRAY;
        wanted.objects[0].maps[0].on_mismatch = on_mismatch;
        wanted
    };
    let why = "entries of type hash do not fit into type array";
    for on_mismatch in [OnMismatch::Fail, OnMismatch::Migrate] {
        let plan = host.plan(&array(on_mismatch));
        assert!(plan.is_refused() && plan.steps.is_empty());
        let said = reason(&plan, "map.fw.flows");
        assert!(said.contains(why) && said.contains("\"replace\"` starts empty"), "{said}");
    }
}

#[test]
fn the_slots_of_a_fresh_prog_array_are_filled_before_any_program_is_swapped() {
    let mut desired = firewall();
    let object = &mut desired.objects[0];
    object.maps[0].spec.shape.map_type = MapType::PROG_ARRAY;
    object.maps[0].spec.slots = vec![(0, "filter".to_owned())];
    let mut host = Host::empty();
    host.carry_out(&desired);
    desired.objects[0].load_digest = Digest::of(b"other settings");
    let plan = host.plan(&desired);
    let steps = steps(&plan);
    let at = |text: &str| steps.iter().position(|step| step == text).expect(text);
    let order = [
        "create map.fw.flows",
        "load the programs of object `fw`",
        "fill the slots of map.fw.flows",
        "put map.fw.flows in place of pin fw/flows",
        "swap the program of pin ~links/edge/fw:filter:xdp:eth0",
    ];
    assert!(order.map(at).is_sorted(), "{steps:#?}");
}

#[test]
fn a_matching_pin_of_someone_else_is_used_and_never_unlinked() {
    let mut host = Host::empty();
    host.live.root = RootState::Present { device: 1 };
    host.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    let adopted = host.carry_out(&firewall());
    assert!(reason(&adopted, "map.fw.flows").contains("never unlinked"));
    let ending = end(&host.live, &host.inventory, true);
    assert!(!steps(&ending).contains(&"retire pin fw/flows".to_owned()));
    assert!(verdicts(&ending).contains(&"forget map.fw.flows".to_owned()));
}

#[test]
fn a_changed_object_swaps_its_programs_in_place() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let mut changed = firewall();
    let image = Image { digest: Digest::of(b"other bytes"), ..(*changed.objects[0].image).clone() };
    changed.objects[0].image = Arc::new(image);
    let update = host.plan(&changed);
    let steps = steps(&update);
    let at = |text: &str| steps.iter().position(|step| step == text).expect(text);
    let loaded = at("load the programs of object `fw`");
    let placed = at("put program.fw.filter in place of pin ~progs/edge/fw:filter");
    let swapped = at("swap the program of pin ~links/edge/fw:filter:xdp:eth0");
    assert!(loaded < placed && placed < swapped, "{steps:#?}");
    assert!(!steps.iter().any(|step| step.starts_with("create map.fw.flows")));
    host.carry_out(&changed);
    assert!(host.plan(&changed).is_unchanged());
}

#[test]
fn what_left_the_manifest_is_pruned() {
    let mut host = Host::empty();
    let mut both = firewall();
    both.objects[0].programs[0].attachments.push(xdp("eth1"));
    host.carry_out(&both);
    let pruned = host.carry_out(&firewall());
    assert!(verdicts(&pruned).contains(&"delete link.fw.filter[xdp:eth1]".to_owned()));
    let none = host.carry_out(&desired(Vec::new()));
    assert!(verdicts(&none).contains(&"forget map.fw.state".to_owned()));
    assert!(host.live.pins.contains_key(&path("state")));
    assert!(host.plan(&desired(Vec::new())).is_unchanged(), "a forgotten pin is not planned again");
    host.settle(&end(&host.live, &host.inventory, true));
    assert!(host.live.pins.is_empty(), "a purge still finds it");
}

#[test]
fn what_took_our_place_is_left_alone() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    host.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    let statuses = drift(&host.inventory, &host.live);
    let flows = statuses.iter().find(|status| status.address.as_str() == "map.fw.flows");
    assert_eq!(flows.map(|status| status.state), Some(ResourceState::Foreign));
    let ending = end(&host.live, &host.inventory, true);
    assert!(!steps(&ending).contains(&"retire pin fw/flows".to_owned()));
    assert!(reason(&ending, "map.fw.flows").contains("not ours"));
}

#[test]
fn a_moved_subpath_renames_the_pin() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let mut moved = firewall();
    moved.objects[0].maps[0].pin = Some(path("other/flows"));
    let plan = host.carry_out(&moved);
    assert!(steps(&plan).contains(&"rename pin fw/flows to other/flows".to_owned()));
    assert!(!steps(&plan).iter().any(|step| step.starts_with("create")), "{:#?}", steps(&plan));
    assert!(steps(&plan).contains(&"remove directory fw".to_owned()));
}

#[test]
fn two_objects_share_the_map_of_one_path() {
    let one =
        object("one", vec![map("m", Some("m"), PinPolicy::ByName)], vec![program("a", vec![])]);
    let two =
        object("two", vec![map("m", Some("m"), PinPolicy::ByName)], vec![program("b", vec![])]);
    let both = desired(vec![one, two]);
    let mut host = Host::empty();
    let plan = host.carry_out(&both);
    assert_eq!(steps(&plan).iter().filter(|step| step.starts_with("create")).count(), 1);
    let loads: Vec<String> =
        steps(&plan).into_iter().filter(|step| step.starts_with("load")).collect();
    assert_eq!(loads, ["load the programs of objects `one`, `two`"], "side by side");
    assert!(host.plan(&both).is_unchanged(), "{:#?}", host.plan(&both).changes);
    let ending = end(&host.live, &host.inventory, false);
    assert_eq!(steps(&ending).iter().filter(|step| *step == "retire pin m").count(), 1);
}

#[test]
fn an_external_map_must_exist_and_is_never_touched() {
    let mut wanted = firewall();
    wanted.objects[0].maps[0].external = true;
    let mut host = Host::empty();
    assert!(reason(&host.plan(&wanted), "map.fw.flows").contains("must exist"));
    host.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    host.carry_out(&wanted);
    assert!(host.plan(&wanted).is_unchanged(), "{:#?}", host.plan(&wanted).changes);
    let ending = end(&host.live, &host.inventory, true);
    assert!(!steps(&ending).contains(&"retire pin fw/flows".to_owned()));
}

#[test]
fn a_lost_record_loses_no_data_and_takes_over_what_is_private() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let identity = host.inventory.host.clone();
    host.inventory = Inventory::empty(name("edge"), root(), PathBuf::new(), identity);
    let again = host.carry_out(&firewall());
    assert!(verdicts(&again).contains(&"adopt map.fw.state".to_owned()));
    assert!(verdicts(&again).contains(&"update link.fw.filter[xdp:eth0]".to_owned()));
    assert!(host.plan(&firewall()).is_unchanged());
}

#[test]
fn a_missing_interface_and_a_wrong_file_system_are_refused() {
    let mut host = Host::empty();
    host.live.targets.insert(
        xdp("eth0"),
        TargetState::Missing { reason: "there is no interface `eth0`".to_owned() },
    );
    host.live.root = RootState::NotBpffs { directory: "/tmp".into(), magic: 0xef53 };
    let refused = host.plan(&firewall());
    assert_eq!(reason(&refused, "link.fw.filter[xdp:eth0]"), "there is no interface `eth0`");
    assert!(reason(&refused, "pin-root").contains("mount -t bpf"));
}

#[test]
fn an_interface_that_came_back_is_attached_anew() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    host.live.targets.insert(xdp("eth0"), TargetState::Present(9));
    let anew = host.plan(&firewall());
    assert!(verdicts(&anew).contains(&"replace link.fw.filter[xdp:eth0]".to_owned()));
    assert!(!steps(&anew).iter().any(|step| step.starts_with("load")));
}

/// One object with one pinned map and one program.
fn one_map(label: &str, pin: &str, policy: PinPolicy) -> DesiredObject {
    object(label, vec![map("m", Some(pin), policy)], vec![program("prog", vec![])])
}

/// Carries out one state after the other and checks that each is settled.
fn succession(states: &[&Desired]) -> (Host, Vec<Plan>) {
    let mut host = Host::empty();
    let mut plans = Vec::new();
    for state in states {
        plans.push(host.carry_out(state));
        let again = host.plan(state);
        assert!(again.is_unchanged(), "{:#?}\n{:#?}", again.changes, again.steps);
    }
    (host, plans)
}

#[test]
fn maps_that_swap_their_paths_keep_their_contents() {
    let two = |first: &str, second: &str| {
        desired(vec![
            one_map("one", first, PinPolicy::ByName),
            one_map("two", second, PinPolicy::PersistOnExit),
        ])
    };
    let (host, plans) = succession(&[&two("a", "b"), &two("b", "a")]);
    assert!(
        !steps(&plans[1]).iter().any(|step| step.starts_with("create")),
        "{:#?}",
        steps(&plans[1])
    );
    let id = |object: &str| {
        host.inventory.map(&Address::map(&name(object), "m")).map(|map| Identity::map(map.id))
    };
    assert_eq!(host.live.pins[&path("b")].identity(), id("one"));
    let (_, chain) = succession(&[&two("a", "b"), &two("b", "c")]);
    assert!(!steps(&chain[1]).iter().any(|step| step.starts_with("create")));
}

#[test]
fn sharers_of_a_map_can_part() {
    let two = |first: &str, second: &str| {
        desired(vec![
            one_map("one", first, PinPolicy::ByName),
            one_map("two", second, PinPolicy::ByName),
        ])
    };
    // One stays, so the other starts anew.
    let (host, plans) = succession(&[&two("s", "s"), &two("t", "s")]);
    assert!(steps(&plans[1]).contains(&"create map.one.m".to_owned()));
    assert_eq!(host.live.pins.len(), 4);
    // Both go: the first takes it along.
    let (_, plans) = succession(&[&two("s", "s"), &two("t", "u")]);
    assert!(steps(&plans[1]).contains(&"rename pin s to t".to_owned()));
    assert!(steps(&plans[1]).contains(&"create map.two.m".to_owned()));
    // One no longer wants it pinned; the other keeps the pin.
    let mut private = two("s", "s");
    private.objects[0].maps[0].pin = None;
    private.objects[0].maps[0].policy = PinPolicy::None;
    let (host, _) = succession(&[&two("s", "s"), &private]);
    assert!(host.live.pins.contains_key(&path("s")));
    // A new object comes to the path that another leaves.
    let alone = desired(vec![one_map("one", "s", PinPolicy::ByName)]);
    let (_, plans) = succession(&[&alone, &two("t", "s")]);
    assert!(steps(&plans[1]).contains(&"create map.two.m".to_owned()));
}

#[test]
fn a_persisting_pin_is_only_ever_forgotten() {
    let persisting = desired(vec![one_map("one", "p", PinPolicy::PersistOnExit)]);
    let mut none = desired(vec![one_map("one", "p", PinPolicy::None)]);
    none.objects[0].maps[0].pin = None;
    let (host, plans) = succession(&[&persisting, &none]);
    assert!(
        !steps(&plans[1]).iter().any(|step| step.contains("retire")),
        "{:#?}",
        steps(&plans[1])
    );
    assert!(host.inventory.forgotten.contains_key(&path("p")));
    let (host, plans) = succession(&[&persisting, &none, &persisting]);
    assert!(!steps(&plans[2]).iter().any(|step| step.starts_with("create")));
    assert!(host.inventory.forgotten.is_empty());
    // Another map cannot take its place.
    let mut usurper = one_map("two", "p", PinPolicy::ByName);
    usurper.maps[0].spec.shape.max_entries = 1;
    let mut host = Host::empty();
    host.carry_out(&persisting);
    assert!(host.plan(&desired(vec![usurper])).is_refused());
}

#[test]
fn a_map_whose_contents_only_a_pin_keeps_never_loses_it() {
    let jumps = |policy: PinPolicy| {
        let mut object = one_map("one", "jumps", policy);
        object.maps[0].spec.shape.map_type = MapType::PROG_ARRAY;
        if policy == PinPolicy::None {
            object.maps[0].pin = None;
        }
        desired(vec![object])
    };
    let (mut host, plans) = succession(&[&jumps(PinPolicy::ByName), &jumps(PinPolicy::None)]);
    assert!(steps(&plans[1]).contains(&"rename pin jumps to ~maps/edge/one:m".to_owned()));
    // Without the pin the contents are gone, so the map is made anew and the object loaded again.
    let keeper = PinPath::map(&name("edge"), &name("one"), "m");
    host.live.pins.remove(&keeper);
    let plan = host.plan(&jumps(PinPolicy::None));
    assert!(reason(&plan, "program.one.prog").contains("is gone"), "{:#?}", plan.changes);
}

#[test]
fn an_attachment_moves_to_another_program_without_a_gap() {
    let attached_to = |which: &str| {
        let programs = ["first", "second"]
            .map(|name| program(name, if name == which { vec![xdp("eth0")] } else { Vec::new() }));
        desired(vec![object("fw", Vec::new(), programs.into())])
    };
    let (host, plans) = succession(&[&attached_to("first"), &attached_to("second")]);
    let (steps, verdicts) = (steps(&plans[1]), verdicts(&plans[1]));
    assert!(steps.contains(&"swap the program of pin ~links/edge/fw:first:xdp:eth0".to_owned()));
    assert!(!steps.iter().any(|step| step.starts_with("attach")), "{steps:#?}");
    assert!(verdicts.contains(&"move link.fw.first[xdp:eth0]".to_owned()), "{verdicts:#?}");
    assert_eq!(host.live.pins.len(), 3);
}

#[test]
fn a_renamed_object_keeps_its_maps_and_its_link() {
    let mut renamed = firewall();
    renamed.objects[0].name = name("wall");
    renamed.objects[0].programs[0].policy = PinPolicy::ByName;
    renamed.objects[0].programs[0].pin = Some(path("fw/filter"));
    let mut first = firewall();
    first.objects[0].programs[0].policy = PinPolicy::ByName;
    first.objects[0].programs[0].pin = Some(path("fw/filter"));
    let (_, plans) = succession(&[&first, &renamed]);
    let steps = steps(&plans[1]);
    assert!(!steps.contains(&"create map.wall.flows".to_owned()), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.starts_with("attach")), "{steps:#?}");
}

#[test]
fn pins_of_programs_follow_their_policy() {
    let pinned = |at: &str, policy: PinPolicy| {
        let mut object = object("fw", Vec::new(), vec![program("prog", vec![])]);
        object.programs[0].policy = policy;
        object.programs[0].pin = Some(path(at));
        desired(vec![object])
    };
    let (host, _) = succession(&[&pinned("a", PinPolicy::ByName), &pinned("b", PinPolicy::ByName)]);
    assert!(!host.live.pins.contains_key(&path("a")) && host.live.pins.contains_key(&path("b")));
    let persists = pinned("a", PinPolicy::PersistOnExit);
    let (mut host, plans) = succession(&[&pinned("a", PinPolicy::ByName), &persists]);
    assert_eq!(verdicts(&plans[1]), ["update program.fw.prog"]);
    host.settle(&end(&host.live, &host.inventory, false));
    assert_eq!(host.live.pins.keys().cloned().collect::<Vec<_>>(), [path("a")]);
    host.carry_out(&persists);
    assert!(host.plan(&persists).is_unchanged());
    host.settle(&end(&host.live, &host.inventory, true));
    assert!(host.live.pins.is_empty());
}

#[test]
fn what_a_killed_run_left_in_private_directories_is_cleared() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let program = PinPath::program(&name("edge"), &name("fw"), "filter");
    host.live.pins.insert(program, live_program(190));
    host.live.pins.insert(PinPath::stage(&name("edge"), 0), live_program(191));
    host.live.pins.insert(
        PinPath::link(&name("edge"), &name("old"), "gone", &xdp("eth1")),
        live_link(192, 190, 3),
    );
    let plan = host.plan(&firewall());
    assert!(!plan.is_refused(), "{:#?}", plan.changes);
    let steps = steps(&plan);
    assert!(steps.contains(&"drop ~stage/edge/0".to_owned()), "{steps:#?}");
    assert!(steps.contains(&"retire pin ~links/edge/old:gone:xdp:eth1".to_owned()), "{steps:#?}");
    assert!(steps.contains(&"load the programs of object `fw`".to_owned()), "{steps:#?}");
}

#[test]
fn a_lost_program_pin_does_not_keep_the_link_from_being_swapped() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    host.live.pins.remove(&PinPath::program(&name("edge"), &name("fw"), "filter"));
    let plan = host.plan(&firewall());
    assert!(
        verdicts(&plan).contains(&"update link.fw.filter[xdp:eth0]".to_owned()),
        "{:#?}",
        plan.changes
    );
}

#[test]
fn a_pin_that_cannot_be_opened_is_not_forgotten() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let link = PinPath::link(&name("edge"), &name("fw"), "filter", &xdp("eth0"));
    host.live.pins.insert(link, LiveObject::Unreadable { reason: "denied".into() });
    let ending = end(&host.live, &host.inventory, false);
    assert!(ending.is_refused() && ending.steps.is_empty());
    assert!(reason(&ending, "link.fw.filter[xdp:eth0]").contains("denied"));
}

#[test]
fn another_deployments_pin_is_not_taken() {
    let mut host = Host::empty();
    host.live.pins.insert(path("fw/flows"), live_map(7, SHAPE));
    host.live.others.pins.insert(path("fw/flows"), name("other"));
    let plan = host.plan(&firewall());
    assert!(reason(&plan, "map.fw.flows").contains("belongs to deployment `other`"));
}

#[test]
fn a_recorded_layout_counts_where_the_types_may_not_be_read() {
    use crate::model::ctype::{CType, CTypeKind};
    let typed = |kind: CTypeKind| {
        let ctype = |size| CType { name: "x".into(), size, kind: kind.clone() };
        let mut desired = desired(vec![one_map("one", "m", PinPolicy::ByName)]);
        let spec = &mut desired.objects[0].maps[0].spec;
        (spec.key, spec.value) = (Some(ctype(4)), Some(ctype(8)));
        desired
    };
    let mut host = Host::empty();
    let int = |signed| CTypeKind::Int { signed };
    host.carry_out(&typed(int(false)));
    assert!(host.plan(&typed(int(false))).is_unchanged());
    let plan = host.plan(&typed(int(true)));
    assert!(!plan.is_refused(), "a sign is no other layout: {:#?}", plan.changes);
    assert!(reason(&host.plan(&typed(CTypeKind::Float)), "map.one.m").contains("layout"));
}

#[test]
fn a_refused_plan_announces_no_deletions() {
    let mut host = Host::empty();
    host.carry_out(&firewall());
    let mut elsewhere = firewall();
    elsewhere.objects[0].programs[0].attachments = vec![xdp("eth1")];
    let reason = "there is no network interface `eth1`".to_owned();
    host.live.targets.insert(xdp("eth1"), TargetState::Missing { reason });
    let plan = host.plan(&elsewhere);
    assert!(plan.is_refused());
    assert!(
        !plan.changes.iter().any(|change| change.action == Action::Delete),
        "{:#?}",
        plan.changes
    );
}

mod compat {
    use super::{HostFacts, LiveMap, MapShape, MapType, map};
    use crate::model::pin::PinPolicy;
    use crate::plan::compat::mismatches;

    const HOST: HostFacts = HostFacts { possible_cpus: 6, page_size: 4096 };

    fn found(shape: MapShape) -> LiveMap {
        LiveMap { id: 1, name: "m".to_owned(), shape, key: None, value: None }
    }

    #[test]
    fn the_flag_that_the_kernel_sets_on_devmaps_is_no_difference() {
        let mut wanted = map("m", None, PinPolicy::None);
        wanted.spec.shape.map_type = MapType::DEVMAP;
        let live = MapShape { map_flags: 1 << 7, ..wanted.spec.shape };
        assert_eq!(mismatches(&wanted.spec, &found(live), None, &HOST), []);
        wanted.spec.shape.map_type = MapType::HASH;
        let live = MapShape { map_type: MapType::HASH, ..live };
        let differences = mismatches(&wanted.spec, &found(live), None, &HOST);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].found, "BPF_F_RDONLY_PROG");
    }

    #[test]
    fn every_difference_is_named() {
        let wanted = map("m", None, PinPolicy::None);
        let live = MapShape {
            map_type: MapType::ARRAY,
            key_size: 8,
            value_size: 4,
            max_entries: 1,
            map_flags: 1,
            map_extra: 5,
        };
        let fields: Vec<_> = mismatches(&wanted.spec, &found(live), None, &HOST)
            .iter()
            .map(|one| one.field)
            .collect();
        assert_eq!(
            fields,
            ["type", "key_size", "value_size", "max_entries", "map_flags", "map_extra"]
        );
    }
}

/// A program on an interface, and in an object before it one that replaces a function of it.
fn replaced() -> Desired {
    let extra = object("extra", Vec::new(), vec![program("instead", vec![replacing()])]);
    let main = object("main", Vec::new(), vec![program("filter", vec![xdp("eth0")])]);
    desired(vec![extra, main])
}

/// What is loaded, and in which order links come.
fn loads_and_links(plan: &Plan) -> Vec<String> {
    let wanted = |step: &&Step| {
        matches!(
            step,
            Step::LoadPrograms { .. }
                | Step::LoadReplacement { .. }
                | Step::Attach { .. }
                | Step::UpdateLink { .. }
        )
    };
    plan.steps.iter().filter(wanted).map(ToString::to_string).collect()
}

const LOAD_MAIN: &str = "load the programs of object `main`";
const LOAD_FOR_NEW: &str = "load program `instead` of object `extra` for program.main.filter";
const ATTACH: &str = "attach link.extra.instead[freplace:main.filter:verdict]";

#[test]
fn a_replacement_comes_after_its_program_and_is_attached_before_it() {
    let mut host = Host::empty();
    let first = host.carry_out(&replaced());
    let expected = [LOAD_MAIN, LOAD_FOR_NEW, ATTACH, "attach link.main.filter[xdp:eth0]"];
    assert_eq!(loads_and_links(&first), expected);
    let again = host.plan(&replaced());
    assert!(again.is_unchanged(), "{:#?}", again.changes);
}

#[test]
fn a_first_replacement_leaves_its_program_alone() {
    let mut host = Host::empty();
    let mut wanted = replaced();
    let extra = wanted.objects.remove(0);
    host.carry_out(&wanted);
    wanted.objects.insert(0, extra);
    let plan = host.plan(&wanted);
    let load = "load program `instead` of object `extra` for pin ~progs/edge/main:filter";
    assert_eq!(loads_and_links(&plan), [load, ATTACH]);
    assert_eq!(reason(&plan, "program.main.filter"), "loaded as declared");
}

#[test]
fn a_replacement_and_its_program_change_together() {
    for changed in [0, 1] {
        let mut host = Host::empty();
        host.carry_out(&replaced());
        let mut wanted = replaced();
        wanted.objects[changed].load_digest = Digest::of(b"other settings");
        let plan = host.carry_out(&wanted);
        let swap = "swap the program of pin ~links/edge/main:filter:xdp:eth0";
        assert_eq!(loads_and_links(&plan), [LOAD_MAIN, LOAD_FOR_NEW, ATTACH, swap]);
        assert!(host.plan(&wanted).is_unchanged());
    }
}

#[test]
fn a_replacement_without_its_link_is_loaded_anew() {
    let mut host = Host::empty();
    host.carry_out(&replaced());
    host.live.pins.retain(
        |_, found| !matches!(found, LiveObject::Link(link) if link.link_type == LinkType::TRACING),
    );
    let plan = host.plan(&replaced());
    let load = "load program `instead` of object `extra` for pin ~progs/edge/main:filter";
    assert_eq!(loads_and_links(&plan), [load, ATTACH]);
}
