//! The usual causes in the verifier's words, and what to do about each.
//!
//! Knows texts only. Source of the words: `kernel/bpf/verifier.c`, Linux 5.4 to 7.3.

use super::super::error::split_report;

/// Explains a log by the last line in it that is known; `None` if none is.
pub(super) fn explain(log: &str) -> Option<String> {
    let (log, _) = split_report(log);
    log.lines().rev().take(LINES).find_map(|line| line_cause(line.trim(), log))
}

/// The complaint stands among the last lines; what is above was verified.
const LINES: usize = 12;

fn line_cause(line: &str, log: &str) -> Option<String> {
    let has = |words: &str| line.contains(words);
    let fixed = if has("invalid access to packet") {
        "compare with `data_end` before the packet is read: `if (ptr + size > data_end) return …;`, \
         with the same pointer that is then used, and again after every change of its offset or of \
         the packet"
    } else if has("invalid mem access 'map_value_or_null'") {
        "a map may have no such entry: compare what `bpf_map_lookup_elem` returns with NULL before \
         it is used"
    } else if has("_or_null'") && has("invalid mem access") {
        "the pointer may be NULL: compare it with NULL before it is used"
    } else if has("invalid mem access 'scalar'") || has("invalid mem access 'inv'") {
        "to the verifier this is a number, not a pointer. A pointer into the kernel that has no \
         BTF type is read with `bpf_probe_read_kernel` or `BPF_CORE_READ` (`tp_btf`, `fentry` and \
         `fexit` give typed ones), one of a process with `bpf_probe_read_user`"
    } else if has("unbounded memory access") || has("invalid access to map value") {
        "the offset into the map's value must be known to stay inside it: compare it with the size, \
         or mask it with `& (SIZE - 1)`, right before the access"
    } else if has("invalid unbounded variable-offset") || has("invalid variable-offset") {
        "the index into this array on the stack must be known to stay inside it: compare it with \
         the size, or mask it, right before the access"
    } else if has("combined stack size of") || has("stack limit") {
        "a program and the functions it calls have 512 bytes of stack together: keep large \
         structures in a per-CPU array map"
    } else if has("invalid write to stack") || has("invalid stack type") {
        "the stack of a program has 512 bytes, and only what is inside it may be used: keep large \
         structures in a per-CPU array map"
    } else if has("BPF program is too large. Processed") || has("The sequence of") {
        "the verifier gives up after a million instructions along all paths together: bound loops \
         tighter, use `bpf_loop` or `bpf_for`, or move parts to global functions, which it verifies \
         once"
    } else if has("infinite loop detected") {
        "nothing shows the verifier that this loop ends: count with a constant bound, or use \
         `bpf_loop` or `bpf_for`"
    } else if has("back-edge from insn") {
        "this kernel takes no loops: unroll it (`#pragma unroll`), or use Linux 5.3 or newer"
    } else if has("!read_ok") {
        "a register is read that nothing has set: a variable without a value, or a function without \
         arguments that are all passed"
    } else if has("pointer arithmetic") && has("prohibited") {
        "without CAP_PERFMON the verifier forbids most arithmetic with pointers; or the operation \
         makes no sense for this kind of pointer"
    } else if let Some(rest) = line.strip_prefix("Unreleased reference id=") {
        return Some(unreleased(rest, log));
    } else {
        return None;
    };
    Some(fixed.to_owned())
}

/// Names what made the reference: `2 alloc_insn=5`, and the log has the call at 5.
fn unreleased(rest: &str, log: &str) -> String {
    let number = rest.split("alloc_insn=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let call = number.and_then(|number| {
        let begin = format!("{number}: (85) call ");
        let line = log.lines().find_map(|line| line.trim_start().strip_prefix(begin.as_str()))?;
        line.split(['#', ' ']).next()
    });
    let what = call.map_or("something".to_owned(), |call| format!("what `{call}` returned"));
    let release = match call {
        Some("bpf_ringbuf_reserve") => " (`bpf_ringbuf_submit` or `bpf_ringbuf_discard`)",
        Some("bpf_sk_lookup_tcp" | "bpf_sk_lookup_udp" | "bpf_skc_lookup_tcp") => {
            " (`bpf_sk_release`)"
        }
        _ => "",
    };
    format!("{what} must be released{release} on every path to the end of the program")
}

