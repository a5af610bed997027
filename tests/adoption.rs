//! Taking over what is someone else's: each named, all or nothing, and nothing that is not meant.
//!
//! On the kernel in memory; `tests/kernel/adoption.rs` shows the same on the running one.

mod support;

use std::path::Path;
use std::time::Duration;

use ebpf_apply::apply::{Applied, ApplyError, Host, Keeper, StateDirectory};
use ebpf_apply::kernel::fake::{Fake, Handle};
use ebpf_apply::kernel::{Kernel as _, LoadRequest};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::inventory::{Anchor, Resource};
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::object::Image;
use ebpf_apply::plan::{Action, Change, ResourceState, Step};
use ebpf_apply::validate::{Desired, validate};
use rustix::io::Errno;
use tempfile::TempDir;

struct Machine {
    kernel: Fake,
    state: StateDirectory,
    keeper: Keeper<Fake>,
    _directory: TempDir,
}

const EDGE: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.a]
path = "shape_a.bpf.o"

[objects.a.programs.count_a]
attach = [{ hook = "xdp", interface = "eth0" }]

[objects.tc]
path = "tc_counter.bpf.o"

[objects.tc.programs.tc_count]
attach = [{ hook = "tcx", interface = "eth0", direction = "ingress" }]
"#;

fn desired(text: &str) -> Desired {
    let objects = support::root().join("bpf/out");
    let checked = validate(&objects.join("edge.toml"), text, &|path: &Path| std::fs::read(path));
    checked.desired.unwrap_or_else(|| panic!("{:#?}", checked.problems))
}

fn root() -> PinRoot {
    PinRoot::new(Path::new("/sys/fs/bpf/edge")).expect("a legal root")
}

fn xdp() -> Attachment {
    Attachment::Xdp { interface: "eth0".to_owned(), mode: XdpMode::Auto }
}

fn tcx() -> Attachment {
    let direction = Direction::Ingress;
    Attachment::Tcx { interface: "eth0".to_owned(), direction, position: None }
}

fn image(object: &str) -> Image {
    let path = support::object(object);
    Image::new(&path, std::fs::read(&path).expect("an object")).expect("an object")
}

impl Machine {
    fn new() -> Self {
        for name in ["shape_a", "shape_b", "tc_counter"] {
            support::object(name);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let kernel = Fake::new();
        kernel.add_interface("eth0");
        let state = StateDirectory::new(directory.path().join("state"));
        Self { kernel, state, _directory: directory, keeper: Keeper::default() }
    }

    fn host(&self) -> Host<'_, Fake> {
        let lock_timeout = Duration::from_secs(10);
        let keeper = Some(&self.keeper);
        Host { keeper, ..Host::new(&self.kernel, &self.state, lock_timeout) }
    }

    fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().apply(&desired(text), &mut |_| {})
    }

    fn adopt(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().adopt(&desired(text), &mut |_| {})
    }

    /// Loads one program of an object as another loader would.
    fn load(&self, object: &str, program: &str) -> Handle {
        let image = image(object);
        let create = |spec| self.kernel.create_map(&image, spec, None).expect("a map");
        let maps: Vec<_> =
            image.spec.maps.iter().map(|spec| (spec.name.as_str(), create(spec))).collect();
        let spec = image.spec.program(program).expect("the object has it");
        let request = LoadRequest {
            image: &image,
            programs: vec![spec],
            maps: maps.iter().map(|(name, map)| (*name, map)).collect(),
            btf: None,
        };
        let mut loaded = self.kernel.load_programs(&[request]).expect("it loads");
        loaded[0].remove(program).expect("it was asked for")
    }

    /// Loads one program of an object as another loader would, and attaches it.
    fn attach(&self, object: &str, program: &str, at: &Attachment) -> Handle {
        let image = image(object);
        let spec = image.spec.program(program).expect("the object has it");
        self.kernel.attach(&self.load(object, program), spec, at).expect("there is room")
    }

    /// Makes a link and a filter of the deployment run a program of someone else's.
    fn swap_behind_its_back(&self) -> Handle {
        let foreign = self.load("shape_b", "count_b");
        let name = Name::new("edge").expect("a legal name");
        let recorded = self.state.load(&name).expect("readable").expect("on record");
        for resource in recorded.resources.values() {
            let Resource::Link(link) = resource else { continue };
            match &link.anchor {
                Anchor::Pin(pin) => {
                    let found = self.kernel.open(&root(), pin).expect("readable");
                    let link = found.and_then(|found| found.handle).expect("a link");
                    self.kernel.update_link(&link, &foreign, None).expect("anyone may");
                }
                Anchor::Filter { key, .. } => {
                    self.kernel.replace_filter(&foreign, key).expect("anyone may");
                }
                Anchor::Registration { .. } => panic!("nothing of it has struct ops"),
                Anchor::Held(_) => panic!("nothing of it is held"),
                Anchor::Map { .. } => panic!("nothing of it is kept by a map"),
                Anchor::Dispatcher { .. } => panic!("nothing of it is called by a dispatcher"),
            }
        }
        foreign
    }

    fn heal(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().heal(&desired(text), &mut |_| {})
    }

    /// Pins a map of an object below the root.
    fn pin(&self, object: &str, map: &str) -> u32 {
        let image = image(object);
        let spec = image.spec.map(map).expect("the object has it");
        let handle = self.kernel.create_map(&image, spec, None).expect("a map");
        self.kernel.make_root(&root()).expect("a root");
        let pin = PinPath::public(&SubPath::default(), map);
        self.kernel.pin(&handle, &root(), &pin).expect("a free path");
        self.kernel.id(&handle)
    }
}

fn of<'c>(changes: &'c [Change], address: &str) -> &'c Change {
    let found = changes.iter().find(|change| change.address.as_str() == address);
    found.unwrap_or_else(|| panic!("{address} is not among {changes:#?}"))
}

const LINK: &str = "link.a.count_a[xdp:eth0]";
const SECOND: &str = "link.tc.tc_count[tcx:eth0:ingress]";

#[test]
fn pins_and_links_are_taken_over_and_then_as_our_own() {
    let machine = Machine::new();
    let map = machine.pin("shape_a", "state");
    let theirs = machine.attach("shape_b", "count_b", &xdp());
    let beside = machine.attach("tc_counter", "classify", &tcx());
    let named = machine.attach("tc_counter", "tc_count", &tcx());
    let ids = [&theirs, &named].map(|link| machine.kernel.id(link));

    let refused = machine.apply(EDGE).expect_err("the interface has its program");
    assert!(matches!(refused, ApplyError::Failed(_)), "{refused:?}");
    let plan = machine.host().plan_adoption(&desired(EDGE)).expect("observable");
    let adopted = machine.adopt(EDGE).expect("adopts");
    assert_eq!(adopted.plan.changes, plan.changes, "what was shown is what was done");
    for (address, what) in [("map.a.state", "taken over"), (LINK, "count_b"), (SECOND, "tc_count")]
    {
        let change = of(&plan.changes, address);
        assert_eq!(change.action, Action::Adopt, "{change:?}");
        let text = format!("{} {}", change.reason, change.before.as_deref().unwrap_or_default());
        assert!(text.contains(what), "{change:?}");
    }
    let made = |step: &&Step| matches!(step, Step::CreateMap { address, .. } if address.as_str() == "map.a.state");
    assert_eq!(plan.steps.iter().find(made), None, "the map is there");

    let snapshot = machine.kernel.snapshot();
    let runs = |link: u32| snapshot.programs[&snapshot.links[&link].0].as_str();
    assert_eq!(ids.map(runs), ["count_a", "tc_count"], "the same links, and our programs");
    assert_eq!(snapshot.links.len(), 3, "the one beside is left alone");
    let again = machine.apply(EDGE).expect("applies");
    assert!(again.plan.is_unchanged(), "{:#?}", again.plan.changes);

    drop((theirs, named));
    assert_eq!(machine.kernel.snapshot().links.len(), 3, "our pins keep them");
    let name = Name::new("edge").expect("a legal name");
    machine.host().end(&name, None, false, &mut |_| {}).expect("ends");
    let left = machine.kernel.snapshot();
    assert!(!left.maps.contains_key(&map), "its pin was ours, and by-name");
    assert_eq!(left.links.keys().copied().collect::<Vec<_>>(), [machine.kernel.id(&beside)]);
}

