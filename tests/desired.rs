//! What a valid manifest comes to: policies, paths, values, places, with every default filled in.

mod support;

use std::path::Path;
use std::{fs, io};

use ebpf_apply::model::attach::{Attachment, Direction, Position, XdpMode};
use ebpf_apply::model::code;
use ebpf_apply::model::map::MapOrigin;
use ebpf_apply::model::pin::{OnMismatch, PinPolicy};
use ebpf_apply::model::problem::Severity;
use ebpf_apply::validate::{Desired, DesiredMap, DesiredObject, Validation, validate};
use proptest::prelude::*;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    fs::read(support::object(name.trim_end_matches(".bpf.o")))
}

/// Validates a manifest of one object; `rest` follows its header and path.
fn checked(object: &str, rest: &str) -> Validation {
    let text = format!(
        "version = 1\nname = \"demo\"\n[objects.demo]\npath = \"{object}.bpf.o\"\n{rest}\n"
    );
    validate(Path::new("demo.toml"), &text, &read)
}

fn desired(object: &str, rest: &str) -> Desired {
    let validation = checked(object, rest);
    validation.desired.unwrap_or_else(|| panic!("{:#?}", validation.problems))
}

fn only(desired: &Desired) -> &DesiredObject {
    desired.objects.first().expect("an object")
}

fn map<'d>(desired: &'d Desired, name: &str) -> &'d DesiredMap {
    only(desired).maps.iter().find(|map| map.spec.name == name).expect("a map of that name")
}

fn path(map: &DesiredMap) -> Option<&str> {
    map.pin.as_ref().map(ebpf_apply::model::pin::PinPath::as_str)
}

fn codes(validation: &Validation) -> Vec<&'static str> {
    validation.problems.iter().map(|problem| problem.code).collect()
}

#[test]
fn an_object_alone_follows_its_definitions() {
    let desired = desired("three_policies", "");
    assert_eq!(desired.pin_root.to_string(), "/sys/fs/bpf/ebpf-apply/demo");
    let totals = map(&desired, "totals");
    assert_eq!((totals.policy, path(totals)), (PinPolicy::ByName, Some("totals")));
    assert_eq!((totals.on_mismatch, totals.external), (OnMismatch::Fail, false));
    let scratch = map(&desired, "scratch");
    assert_eq!((scratch.policy, path(scratch)), (PinPolicy::None, None));
    let [program] = only(&desired).programs.as_slice() else { panic!("one program") };
    assert_eq!((program.policy, &program.pin), (PinPolicy::None, &None));
    assert_eq!(program.attachments, []);
}

#[test]
fn policies_and_paths_come_from_the_manifest() {
    let desired = desired(
        "three_policies",
        "subpath = 'all'\n\
         [objects.demo.maps]\n\
         totals = { pin = 'persist-on-exit', subpath = 'kept/here', max-entries = 7 }\n\
         sessions = { pin = 'none' }\n\
         scratch = { pin = 'by-name', allow-undeclared = true, on-mismatch = 'migrate' }\n\
         [objects.demo.programs.count_packets]\npin = 'by-name'\n",
    );
    let totals = map(&desired, "totals");
    assert_eq!((totals.policy, path(totals)), (PinPolicy::PersistOnExit, Some("kept/here/totals")));
    assert_eq!(totals.spec.shape.max_entries, 7);
    assert_eq!(map(&desired, "sessions").pin, None);
    let scratch = map(&desired, "scratch");
    assert_eq!((path(scratch), scratch.on_mismatch), (Some("all/scratch"), OnMismatch::Migrate));
    let pin = only(&desired).programs[0].pin.as_ref().map(ToString::to_string);
    assert_eq!(pin.as_deref(), Some("all/count_packets"));
}