/// The instruction the verifier stopped at: the last it wrote down before its complaint.
pub(super) fn last_instruction(log: &str) -> Option<usize> {
    let (log, _) = split_report(log);
    log.lines().rev().find_map(|line| {
        let (index, rest) = line.trim_start().split_once(": (")?;
        let opcode = rest.as_bytes().first_chunk::<3>()?;
        (opcode[..2].iter().all(u8::is_ascii_hexdigit) && opcode[2] == b')')
            .then(|| index.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of logs of `bpf/refused.bpf.c` on Linux 6.18 and 7.3, and a word of the advice.
    const LOGS: &[(&str, usize, &str)] = &[
        (
            "0: (61) r1 = *(u32 *)(r1 +0)          ; R1=pkt(r=0)\n\
             ; return data[12] == 8 ? XDP_PASS : XDP_DROP; @ refused.bpf.c:29\n\
             1: (71) r1 = *(u8 *)(r1 +12)\n\
             invalid access to packet, off=12 size=1, R1(id=0,off=12,r=0)\n\
             R1 offset is outside of the packet\n\
             processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0\n",
            1,
            "`data_end`",
        ),
        (
            "0: (61) r1 = *(u32 *)(r1 +0)          ; R1=pkt(r=0)\n\
             1: (71) r1 = *(u8 *)(r1 +12)\n\
             invalid access to packet, off=12 size=1, R1(id=0,off=12,r=0)\n\
             R1 min value is outside of the allowed memory range\n\n\
             Verification failed: Memory Safety: Access outside bounds\n\n\
             Reason:\n  The verifier cannot prove offset + access_size <= object_size.\n\n\
             At:\n  insn 1\n       | ^-- error: access may be outside object bounds\n  \
             Instruction context:\n      0 | (61) r1 = *(u32 *)(r1 +0)\n  \
             >>> 1 | (71) r1 = *(u8 *)(r1 +12)\n      2 | (b4) w0 = 2\n      \
             3 | (16) if w1 == 0x8 goto pc+1\n\n\
             Suggestion:\n  Add or adjust a bounds check.\n\n\
             processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0\n",
            1,
            "`data_end`",
        ),
        (
            "6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counts,ks=4,vs=8)\n\
             ; *count += 1; @ refused.bpf.c:38\n\
             7: (79) r1 = *(u64 *)(r0 +0)\n\
             R0 invalid mem access 'map_value_or_null'\n\
             processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0\n",
            7,
            "with NULL",
        ),
        (
            "5: (85) call bpf_ringbuf_reserve#131          ; R0=ringbuf_mem_or_null(id=2)\n\
             9: (b4) w0 = 2                        ; R0=2 refs=2\n\
             10: (95) exit\n\
             Unreleased reference id=2 alloc_insn=5\n\
             BPF_EXIT instruction in main prog would lead to reference leak\n\
             processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 1\n",
            10,
            "what `bpf_ringbuf_reserve` returned must be released (`bpf_ringbuf_submit`",
        ),
        (
            "1: (61) r0 = *(u32 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 2 insns\n",
            1,
            "`bpf_probe_read_kernel`",
        ),
        (
            "13: (79) r1 = *(u64 *)(r0 +0)\n\
             R0 unbounded memory access, make sure to bounds check any such access\n\
             processed 13 insns (limit 1000000)\n",
            13,
            "compare it with the size",
        ),
        (
            "9: (ae) if w2 < w1 goto pc-5 ; turns += 1; @ refused.bpf.c:81\n\
             infinite loop detected at insn 5\n\
             cur state: R1=scalar(smin=umin=umin32=1) R10=fp0 fp-8=mmmm????\n\
             old state: R1=scalar(smin=umin=umin32=1) R10=fp0 fp-8=mmmm????\n\
             processed 25 insns (limit 1000000)\n",
            9,
            "nothing shows the verifier that this loop ends",
        ),
        (
            "122: (73) *(u8 *)(r4 +0) = r2\n\
             invalid unbounded variable-offset write to stack R4\nprocessed 105 insns\n",
            122,
            "array on the stack",
        ),
        ("0: (bf) r0 = r5\nR5 !read_ok\nprocessed 1 insns\n", 0, "nothing has set"),
    ];

    #[test]
    fn usual_causes_are_explained_and_placed() {
        for (log, instruction, advice) in LOGS {
            let said = explain(log).unwrap_or_default();
            assert!(said.contains(advice), "{said:?} for\n{log}");
            assert_eq!(last_instruction(log), Some(*instruction), "{log}");
        }
    }

    #[test]
    fn what_was_verified_above_the_complaint_explains_nothing() {
        assert_eq!(explain("processed 2 insns\n"), None);
        assert_eq!(explain(""), None);
        assert_eq!(last_instruction("from 3 to 5: (safe)\nR1=ctx()\n"), None);
    }
}
