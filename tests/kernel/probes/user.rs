//! Functions of a program.

use super::{Probed, apply, destroy, manifest, number};
use crate::features::{PERF_EVENT_LINKS, UPROBE_MULTI, UPROBE_SESSION, goes_without, lacks};
use crate::host;
use crate::program::Program;
use crate::sandbox::Sandbox;

const HITS: &str = "user_hits";
const ENTERED: u32 = 0;
const RETURNED: u32 = 1;
const COOKIE: u32 = 2;

/// The `attach` of one program of the object.
fn attach(probed: &Probed, program: &str, hook: &str, options: &str) -> String {
    format!(
        "[objects.probes.programs.{program}]\nattach = [{{ hook = \"{hook}\", {}, {options} }}]\n",
        probed.options()
    )
}

#[test]
fn a_function_is_probed_at_its_entry_and_return() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let exit = attach(&probed, "on_return", "uretprobe", "symbol = \"probed_single\"");
        let with = |cookie: u64, probed: &Probed| {
            let options = format!("symbol = \"probed_single\", cookie = {cookie}");
            attach(probed, "on_entry", "uprobe", &options) + &exit
        };
        let file = manifest(&program, "user_probes", &with(7, &probed));
        apply(&program, &file);
        assert_eq!(probed.call("sss"), 3);
        let seen = || [ENTERED, RETURNED, COOKIE].map(|at| number(HITS, at));
        assert_eq!(seen(), [3, 3, 7]);

        // Another cookie takes another link, beside the one there is; after that only the new one runs.
        manifest(&program, "user_probes", &with(8, &probed));
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("cookie 7") && plan.out.contains("→ "), "{}", plan.out);
        apply(&program, &file);
        probed.call("s");
        assert_eq!(seen(), [4, 4, 8]);

        // What leaves the manifest is detached.
        manifest(&program, "user_probes", &exit);
        apply(&program, &file);
        probed.call("s");
        assert_eq!(seen(), [4, 5, 8]);
        destroy(&program, &file);
        assert_eq!(probed.call("s"), 3);
    });
}

#[test]
fn a_pattern_and_a_list_probe_several_functions() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let one_by_one = goes_without(UPROBE_MULTI);
        let list = "symbol = [\"probed_listed_one\", \"probed_listed_two\"]";
        let rest = attach(&probed, "on_entry", "uprobe", "symbol = \"probed_many_*\", cookie = 9")
            + &attach(&probed, "on_return", "uretprobe", list);
        let file = manifest(&program, "user_probes", &rest);
        let said = apply(&program, &file);
        assert_eq!(said.out.contains("one link for each place"), one_by_one, "{}", said.out);
        let links = std::fs::read_dir("/sys/fs/bpf/edge/~links/edge").expect("a directory").count();
        assert_eq!(links, if one_by_one { 4 } else { 2 });
        probed.call("sablm");
        assert_eq!([ENTERED, RETURNED, COOKIE].map(|at| number(HITS, at)), [2, 2, 9]);

        // From several to one: the program is loaded for other links.
        let rest = attach(&probed, "on_entry", "uprobe", "symbol = \"probed_many_one\"");
        manifest(&program, "user_probes", &rest);
        apply(&program, &file);
        probed.call("ab");
        assert_eq!(number(HITS, ENTERED), 3);
        destroy(&program, &file);
    });
}

