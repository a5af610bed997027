//! Statically defined probes, as sys/sdt.h of systemtap makes them.

use super::{Probed, apply, destroy, manifest, number};
use crate::features::{PERF_EVENT_LINKS, lacks};
use crate::program::Program;
use crate::sandbox::Sandbox;

pub(super) const HITS: &str = "user_hits";
/// How many arguments the probe has.
pub(super) const COUNT: u32 = 7;

/// How often the probe was passed, its arguments when it last was, and the cookie.
pub(super) fn seen() -> [u64; 4] {
    [3, 4, 5, 6].map(|at| number(HITS, at))
}

fn attach(probed: &Probed, name: &str, rest: &str) -> String {
    format!(
        "[objects.probes.programs.on_probe]\nattach = [{{ hook = \"usdt\", {}, provider = \"probed\", \
         name = \"{name}\"{rest} }}]\n",
        probed.options()
    )
}

#[test]
fn arguments_and_the_counter_of_a_probe() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        assert_eq!(probed.call("w"), 0);
        let file = manifest(&program, "user_probes", &attach(&probed, "passed", ", cookie = 11"));
        apply(&program, &file);
        assert_eq!(probed.call("w"), 1, "it can know that it is watched");
        probed.call("p");
        assert_eq!(seen(), [1, 1234, (-5_i64).cast_unsigned(), 11]);
        assert_eq!(number(HITS, COUNT), 2);

        // Another cookie takes fresh maps for the arguments; the hits stay.
        manifest(&program, "user_probes", &attach(&probed, "passed", ", cookie = 12"));
        apply(&program, &file);
        probed.call("q");
        assert_eq!(seen(), [2, 77, 6, 12]);
        assert_eq!(probed.call("w"), 1);

        // A link that somebody removed is made again.
        for link in std::fs::read_dir("/sys/fs/bpf/edge/~links/edge").expect("a directory") {
            std::fs::remove_file(link.expect("an entry").path()).expect("a pin");
        }
        apply(&program, &file);
        probed.call("p");
        assert_eq!(seen(), [3, 1234, (-5_i64).cast_unsigned(), 12]);
        destroy(&program, &file);
        assert_eq!(probed.call("w"), 0);
    });
}

#[test]
fn a_probe_at_several_places_is_one() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::start());
        let file = manifest(&program, "user_probes", &attach(&probed, "twice", ""));
        apply(&program, &file);
        probed.call("p");
        assert_eq!(seen(), [1, 1234, (-5_i64).cast_unsigned(), 0]);
        // At the other place the argument is in another register.
        probed.call("q");
        assert_eq!(seen(), [2, 78, 6, 0]);
        destroy(&program, &file);
    });
}

#[test]
fn a_probe_that_is_not_there_is_told_with_those_that_are() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let (program, probed) = (Program::new(), Probed::start());
        let file = manifest(&program, "user_probes", &attach(&probed, "nonesuch", ""));
        let said = program.run(&["plan", &file]).status(1);
        let why = "no probe `probed:nonesuch`; of `probed` it has passed, twice";
        assert!((said.out.clone() + &said.err).contains(why), "{said:?}");
    });
}