#[test]
fn sections_say_what_is_watched() {
    let place = |object: &str, program: &str| {
        let rest = format!(
            "load = 'listed'\n[objects.demo.programs.{program}]\nattach = [{{ hook = 'section' }}]\n"
        );
        let desired = desired(object, &rest);
        let [program] = only(&desired).programs.as_slice() else { panic!("one program") };
        let [attachment] = program.attachments.as_slice() else { panic!("one place") };
        attachment.to_string()
    };
    for (object, program, expected) in [
        ("sections", "on_kprobe", "kprobe:vfs_read"),
        ("sections", "on_kretprobe", "kretprobe:vfs_read"),
        ("sections", "on_kprobe_multi", "kprobe:vfs_*"),
        ("sections", "on_kretprobe_multi", "kretprobe:vfs_*"),
        ("sections", "on_kprobe_session", "kprobe:vfs_*"),
        ("sections", "on_iter", "iter:task"),
        ("sections_functions", "on_fentry", "fentry:bpf_fentry_test1"),
        ("sections_functions", "on_fexit_s", "fexit:bpf_fentry_test1"),
        ("sections", "on_fsession_s", "fsession:bpf_fentry_test1"),
        ("sections_functions", "on_fmod_ret", "fmod-ret:bpf_modify_return_test"),
        ("sections_functions", "on_lsm", "lsm:file_open"),
        ("user_probes", "in_section", "uprobe:libc.so.6:getaddrinfo+0x4"),
        ("user_probes", "several_in_section", "uretprobe:libc.so.6:get*"),
        ("user_probes", "probe_in_section", "usdt:libc.so.6:libc:setjmp"),
    ] {
        assert_eq!(place(object, program), expected, "{program}");
    }
    #[cfg(target_arch = "x86_64")]
    assert_eq!(place("sections", "on_kretsyscall"), "kretprobe:__x64_sys_openat");
    for (object, program) in [
        ("sections", "on_uprobe_multi"),
        ("sections", "on_fentry_multi"),
        ("sections_functions", "on_lsm_cgroup"),
        ("counter", "on_overflow"),
    ] {
        let rest =
            format!("[objects.demo.programs.{program}]\nattach = [{{ hook = 'section' }}]\n");
        let found = checked(object, &format!("load = 'listed'\n{rest}"));
        assert_eq!(codes(&found), [code::SECTION_INCOMPLETE], "{program}");
    }
}

#[test]
fn an_external_map_needs_no_attribute_and_has_a_path() {
    let desired = desired("undeclared", "maps.flows = { external = true, subpath = 'theirs' }");
    let flows = map(&desired, "flows");
    assert!(flows.external);
    assert_eq!(path(flows), Some("theirs/flows"));
}

