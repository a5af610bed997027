//! Taking over what is someone else's: each named, all or nothing, and nothing that is not meant.
//!
//! On the kernel in memory; `tests/kernel/adoption.rs` shows the same on the running one.

mod support;

use std::path::Path;
use std::time::Duration;

use ebpf_apply::apply::{Applied, ApplyError, Host, StateDirectory};
use ebpf_apply::kernel::fake::{Fake, Handle};
use ebpf_apply::kernel::{Kernel as _, LoadRequest};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::object::Image;
use ebpf_apply::plan::{Action, Change, Step};
use ebpf_apply::validate::{Desired, validate};
use rustix::io::Errno;
use tempfile::TempDir;

struct Machine {
    kernel: Fake,
    state: StateDirectory,
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
        Self { kernel, state, _directory: directory }
    }

    fn host(&self) -> Host<'_, Fake> {
        let lock_timeout = Duration::from_secs(10);
        Host { kernel: &self.kernel, state: &self.state, lock_timeout }
    }

    fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().apply(&desired(text), &mut |_| {})
    }

    fn adopt(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().adopt(&desired(text), &mut |_| {})
    }

    /// Loads one program of an object as another loader would, and attaches it.
    fn attach(&self, object: &str, program: &str, at: &Attachment) -> Handle {
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
        let loaded = self.kernel.load_programs(&[request]).expect("it loads");
        self.kernel.attach(&loaded[0][program], spec, at).expect("there is room")
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
