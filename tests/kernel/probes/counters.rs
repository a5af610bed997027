//! Performance counters; the one that every machine has counts time.

use super::{apply, destroy, manifest, number};
use crate::features::{PERF_EVENT_LINKS, lacks};
use crate::layer::running::{eventually, output};
use crate::program::Program;
use crate::sandbox::Sandbox;

fn attach(options: &str) -> String {
    format!(
        "[objects.probes.programs.on_overflow]\nattach = [{{ hook = \"perf-event\", {options} }}]\n"
    )
}

/// Overflows on all CPUs so far.
fn overflows() -> u64 {
    (0..16).map(|cpu| number("overflows", cpu)).sum()
}

#[test]
fn a_clock_runs_a_program_on_every_cpu() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let file =
            manifest(&program, "counter", &attach("software = \"cpu-clock\", frequency = 200"));
        let said = apply(&program, &file);
        let cpus = aya::util::online_cpus().expect("the kernel says so").len();
        let links = said.out.matches("[perf-event:cpu-clock:cpu=").count();
        assert_eq!(links, cpus, "{}", said.out);
        eventually("the clock ticks", || overflows() > 0);

        // Another frequency takes other links.
        manifest(&program, "counter", &attach("software = \"cpu-clock\", period = 1000000"));
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("frequency 200 → period 1000000"), "{}", plan.out);
        apply(&program, &file);
        let before = overflows();
        eventually("the clock ticks", || overflows() > before);

        // One CPU only: the others' links go.
        manifest(
            &program,
            "counter",
            &attach("software = \"cpu-clock\", frequency = 200, cpu = 0"),
        );
        apply(&program, &file);
        // CPU 0 goes on ticking, so it is no part of what must stand still.
        let others = || (1..16).map(|cpu| number("overflows", cpu)).sum::<u64>();
        let (first, rest) = (number("overflows", 0), others());
        eventually("CPU 0 ticks", || number("overflows", 0) > first);
        assert_eq!(others(), rest, "the others do not");
        destroy(&program, &file);
    });
}

#[test]
fn a_thread_is_counted_on_whatever_cpu_it_runs() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let thread = rustix::thread::gettid().as_raw_nonzero();
        let rest = attach(&format!("software = \"context-switches\", period = 1, pid = {thread}"));
        let file = manifest(&program, "counter", &rest);
        apply(&program, &file);
        // Whoever waits for another process is switched away.
        output("true", &[]);
        eventually("it was switched", || overflows() > 0);
        destroy(&program, &file);
    });
}

#[test]
fn what_the_machine_lacks_is_told() {
    Sandbox::run(|_| {
        let program = Program::new();
        let options = "software = \"cpu-clock\", period = 1, cpu = 4095";
        let file = manifest(&program, "counter", &attach(options));
        let said = program.run(&["plan", &file]).status(1);
        assert!((said.out.clone() + &said.err).contains("CPU 4095 is not online"), "{said:?}");
    });
}