#[test]
fn globals_reach_the_contents() {
    let with = |rest: &str| desired("globals", rest);
    let bytes = |desired: &Desired, name: &str| {
        let spec = &only(desired).image.spec;
        let global = spec.global(name).expect("a global of that name");
        let section = &map(desired, &global.section).spec.origin;
        let MapOrigin::Section { contents, .. } = section else { panic!("a data section") };
        contents[global.offset as usize..][..global.size as usize].to_vec()
    };
    let set = with(
        "[objects.demo.globals]\nlog_level = 3\nenabled = false\nmode = 'MODE_ALL'\n\
         label = 'né'\nports = [8080]\nupstream = { port = 53, tls = true }\noffset = -7\n\
         limit = 0x10\nthreshold = 1\nlast_length = 18446744073709551615\n",
    );
    assert_eq!(bytes(&set, "log_level"), [3, 0, 0, 0]);
    assert_eq!(bytes(&set, "enabled"), [0]);
    assert_eq!(bytes(&set, "mode"), [7, 0, 0, 0]);
    assert_eq!(bytes(&set, "label"), *b"n\xc3\xa9\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bytes(&set, "ports"), [0x90, 0x1f, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(&set, "upstream"), [127, 0, 0, 1, 53, 0, 1, 0], "the address stays");
    assert_eq!(bytes(&set, "offset"), [0xf9]);
    assert_eq!(bytes(&set, "limit"), [16, 0, 0, 0]);
    assert_eq!(bytes(&set, "last_length"), [0xff; 8]);
    assert_eq!(bytes(&set, "budget"), bytes(&with(""), "budget"));
}

#[test]
fn the_load_digest_covers_what_is_loaded_and_nothing_else() {
    let digest = |object: &str, rest: &str| only(&desired(object, rest)).load_digest;
    let plain = digest("globals", "");
    assert_eq!(plain, digest("globals", "subpath = 'elsewhere'"));
    assert_eq!(plain, digest("globals", "[objects.demo.globals]\nlog_level = 1"), "as it was");
    assert_eq!(
        plain,
        digest("globals", "programs.show_globals.attach = [{ hook = 'xdp', interface = 'a' }]")
    );
    assert_ne!(plain, digest("globals", "[objects.demo.globals]\nlog_level = 2"));
    assert_ne!(plain, digest("globals", "maps.seen.max-entries = 2"));
    assert_ne!(plain, digest("globals", "load = 'listed'"));
    assert_ne!(plain, digest("undeclared", ""));
}

#[test]
fn programs_are_loaded_by_their_sections_and_by_name() {
    let loaded = |rest: &str| -> Vec<String> {
        let programs = desired("dialect", rest).objects.remove(0).programs;
        programs.into_iter().map(|program| program.spec.name).collect()
    };
    let all = loaded("");
    assert!(all.contains(&"on_xdp".to_owned()));
    assert!(!all.contains(&"on_demand".to_owned()), "its section begins with a question mark");
    assert!(loaded("programs.on_demand = {}").contains(&"on_demand".to_owned()));
    assert_eq!(loaded("load = 'listed'\nprograms.on_tc = {}"), ["on_tc"]);
    assert!(loaded("load = 'listed'").is_empty());
}

#[test]
fn hooks_come_to_attachments() {
    let desired = desired(
        "dialect",
        "load = 'listed'\n\
         [objects.demo.programs]\n\
         on_xdp.attach = [{ hook = 'xdp', interface = ['a', 'b'], mode = 'generic' }]\n\
         on_tc.attach = [\n\
           { hook = 'tcx', interface = 'a', direction = 'egress', position = 'first' },\n\
           { hook = 'tc', interface = 'a', direction = 'ingress', priority = 5 },\n\
         ]\n\
         on_connect4.attach = [{ hook = 'cgroup', path = '/sys/fs/cgroup/x' }]\n\
         on_tp.attach = [{ hook = 'section' }]\n\
         on_raw_tp.attach = [{ hook = 'raw-tracepoint', name = 'sched_wakeup' }]\n\
         on_tp_btf.attach = [{ hook = 'section' }]\n",
    );
    let attached = |name: &str| -> Vec<Attachment> {
        let programs = &only(&desired).programs;
        let found = programs.iter().find(|program| program.spec.name == name);
        found.expect("a program of that name").attachments.clone()
    };
    let (interface, mode) = ("a".to_owned(), XdpMode::Generic);
    assert_eq!(
        attached("on_xdp"),
        [
            Attachment::Xdp { interface: interface.clone(), mode },
            Attachment::Xdp { interface: "b".to_owned(), mode }
        ]
    );
    assert_eq!(
        attached("on_tc"),
        [
            Attachment::Tcx {
                interface: interface.clone(),
                direction: Direction::Egress,
                position: Some(Position::First)
            },
            Attachment::Tc {
                interface,
                direction: Direction::Ingress,
                priority: Some(5),
                handle: None
            }
        ]
    );
    let shown = |name: &str| attached(name).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown("on_connect4"), ["cgroup:/sys/fs/cgroup/x"]);
    assert_eq!(shown("on_tp"), ["tracepoint:sched/sched_switch"]);
    assert_eq!(shown("on_raw_tp"), ["raw-tracepoint:sched_wakeup"]);
    assert_eq!(shown("on_tp_btf"), ["tp-btf:sched_switch"]);
}

#[test]
fn the_manifest_names_the_tracepoint_a_bare_section_leaves_open() {
    let desired = desired(
        "invalid_section",
        "load = 'listed'\nprograms.anywhere.attach = [{ hook = 'tp-btf', name = 'sched_switch' }]",
    );
    let kind = only(&desired).programs[0].spec.kind.as_ref();
    assert_eq!(kind.and_then(|kind| kind.target.as_deref()), Some("sched_switch"));
}

