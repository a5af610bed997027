//! Whatever is edited, goes wrong or is changed behind our back: what is not ours stays, what shall
//! persist stays, and a run that fails changes nothing.
//!
//! Random lives of a deployment on the kernel in memory. That it behaves like the real one, the
//! contract suite proves.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ebpf_apply::apply::{Applied, ApplyError, Host, Keeper, StateDirectory};
use ebpf_apply::kernel::fake::{Fake, Snapshot};
use ebpf_apply::kernel::{Kernel as _, LoadRequest};
use ebpf_apply::model::attach::{Attachment, Direction, XdpMode};
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::object::Image;
use ebpf_apply::validate::{Desired, validate};
use proptest::prelude::*;
use rustix::io::Errno;
use tempfile::TempDir;

const ROOT: &str = "/sys/fs/bpf/edge";
const OBJECTS: [&str; 4] = ["firewall", "iterators", "tc_counter", "shape_b"];

/// What a manifest asks for.
#[derive(Clone, Debug)]
struct Wish {
    firewall: Option<Firewall>,
    counter: Option<Counter>,
    watcher: Option<Watcher>,
}

#[derive(Clone, Debug)]
struct Firewall {
    subpath: u8,
    kept: u8,
    log_level: u8,
    interfaces: [bool; 2],
    pins_program: bool,
    replaces: bool,
}

#[derive(Clone, Debug)]
struct Counter {
    sides: [bool; 2],
    private: bool,
    by_link: bool,
}

/// An iterator, whose pin is a file.
#[derive(Clone, Debug)]
struct Watcher {
    policy: usize,
    over_entries: bool,
    subpath: u8,
}

/// One event in the life of a deployment.
#[derive(Clone, Debug)]
enum Event {
    Apply(Wish),
    /// Takes over what is someone else's and of use.
    Adopt(Wish),
    /// The n-th changing call fails.
    FailedApply(Wish, usize),
    End {
        purge: bool,
        fails_at: Option<usize>,
    },
    /// Someone else pins a map at one of [`PLACES`], of a shape that the manifest may want there.
    ForeignMap(usize, bool),
    /// Someone else attaches XDP, and pins the link at one of [`PLACES`].
    ForeignLink(usize, bool),
    ForeignFilter,
    /// Someone removes a pin of ours.
    Unpin(usize),
    /// An interface goes and comes back.
    Renew(bool),
    LoseRecord,
}

/// Public paths, most of which a manifest may want.
const PLACES: [&str; 6] =
    ["fw0/flows", "fw1/flows", "kept0/blocked", "kept1/blocked", "traffic", "x/y"];

fn wishes() -> impl Strategy<Value = Wish> {
    let firewall = (0..2_u8, 0..2_u8, 0..3_u8, any::<[bool; 2]>(), any::<bool>(), any::<bool>())
        .prop_map(|(subpath, kept, log_level, interfaces, pins_program, replaces)| Firewall {
            subpath,
            kept,
            log_level,
            interfaces,
            pins_program,
            replaces,
        });
    let counter = (any::<[bool; 2]>(), any::<bool>(), any::<bool>())
        .prop_map(|(sides, private, by_link)| Counter { sides, private, by_link });
    let watcher = (0..3_usize, any::<bool>(), 0..2_u8)
        .prop_map(|(policy, over_entries, subpath)| Watcher { policy, over_entries, subpath });
    (prop::option::weighted(0.8, firewall), prop::option::of(counter), prop::option::of(watcher))
        .prop_map(|(firewall, counter, watcher)| Wish { firewall, counter, watcher })
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => wishes().prop_map(Event::Apply),
        1 => wishes().prop_map(Event::Adopt),
        3 => (wishes(), 0..40_usize).prop_map(|(wish, n)| Event::FailedApply(wish, n)),
        2 => (any::<bool>(), prop::option::of(0..20_usize))
            .prop_map(|(purge, fails_at)| Event::End { purge, fails_at }),
        2 => (0..PLACES.len(), any::<bool>()).prop_map(|(n, same)| Event::ForeignMap(n, same)),
        1 => (0..PLACES.len(), any::<bool>()).prop_map(|(n, first)| Event::ForeignLink(n, first)),
        1 => Just(Event::ForeignFilter),
        2 => (0..12_usize).prop_map(Event::Unpin),
        1 => any::<bool>().prop_map(Event::Renew),
        1 => Just(Event::LoseRecord),
    ]
}