#[test]
fn an_adoption_that_fails_anywhere_takes_nothing() {
    let prepared = || {
        let machine = Machine::new();
        machine.pin("shape_a", "state");
        let links = [("shape_b", "count_b", xdp()), ("tc_counter", "tc_count", tcx())]
            .map(|(object, program, at)| machine.attach(object, program, &at));
        (machine, links)
    };
    let (machine, _links) = prepared();
    let before = machine.kernel.calls().len();
    machine.adopt(EDGE).expect("an undisturbed run succeeds");
    let calls = machine.kernel.calls().len() - before;
    assert!(calls > 10, "{calls} calls are not worth a test");
    for n in 0..calls {
        let (machine, _links) = prepared();
        let before = machine.kernel.snapshot();
        machine.kernel.fail_call(n, Errno::NOMEM);
        let error = machine.adopt(EDGE).expect_err("a call failed");
        machine.kernel.heal();
        assert!(matches!(error, ApplyError::Failed(_)), "call {n}: {error:?}");
        assert_eq!(machine.kernel.snapshot(), before, "call {n}");
        machine.adopt(EDGE).unwrap_or_else(|error| panic!("again after call {n}: {error}"));
    }
}

#[test]
fn what_does_not_fit_or_is_another_deployments_is_not_taken() {
    let machine = Machine::new();
    let other = EDGE.replace("\"edge\"", "\"other\"").replace("bpf/edge", "bpf/other");
    machine.apply(&other).expect("applies");
    let before = machine.kernel.snapshot();
    let Err(ApplyError::Refused(plan)) = machine.adopt(EDGE) else { panic!("it is taken") };
    for address in [LINK, SECOND] {
        let reason = &of(&plan.changes, address).reason;
        assert!(reason.contains("belongs to deployment `other`"), "{reason}");
    }
    assert_eq!(machine.kernel.snapshot(), before);

    let machine = Machine::new();
    machine.pin("shape_b", "state");
    let before = machine.kernel.snapshot();
    let Err(ApplyError::Refused(plan)) = machine.adopt(EDGE) else { panic!("it is taken") };
    assert!(of(&plan.changes, "map.a.state").reason.contains("another shape"));
    assert_eq!(machine.kernel.snapshot(), before);

    let machine = Machine::new();
    let _links = [1, 2].map(|_| machine.attach("tc_counter", "tc_count", &tcx()));
    let Err(ApplyError::Refused(plan)) = machine.adopt(EDGE) else { panic!("one is taken") };
    let reason = &of(&plan.changes, SECOND).reason;
    assert!(reason.contains("links 1 and 2 both run"), "{reason}");
}

#[test]
fn a_link_is_taken_for_one_attachment_only() {
    let machine = Machine::new();
    let theirs = machine.attach("tc_counter", "tc_count", &tcx());
    let twice = EDGE
        .replace("[objects.tc.", "[objects.second.")
        .replace("[objects.tc]", "[objects.second]");
    let (_, second) = twice.split_once("[objects.second]").expect("it has one");
    let text = format!("{EDGE}\n[objects.second]\nsubpath = \"second\"{second}");
    let adopted = machine.adopt(&text).expect("adopts");
    let actions = ["link.second.tc_count[tcx:eth0:ingress]", SECOND]
        .map(|address| of(&adopted.plan.changes, address).action);
    assert_eq!(actions, [Action::Adopt, Action::Create]);
    let links = machine.kernel.snapshot().links;
    assert!(links.contains_key(&machine.kernel.id(&theirs)) && links.len() == 3, "{links:?}");
}

#[test]
fn a_pin_that_was_only_used_before_can_be_taken_over() {
    let machine = Machine::new();
    machine.pin("shape_a", "state");
    let text = EDGE.replace("attach = [{ hook", "#[{ hook");
    machine.apply(&text).expect("applies");
    let adopted = machine.adopt(&text).expect("adopts");
    assert_eq!(of(&adopted.plan.changes, "map.a.state").action, Action::Adopt);
    assert!(adopted.plan.steps.is_empty(), "only the record changes: {:?}", adopted.plan.steps);
    assert!(machine.apply(&text).expect("applies").plan.is_unchanged());
}