#[test]
fn a_function_is_found_by_the_name_its_source_gives_it() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let names = ["probed::cpp(int)", "probed::cpp", "_ZN6probed3cppEi", "probed::rust"];
        for (calls, name) in (1..).zip(names) {
            let rest = attach(&probed, "on_entry", "uprobe", &format!("symbol = \"{name}\""));
            let file = manifest(&program, "user_probes", &rest);
            apply(&program, &file);
            probed.call(if name.ends_with("rust") { "r" } else { "+" });
            assert_eq!(number(HITS, ENTERED), calls, "{name}");
        }
        destroy(&program, &program.directory().join("edge.toml").display().to_string());
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_version_tells_functions_of_one_name_apart() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let with = |symbol: &str| {
            let rest = format!(
                "[objects.probes.programs.on_entry]\nattach = [{{ hook = \"uprobe\", target = \
                 \"libc.so.6\", symbol = \"{symbol}\" }}]\n"
            );
            manifest(&program, "user_probes", &rest)
        };
        // glibc 2.15 gave it other errors.
        for symbol in ["posix_spawn", "posix_spawn@GLIBC_2.2.5", "posix_spawn@@GLIBC_2.15"] {
            let file = with(symbol);
            apply(&program, &file);
        }
        let file = with("posix_spawn@GLIBC_9");
        let said = program.run(&["plan", &file]).status(1);
        assert!((said.out.clone() + &said.err).contains("no function `posix_spawn@GLIBC_9`"));
        destroy(&program, &file);
    });
}

#[test]
fn an_instruction_is_probed_by_its_offset() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        // The first instruction is a `mov` of two bytes on x86-64, or takes a whole word.
        let next = if cfg!(target_arch = "x86_64") { 1 } else { 4 };
        let options = format!("symbol = \"probed_single\", offset = {next}");
        let rest = attach(&probed, "on_entry", "uprobe", &options);
        let file = manifest(&program, "user_probes", &rest);
        apply(&program, &file);
        probed.call("s");
        assert_eq!(number(HITS, ENTERED), 1);
        destroy(&program, &file);
    });
}

#[test]
fn a_session_sees_a_call_from_both_ends() {
    if lacks(&[UPROBE_SESSION]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let rest = attach(&probed, "around", "uprobe", "symbol = \"probed_single\"");
        let file = manifest(&program, "user_probes", &rest);
        apply(&program, &file);
        probed.call("s");
        assert_eq!(number(HITS, ENTERED), 2, "at its entry and its return");
        destroy(&program, &file);
    });
}

#[test]
fn a_new_file_of_the_same_name_is_another_place() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let copy = program.directory().join("probed");
        let install = || {
            let new = copy.with_extension("new");
            std::fs::copy(Probed::path(), &new).expect("a copy");
            std::fs::rename(&new, &copy).expect("it takes the old one's place");
        };
        install();
        let rest = format!(
            "[objects.probes.programs.on_entry]\nattach = [{{ hook = \"uprobe\", target = \"{}\", symbol = \
             \"probed_single\" }}]\n",
            copy.display()
        );
        let file = manifest(&program, "user_probes", &rest);
        apply(&program, &file);
        install();
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("of the file →"), "{}", plan.out);
        apply(&program, &file);
        destroy(&program, &file);
    });
}

#[test]
fn what_is_not_there_is_told_before_anything_is_done() {
    Sandbox::run(|_| {
        let (program, probed) = (Program::new(), Probed::start());
        let refused = |rest: &str, why: &str| {
            let file = manifest(&program, "user_probes", rest);
            let said = program.run(&["apply", &file]).status(1);
            assert!((said.out + &said.err).contains(why), "{why}");
            assert!(host::tree().is_empty(), "{:?}", host::tree());
        };
        refused(
            &attach(&probed, "on_entry", "uprobe", "symbol = \"no_such_function\""),
            "no function `no_such_function`",
        );
        refused(
            &attach(&probed, "on_entry", "uprobe", "symbol = \"no_such_*\""),
            "no function of the pattern `no_such_*`",
        );
        let at = |target: &str| {
            format!(
                "[objects.probes.programs.on_entry]\nattach = [{{ hook = \"uprobe\", target = \
                 \"{target}\", symbol = \"f\" }}]\n"
            )
        };
        refused(&at("libnonesuch.so.9"), "no library `libnonesuch.so.9`");
        refused(&at("/proc/self/cmdline"), "is no ELF file");
        drop(probed);
    });
}