impl Wish {
    fn text(&self) -> String {
        let mut text = format!("version = 1\nname = \"edge\"\npin-root = \"{ROOT}\"\n");
        if let Some(firewall) = &self.firewall {
            text.push_str(&firewall.text());
        }
        if let Some(counter) = &self.counter {
            text.push_str(&counter.text());
        }
        if let Some(watcher) = &self.watcher {
            text.push_str(&watcher.text());
        }
        if self.firewall.is_none() && self.counter.is_none() && self.watcher.is_none() {
            text.push_str("[objects.b]\npath = \"shape_b.bpf.o\"\n");
        }
        text
    }
}

impl Firewall {
    fn text(&self) -> String {
        let Self { subpath, kept, log_level, .. } = self;
        let mismatch = if self.replaces { "replace" } else { "fail" };
        let mut text = format!(
            "[objects.fw]\npath = \"firewall.bpf.o\"\nsubpath = \"fw{subpath}\"\n\
             [objects.fw.globals]\nlog_level = {log_level}\n\
             [objects.fw.maps.flows]\non-mismatch = \"{mismatch}\"\n\
             [objects.fw.maps.blocked]\npin = \"persist-on-exit\"\nsubpath = \"kept{kept}\"\n\
             [objects.fw.programs.xdp_firewall]\n"
        );
        if self.pins_program {
            text.push_str("pin = \"by-name\"\n");
        }
        let interfaces = self.interfaces.iter().enumerate().filter(|(_, wanted)| **wanted);
        let attach =
            interfaces.map(|(n, _)| format!("{{ hook = \"xdp\", interface = \"eth{n}\" }}"));
        let attach = attach.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "attach = [{attach}]");
        text
    }
}

impl Counter {
    fn text(&self) -> String {
        let pin = if self.private { "none" } else { "by-name" };
        let hook = if self.by_link { "tcx" } else { "tc" };
        let sides = ["ingress", "egress"].into_iter().zip(self.sides).filter(|(_, wanted)| *wanted);
        let attach = sides.map(|(side, _)| {
            format!("{{ hook = \"{hook}\", interface = \"eth1\", direction = \"{side}\" }}")
        });
        let attach = attach.collect::<Vec<_>>().join(", ");
        format!(
            "[objects.tc]\npath = \"tc_counter.bpf.o\"\n[objects.tc.maps.traffic]\npin = \
             \"{pin}\"\n[objects.tc.programs.tc_count]\nattach = [{attach}]\n"
        )
    }
}

impl Watcher {
    fn text(&self) -> String {
        let policy = ["none", "by-name", "persist-on-exit"][self.policy];
        let (program, map) = if self.over_entries {
            ("show_entry", ", map = \"it.shown\"")
        } else {
            ("show_task", "")
        };
        format!(
            "[objects.it]\npath = \"iterators.bpf.o\"\nload = \"listed\"\nsubpath = \"it{}\"\n\
             [objects.it.programs.{program}]\npin = \"{policy}\"\nattach = [{{ hook = \"iter\"{map} }}]\n",
            self.subpath
        )
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    static FILES: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let read = |name: &str| std::fs::read(support::object(name)).expect("an object");
        OBJECTS.iter().map(|name| (format!("{name}.bpf.o"), read(name))).collect()
    });
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    files[name].clone()
}

fn desired(wish: &Wish) -> Desired {
    let text = wish.text();
    let checked = validate(Path::new("edge.toml"), &text, &|path: &Path| Ok(bytes(path)));
    checked.desired.unwrap_or_else(|| panic!("{text}\n{:#?}", checked.problems))
}

fn image(name: &str) -> Image {
    let path = format!("{name}.bpf.o");
    Image::new(&path, bytes(Path::new(&path))).expect("an object")
}