#[test]
fn a_section_that_says_nothing_concerns_its_program_only() {
    let names = |rest: &str| {
        let validation = checked("invalid_section", rest);
        let codes: Vec<_> = validation
            .problems
            .iter()
            .map(|problem| (problem.code, problem.severity == Severity::Error))
            .collect();
        let loaded = validation.desired.map(|desired| {
            let programs = only(&desired).programs.iter();
            programs.map(|program| program.spec.name.clone()).collect::<Vec<_>>()
        });
        (codes, loaded)
    };
    let other = "programs.anywhere.attach = [{ hook = 'tp-btf', name = 'sched_switch' }]";
    let expected = Some(vec!["pass".to_owned(), "anywhere".to_owned()]);
    assert_eq!(names(other), (vec![(code::UNKNOWN_SECTION, false)], expected));
    let listed = format!("load = 'listed'\n{other}");
    assert_eq!(names(&listed), (Vec::new(), Some(vec!["anywhere".to_owned()])));
    let needed = format!("{other}\nprograms.drop_all = {{}}");
    assert_eq!(names(&needed), (vec![(code::UNKNOWN_SECTION, true)], None));
}

#[test]
fn one_pass_finds_text_schema_and_object_problems_without_consequences() {
    let validation = checked(
        "undeclared",
        "maps.flows = { pin = 'by-name', on-mismatch = 'faill' }\n\
         maps.flow.pin = 'by_name'\n\
         globals.level = 1\n\
         load = listed\n",
    );
    let mut found = codes(&validation);
    found.sort_unstable();
    let expected = [
        code::BAD_VALUE,
        code::BAD_VALUE,
        code::PIN_ATTRIBUTE_MISSING,
        code::TOML_SYNTAX,
        code::UNKNOWN_GLOBAL,
        code::UNKNOWN_MAP,
    ];
    assert_eq!(found, expected);
    let misspelt =
        checked("undeclared", "maps.flows = { pin = 'by-name', allow-undeclred = true }");
    assert_eq!(codes(&misspelt), [code::UNKNOWN_KEY], "what was meant would have allowed the pin");
    let broken = checked("undeclared", "maps.flows = { pin = 'by-name' } x");
    assert_eq!(codes(&broken), [code::TOML_SYNTAX], "nothing is concluded from a broken line");
}

#[test]
fn warnings_leave_the_manifest_valid() {
    let validation = checked("three_policies", "maps.scratch.subpath = 'x'");
    assert_eq!(codes(&validation), [code::NO_EFFECT]);
    assert!(validation.desired.is_some());
}

#[test]
fn one_file_under_two_names_is_read_once() {
    let text = "version = 1\nname = \"demo\"\n[objects.a]\npath = \"globals.bpf.o\"\nsubpath = \"a\"\n\
                [objects.b]\npath = \"globals.bpf.o\"\nsubpath = \"b\"\n";
    let reads = std::cell::Cell::new(0);
    let counted = |path: &Path| {
        reads.set(reads.get() + 1);
        read(path)
    };
    let validation = validate(Path::new("/somewhere/demo.toml"), text, &counted);
    assert_eq!(codes(&validation), [] as [&str; 0]);
    assert_eq!(reads.get(), 1);
    let paths: Vec<_> = validation.objects.iter().map(|object| object.path.as_path()).collect();
    assert_eq!(paths, [Path::new("/somewhere/globals.bpf.o"); 2]);
}