/// A link and a filter, at places where one program is as good as another.
const DRIFTING: &str = r#"
version = 1
name = "edge"
pin-root = "/sys/fs/bpf/edge"

[objects.a]
path = "shape_a.bpf.o"

[objects.a.programs.count_a]
attach = [{ hook = "xdp", interface = "eth0" }]

[objects.tc]
path = "tc_counter.bpf.o"

[objects.tc.programs.tc_count]
attach = [{ hook = "tc", interface = "eth0", direction = "ingress" }]
"#;

#[test]
fn what_is_ours_and_runs_a_foreign_program_is_taken_back_only_to_heal() {
    let machine = Machine::new();
    machine.apply(DRIFTING).expect("applies");
    let applied = machine.kernel.snapshot();
    let foreign = machine.swap_behind_its_back();
    let drifted = machine.kernel.snapshot();
    let name = Name::new("edge").expect("a legal name");
    let seen = machine.host().status(Some(&name)).expect("observable");
    let drifted_resources = seen[0].resources.iter().filter(|one| one.has_drifted());
    let states: Vec<_> = drifted_resources.map(|one| one.state).collect();
    assert_eq!(states, [ResourceState::Drifted; 2]);

    for refused in [machine.apply(DRIFTING), machine.adopt(DRIFTING)] {
        let Err(ApplyError::Refused(plan)) = refused else { panic!("{refused:?}") };
        assert_eq!(plan.refusals().count(), 2, "{:#?}", plan.changes);
    }
    assert_eq!(machine.kernel.snapshot(), drifted);

    let healed = machine.heal(DRIFTING).expect("heals");
    let id = machine.kernel.id(&foreign);
    for address in [LINK, "link.tc.tc_count[tc:eth0:ingress]"] {
        let change = of(&healed.plan.changes, address);
        assert_eq!(change.action, Action::Update, "{change:?}");
        assert!(change.reason.contains(&format!("program id {id}")), "{change:?}");
    }
    drop(foreign);
    assert_eq!(machine.kernel.snapshot(), applied, "nothing was made anew");
    assert!(machine.apply(DRIFTING).expect("applies").plan.is_unchanged());
}

#[test]
fn a_heal_that_fails_anywhere_leaves_what_drifted_as_it_was() {
    let prepared = || {
        let machine = Machine::new();
        machine.apply(DRIFTING).expect("applies");
        let foreign = machine.swap_behind_its_back();
        (machine, foreign)
    };
    let (machine, _foreign) = prepared();
    let before = machine.kernel.calls().len();
    machine.heal(DRIFTING).expect("an undisturbed run succeeds");
    let calls = machine.kernel.calls().len() - before;
    assert_eq!(calls, 2, "one for the link, one for the filter");
    for n in 0..calls {
        let (machine, _foreign) = prepared();
        let before = machine.kernel.snapshot();
        machine.kernel.fail_call(n, Errno::NOMEM);
        machine.heal(DRIFTING).expect_err("a call failed");
        machine.kernel.heal();
        assert_eq!(machine.kernel.snapshot(), before, "call {n}");
        machine.heal(DRIFTING).unwrap_or_else(|error| panic!("again after call {n}: {error}"));
    }
}

#[test]
fn a_foreign_link_at_our_pin_is_not_ours_to_take_back() {
    let machine = Machine::new();
    machine.apply(EDGE).expect("applies");
    let ours = PinPath::link(
        &Name::new("edge").expect("a legal name"),
        &Name::new("tc").expect("a legal name"),
        "tc_count",
        &tcx(),
    );
    let theirs = machine.attach("tc_counter", "classify", &tcx());
    machine.kernel.unpin(&root(), &ours).expect("anyone may");
    machine.kernel.pin(&theirs, &root(), &ours).expect("a free path");
    let before = machine.kernel.snapshot();
    let Err(ApplyError::Refused(plan)) = machine.heal(EDGE) else { panic!("it is taken") };
    assert!(of(&plan.changes, SECOND).reason.contains("not this deployment's"));
    assert_eq!(machine.kernel.snapshot(), before);
}