fn root() -> PinRoot {
    PinRoot::new(Path::new(ROOT)).expect("a legal root")
}

fn edge() -> Name {
    Name::new("edge").expect("a legal name")
}

/// A host with a deployment, and what must not happen to it.
struct World {
    kernel: Fake,
    state: StateDirectory,
    keeper: Keeper<Fake>,
    directory: TempDir,
    /// Pins of someone else's: path and object as the snapshot tells it.
    foreign: BTreeMap<PathBuf, String>,
    /// Programs of filters of someone else's.
    foreign_filters: BTreeMap<(u32, &'static str, u16, u32), u32>,
    /// Entries of maps that persist, by kernel id.
    kept: BTreeMap<u32, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Whether public pins may be left that are no longer provably ours.
    lost: bool,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let kernel = Fake::new();
        kernel.add_interface("eth0");
        kernel.add_interface("eth1");
        Self {
            kernel,
            state: StateDirectory::new(directory.path().join("state")),
            keeper: Keeper::default(),
            directory,
            foreign: BTreeMap::new(),
            foreign_filters: BTreeMap::new(),
            kept: BTreeMap::new(),
            lost: false,
        }
    }

    fn host(&self) -> Host<'_, Fake> {
        let lock_timeout = Duration::from_secs(10);
        let keeper = Some(&self.keeper);
        Host { keeper, ..Host::new(&self.kernel, &self.state, lock_timeout) }
    }

    fn record(&self) -> PathBuf {
        self.directory.path().join("state/edge/inventory.json")
    }

    fn visible(&self) -> (Snapshot, Option<String>) {
        (self.kernel.snapshot(), std::fs::read_to_string(self.record()).ok())
    }

    fn live(&mut self, event: &Event) {
        match event {
            Event::Apply(wish) => self.apply(wish, None),
            Event::Adopt(wish) => self.adopt(wish),
            Event::FailedApply(wish, n) => self.apply(wish, Some(*n)),
            Event::End { purge, fails_at } => self.end(*purge, *fails_at),
            Event::ForeignMap(place, same) => {
                let image = image(if *same { "firewall" } else { "shape_b" });
                let name = PLACES[*place].rsplit('/').next().unwrap_or_default();
                let spec = image.spec.map(name).unwrap_or(&image.spec.maps[0]);
                let map = self.kernel.create_map(&image, spec, None).expect("a map");
                self.pin_foreign(&map, PLACES[*place]);
            }
            Event::ForeignLink(place, first) => {
                let image = image("shape_b");
                let program = self.foreign_program(&image, "count_b");
                let interface = if *first { "eth0" } else { "eth1" }.to_owned();
                let at = Attachment::Xdp { interface, mode: XdpMode::Auto };
                let spec = image.spec.program("count_b").expect("it has it");
                // Where a program of ours is, there is no room.
                if let Ok(link) = self.kernel.attach(&program, spec, &at) {
                    self.pin_foreign(&link, PLACES[*place]);
                }
            }
            Event::ForeignFilter => self.add_foreign_filter(),
            Event::Unpin(n) => self.unpin(*n),
            Event::Renew(first) => {
                let interface = if *first { "eth0" } else { "eth1" };
                self.kernel.remove_interface(interface);
                self.kernel.add_interface(interface);
                let left = self.kernel.snapshot().filters;
                self.foreign_filters.retain(|place, _| left.contains_key(place));
            }
            Event::LoseRecord => {
                let _absent = std::fs::remove_file(self.record());
                self.lost = true;
            }
        }
        self.assert_unharmed(event);
    }

    fn apply(&mut self, wish: &Wish, fails_at: Option<usize>) {
        let desired = desired(wish);
        let outcome = self.undisturbed(fails_at, |world| world.host().apply(&desired, &mut |_| {}));
        if outcome.is_ok() {
            let plan = self.host().plan(&desired).expect("observable");
            assert!(plan.is_unchanged(), "{wish:#?}\n{:#?}", plan.changes);
            if wish.firewall.is_some() {
                self.write_kept(wish);
            }
        }
    }

    /// What is taken over is not someone else's any more.
    fn adopt(&mut self, wish: &Wish) {
        let desired = desired(wish);
        let adopted = self.undisturbed(None, |world| world.host().adopt(&desired, &mut |_| {}));
        let Ok(adopted) = adopted else { return };
        let owned: Vec<PathBuf> =
            adopted.plan.after.owned_pins().map(|(pin, _)| root().join(pin)).collect();
        self.foreign.retain(|path, _| !owned.contains(path));
        let plan = self.host().plan(&desired).expect("observable");
        assert!(plan.is_unchanged(), "{wish:#?}\n{:#?}", plan.changes);
    }

    fn end(&mut self, purge: bool, fails_at: Option<usize>) {
        let root = root();
        let outcome = self.undisturbed(fails_at, |world| {
            world.host().end(&edge(), Some(&root), purge, &mut |_| {})
        });
        if outcome.is_ok() && purge {
            self.kept.clear();
            if !self.lost {
                let pins = self.kernel.snapshot().pins;
                let left: BTreeSet<_> =
                    pins.iter().filter(|(_, what)| *what != "directory").collect();
                assert_eq!(left, self.foreign.iter().collect(), "nothing of ours is left");
            }
        }
    }

    /// Acts; a failure must leave everything as it was.
    fn undisturbed(
        &mut self,
        fails_at: Option<usize>,
        act: impl FnOnce(&Self) -> Result<Applied, ApplyError>,
    ) -> Result<Applied, ApplyError> {
        let before = self.visible();
        if let Some(n) = fails_at {
            self.kernel.fail_call(n, Errno::NOMEM);
        }
        let outcome = act(self);
        self.kernel.heal();
        match &outcome {
            // It failed by itself, and the fault hit its way back: what it left is told by the next run.
            Err(ApplyError::Stuck { .. }) if fails_at.is_some() => self.lost = true,
            Err(error @ ApplyError::Stuck { .. }) => panic!("{error:#?}"),
            Err(error) => assert_eq!(self.visible(), before, "after {error:#?}"),
            Ok(_) => {}
        }
        outcome
    }

    /// Puts an entry into the map that persists, if it is ours.
    fn write_kept(&mut self, wish: &Wish) {
        let Some(firewall) = &wish.firewall else { return };
        let path = Path::new(ROOT).join(format!("kept{}/blocked", firewall.kept));
        let pins = self.kernel.snapshot().pins;
        let Some(what) = pins.get(&path).filter(|_| !self.foreign.contains_key(&path)) else {
            return;
        };
        let id: u32 = what.rsplit(' ').next().and_then(|id| id.parse().ok()).expect("an id");
        self.kernel.write_entry(id, &[10, 0, 0, 1], &[1; 8]).expect("an entry");
        self.kept.insert(id, self.kernel.entries(id));
    }

    fn foreign_program(
        &self,
        image: &Image,
        name: &str,
    ) -> <Fake as ebpf_apply::kernel::Kernel>::Handle {
        let create = |spec| self.kernel.create_map(image, spec, None).expect("a map");
        let maps: Vec<_> =
            image.spec.maps.iter().map(|spec| (spec.name.as_str(), create(spec))).collect();
        let request = LoadRequest {
            image,
            programs: image.spec.programs.iter().filter(|program| program.name == name).collect(),
            maps: maps.iter().map(|(name, map)| (*name, map)).collect(),
            btf: None,
        };
        let mut loaded = self.kernel.load_programs(&[request]).expect("loads");
        loaded[0].remove(name).expect("loaded")
    }

    fn pin_foreign(&mut self, handle: &<Fake as ebpf_apply::kernel::Kernel>::Handle, place: &str) {
        let (directory, name) = place.rsplit_once('/').unwrap_or(("", place));
        let directory = if directory.is_empty() {
            SubPath::default()
        } else {
            SubPath::new(directory).expect("a legal sub-path")
        };
        let pin = PinPath::public(&directory, name);
        self.kernel.make_root(&root()).expect("a root");
        for above in pin.ancestors() {
            let _there = self.kernel.make_directory(&root(), &above);
        }
        if self.kernel.pin(handle, &root(), &pin).is_ok() {
            let path = root().join(&pin);
            let what = self.kernel.snapshot().pins[&path].clone();
            self.foreign.insert(path, what);
        }
    }

    fn add_foreign_filter(&mut self) {
        let image = image("tc_counter");
        let program = self.foreign_program(&image, "tc_count");
        let at = Attachment::Tc {
            interface: "eth1".to_owned(),
            direction: Direction::Ingress,
            priority: None,
            handle: None,
        };
        let spec = image.spec.program("tc_count").expect("it has it");
        let key = self.kernel.attach_filter(&program, spec, &at).expect("a filter").key;
        let place = (key.index, key.direction.as_str(), key.priority, key.handle);
        self.foreign_filters.insert(place, self.kernel.id(&program));
    }

    /// Removes a pin that is not someone else's.
    fn unpin(&mut self, n: usize) {
        let pins = self.kernel.snapshot().pins;
        let ours: Vec<_> = pins
            .iter()
            .filter(|(path, what)| *what != "directory" && !self.foreign.contains_key(*path))
            .collect();
        let Some((path, what)) = ours.get(n % ours.len().max(1)) else { return };
        let directory = path.parent().expect("it lies in a directory");
        let at = PinRoot::new(directory).expect("a legal root");
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let pin = PinPath::public(&SubPath::default(), name);
        if at.join(&pin) == **path {
            self.kernel.unpin(&at, &pin).expect("it is there");
            let id = what.strip_prefix("map ").and_then(|id| id.parse::<u32>().ok());
            self.kept.retain(|kept, _| Some(*kept) != id);
        }
    }

    #[track_caller]
    fn assert_unharmed(&self, event: &Event) {
        let now = self.kernel.snapshot();
        for (path, what) in &self.foreign {
            assert_eq!(now.pins.get(path), Some(what), "{} after {event:?}", path.display());
        }
        for (place, program) in &self.foreign_filters {
            assert_eq!(now.filters.get(place), Some(program), "after {event:?}");
        }
        for (id, entries) in &self.kept {
            assert_eq!(now.maps.get(id), Some(entries), "map {id} after {event:?}");
        }
    }
}