const MANIFEST: &str = "version = 1\nname = \"demo\"\npin-root = \"/sys/fs/bpf/demo\"\n\
    [objects.a]\npath = \"three_policies.bpf.o\"\nsubpath = \"a\"\n\
    [objects.a.maps.totals]\npin = \"persist-on-exit\"\nsubpath = \"b\"\nmax-entries = 9\n\
    expect = { type = \"hash\", key = \"__u32\" }\n\
    [objects.a.programs.count_packets]\npin = \"by-name\"\n\
    attach = [{ hook = \"xdp\", interface = [\"a\", \"é\"] }]\n\
    [objects.b]\npath = \"globals.bpf.o\"\nload = \"listed\"\n\
    [objects.b.maps.seen]\nexternal = true\n\
    [objects.b.globals]\nports = [1, 2]\nupstream = { port = 1 }\nlabel = \"x\"\n\
    [objects.b.programs.show_globals]\nattach = [{ hook = \"section\" }]\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_mangled_manifest_is_answered_within_its_text(
        cut in any::<prop::sample::Index>(),
        noise in "[\\[\\]{}=\"'.,#a1é\n ]{0,8}",
        end in any::<prop::sample::Index>(),
    ) {
        let start = MANIFEST.floor_char_boundary(cut.index(MANIFEST.len()));
        let rest = MANIFEST.floor_char_boundary(end.index(MANIFEST.len()));
        let text = format!("{}{noise}{}", &MANIFEST[..start], &MANIFEST[rest..]);
        let objects = |path: &Path| match path.to_str() {
            Some("three_policies.bpf.o" | "globals.bpf.o") => read(path),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let found = validate(Path::new("demo.toml"), &text, &objects);
        for problem in &found.problems {
            let spans = problem.span.iter().chain(problem.related.iter().map(|r| &r.span));
            for span in spans {
                prop_assert!(text.get(span.clone()).is_some(), "{problem:?}");
            }
        }
        let errors = found.problems.iter().any(|problem| problem.severity == Severity::Error);
        prop_assert_eq!(found.desired.is_some(), !errors);
    }
}

#[test]
fn struct_ops_are_registered_by_an_entry_with_their_name() {
    let desired = desired(
        "congestion",
        "[objects.demo.programs]\n\
         linked.attach = [{ hook = 'struct-ops' }]\n\
         plain.attach = [{ hook = 'struct-ops' }]\n",
    );
    let shown: Vec<String> = only(&desired)
        .operations
        .iter()
        .map(|ops| format!("{} {}", ops.map, ops.attachment))
        .collect();
    assert_eq!(
        shown,
        [
            "linked struct-ops:tcp_congestion_ops:ea0000000_l",
            "plain struct-ops:tcp_congestion_ops:ea0000000_p"
        ]
    );
    let links = only(&desired).operations.iter().map(|ops| &ops.attachment);
    let links: Vec<bool> =
        links.map(|at| matches!(at, Attachment::StructOps { link: true, .. })).collect();
    assert_eq!(links, [true, false]);
    assert_eq!(only(&desired).programs.len(), 4, "those in them are loaded");
}

#[test]
fn what_is_no_struct_ops_is_not_registered() {
    let program = checked("congestion", "programs.init.attach = [{ hook = 'struct-ops' }]");
    assert_eq!(codes(&program), [code::SECTION_INCOMPLETE, code::HOOK_MISMATCH]);
    let help = program.problems[1].help.as_deref().expect("help");
    assert!(help.contains("[objects.demo.programs.linked]"), "{help}");
    let hook = checked(
        "congestion",
        "programs.linked.attach = [{ hook = 'tc', interface = 'a', direction = 'ingress' }]",
    );
    assert_eq!(codes(&hook), [code::HOOK_MISMATCH]);
    let pinned = checked("congestion", "programs.linked.pin = 'by-name'");
    assert_eq!(codes(&pinned), [code::MAP_UNPINNABLE]);
    let twice = checked(
        "congestion",
        "programs.linked.attach = [{ hook = 'struct-ops' }]\n\
         [objects.again]\npath = 'congestion_other.bpf.o'\nsubpath = 'x'\n\
         programs.linked.attach = [{ hook = 'struct-ops' }]",
    );
    assert_eq!(codes(&twice), [code::ATTACHMENT_CONFLICT]);
}

#[test]
fn a_pin_of_the_manifest_itself_is_named_by_its_program() {
    let own = |path: &str| {
        checked(
            "replaceable",
            &format!(
                "programs.dispatch.pin = 'by-name'\n\
                 [objects.extra]\npath = 'replacement.bpf.o'\n\
                 programs.instead.attach = [{{ hook = 'freplace', program = '{path}' }}]"
            ),
        )
    };
    let named = own("/sys/fs/bpf/ebpf-apply/demo/dispatch");
    assert_eq!(codes(&named), [code::BAD_TARGET]);
    let help = named.problems[0].help.as_deref().expect("help");
    assert!(help.contains("`program = \"demo.dispatch\"`"), "{help}");
    assert_eq!(codes(&own("/sys/fs/bpf/theirs")), [""; 0]);
}