/// How many lives: `PROPTEST_CASES`, or what a test may take.
fn config() -> ProptestConfig {
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if told { config } else { ProptestConfig { cases: 64, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_of_anyone_is_lost(life in prop::collection::vec(events(), 1..14)) {
        let mut world = World::new();
        for event in &life {
            world.live(event);
        }
        world.live(&Event::End { purge: true, fails_at: None });
    }
}

#[test]
fn a_pin_that_its_maker_has_of_an_adopted_link_is_not_ours() {
    let firewall = |subpath, attached| Wish {
        firewall: Some(Firewall {
            subpath,
            kept: 0,
            log_level: 0,
            interfaces: [false, attached],
            pins_program: false,
            replaces: false,
        }),
        counter: None,
        watcher: None,
    };
    let mut world = World::new();
    world.live(&Event::ForeignLink(0, false));
    world.live(&Event::Adopt(firewall(1, true)));
    // The map would be pinned where that pin is.
    world.live(&Event::Apply(firewall(0, false)));
}

#[test]
fn a_map_that_persists_is_not_mistaken_for_a_link_of_the_same_id() {
    let firewall = |kept, attached| Wish {
        firewall: Some(Firewall {
            subpath: 0,
            kept,
            log_level: 0,
            interfaces: [false, attached],
            pins_program: false,
            replaces: false,
        }),
        counter: None,
        watcher: None,
    };
    let mut world = World::new();
    world.live(&Event::Apply(firewall(1, false)));
    world.live(&Event::Apply(Wish { firewall: None, counter: None, watcher: None }));
    world.live(&Event::Apply(firewall(0, true)));
    // A second map shall go where the first, which the manifest forgot, still is: it is refused.
    world.live(&Event::Apply(firewall(1, true)));
    assert_eq!(world.kept.len(), 2);
}
