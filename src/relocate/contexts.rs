//! Arguments of global functions that are tagged as the program's context, for kernels that look at
//! their types instead (libbpf `bpf_program_fixup_func_info`; Linux knows the tag `arg:ctx` since 6.8).
//!
//! The type that such a kernel wants depends on the program, and several programs may call one function.
//! So each type of program gets a description of the function of its own, behind the object's types.

use std::collections::{BTreeMap, BTreeSet};

use crate::btf::{Btf, Kind, Linkage, Shape, Type};
use crate::model::kinds::ProgramType;

use super::draft::{Draft, PARAM, TAIL};

/// The tag.
const TAG: &str = "arg:ctx";

/// `MAX_BPF_FUNC_REG_ARGS` of `include/linux/bpf.h`.
const ARGUMENTS_MAX: u32 = 5;

/// Descriptions of functions for types of programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contexts(BTreeMap<(ProgramType, u32), u32>);

impl Contexts {
    /// Makes the records of `func_info` refer to the descriptions for that type of program.
    pub fn apply(&self, program: ProgramType, func_info: &mut [u8], record_size: u32) {
        let size = usize::try_from(record_size).unwrap_or_default();
        if self.0.is_empty() || size < 8 {
            return;
        }
        for record in func_info.chunks_exact_mut(size) {
            let Some(place) = record.get_mut(4..).and_then(|rest| rest.first_chunk_mut()) else {
                continue;
            };
            if let Some(clone) = self.0.get(&(program, u32::from_le_bytes(*place))) {
                *place = clone.to_le_bytes();
            }
        }
    }
}

/// The struct behind a program's context; `None` for types of programs whose context has no name.
fn context(program: ProgramType) -> Option<&'static str> {
    Some(match program {
        ProgramType::CGROUP_DEVICE => "bpf_cgroup_dev_ctx",
        ProgramType::CGROUP_SKB
        | ProgramType::FLOW_DISSECTOR
        | ProgramType::LWT_IN
        | ProgramType::LWT_OUT
        | ProgramType::LWT_SEG6LOCAL
        | ProgramType::LWT_XMIT
        | ProgramType::SCHED_ACT
        | ProgramType::SCHED_CLS
        | ProgramType::SK_SKB
        | ProgramType::SOCKET_FILTER => "__sk_buff",
        ProgramType::CGROUP_SOCK => "bpf_sock",
        ProgramType::CGROUP_SOCK_ADDR => "bpf_sock_addr",
        ProgramType::CGROUP_SOCKOPT => "bpf_sockopt",
        ProgramType::CGROUP_SYSCTL => "bpf_sysctl",
        ProgramType::KPROBE => "bpf_user_pt_regs_t",
        ProgramType::NETFILTER => "bpf_nf_ctx",
        ProgramType::PERF_EVENT => "bpf_perf_event_data",
        ProgramType::RAW_TRACEPOINT | ProgramType::RAW_TRACEPOINT_WRITABLE => {
            "bpf_raw_tracepoint_args"
        }
        ProgramType::SK_LOOKUP => "bpf_sk_lookup",
        ProgramType::SK_MSG => "sk_msg_md",
        ProgramType::SK_REUSEPORT => "sk_reuseport_md",
        ProgramType::SOCK_OPS => "bpf_sock_ops",
        ProgramType::XDP => "xdp_md",
        _ => return None,
    })
}

/// Describes the tagged functions anew for each type of program. Those in `hidden` are static for the
/// verifier, which does not look at their arguments.
pub(super) fn add(
    draft: &mut Draft<'_, '_>,
    programs: &BTreeSet<ProgramType>,
    hidden: &BTreeSet<&str>,
) -> Contexts {
    let tagged = tagged(draft.btf, hidden);
    let mut contexts = Contexts::default();
    for program in programs.iter().filter(|_| !tagged.is_empty()) {
        let Some(context) = context(*program) else { continue };
        let mut pointer = None;
        for (function, arguments) in &tagged {
            let Some(Shape::Func { prototype, .. }) = draft.btf.get(*function).map(Type::shape)
            else {
                continue;
            };
            let Some(mut params) = params(draft.btf, prototype) else { continue };
            let mut changed = Vec::new();
            for argument in arguments {
                let Some(place) = params.get_mut(*argument as usize) else { continue };
                if is_replaced(draft.btf, *program, place[1], context) {
                    place[1] = *pointer.get_or_insert_with(|| draft.context(context));
                    changed.push(*argument);
                }
            }
            if !changed.is_empty() {
                let clone = draft.describe(*function, prototype, &params, &changed);
                contexts.0.insert((*program, *function), clone);
            }
        }
    }
    contexts
}

/// The global functions with tagged arguments, by id, with the numbers of those arguments.
fn tagged(btf: &Btf<'_>, hidden: &BTreeSet<&str>) -> BTreeMap<u32, Vec<u32>> {
    let mut all = BTreeMap::<u32, Vec<u32>>::new();
    for tag in btf.types().filter(|found| found.kind() == Kind::DeclTag && found.is_named(TAG)) {
        let Shape::DeclTag { target, component: Some(argument) } = tag.shape() else { continue };
        let is_global = btf.get(target).is_some_and(|function| {
            matches!(function.shape(), Shape::Func { linkage: Linkage::Global, .. })
                && !hidden.contains(function.name())
        });
        if is_global {
            all.entry(target).or_default().push(argument);
        }
    }
    all
}

/// Name and type of each parameter, as they are written. The kernel takes no global function with more
/// than `ARGUMENTS_MAX`, so that many functions of one long prototype are not described.
fn params(btf: &Btf<'_>, prototype: u32) -> Option<Vec<[u32; 2]>> {
    let found = btf.get(prototype).filter(|found| found.kind() == Kind::FuncProto)?;
    if found.vlen() > ARGUMENTS_MAX {
        return None;
    }
    let start = btf.record_offset(prototype)?.checked_add(TAIL)?;
    let size = usize::try_from(found.vlen()).ok()?.checked_mul(PARAM)?;
    let bytes = btf.type_bytes().get(start..)?.get(..size)?;
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    Some(pairs.iter().map(|pair| pair.map(u32::from_le_bytes)).collect())
}

/// Whether an argument's type is not what the kernel wants, and may become that (libbpf
/// `need_func_arg_type_fixup`).
fn is_replaced(btf: &Btf<'_>, program: ProgramType, argument: u32, context: &str) -> bool {
    const REGISTERS: &str = if cfg!(any(target_arch = "aarch64", target_arch = "riscv64")) {
        "user_pt_regs"
    } else {
        "pt_regs"
    };
    let Ok(Shape::Ptr(target)) = btf.resolve(argument).map(Type::shape) else { return false };
    let takes_registers = [ProgramType::KPROBE, ProgramType::PERF_EVENT].contains(&program);
    let (Ok(named), Ok(found)) = (btf.resolve_modifiers(target), btf.resolve(target)) else {
        return false;
    };
    if takes_registers && named.kind() == Kind::Typedef && named.is_named("bpf_user_pt_regs_t") {
        return false;
    }
    match found.shape() {
        Shape::Void => true,
        Shape::Struct(_) => match program {
            ProgramType::KPROBE => found.is_named("pt_regs") && !found.is_named(context),
            ProgramType::PERF_EVENT => found.is_named(REGISTERS),
            _ => false,
        },
        Shape::Int(_) => {
            let raw = [ProgramType::RAW_TRACEPOINT, ProgramType::RAW_TRACEPOINT_WRITABLE];
            raw.contains(&program) && found.size() == Some(8)
        }
        _ => false,
    }
}

impl Draft<'_, '_> {
    /// Adds a pointer to a context, and gives its id.
    fn context(&mut self, name: &str) -> u32 {
        let name = self.add_string(name);
        let context = self.append(&[name, (Kind::Struct as u32) << 24, 0]);
        self.append(&[0, (Kind::Ptr as u32) << 24, context])
    }

    /// Adds a function like another with other parameters, and gives its id.
    fn describe(
        &mut self,
        function: u32,
        prototype: u32,
        params: &[[u32; 2]],
        tagged: &[u32],
    ) -> u32 {
        /// `BTF_FUNC_GLOBAL`
        const GLOBAL: u32 = 1;
        let result = self.btf.get(prototype).and_then(Type::target).unwrap_or_default();
        let count = u32::try_from(params.len()).unwrap_or_default();
        let mut words = vec![0, (Kind::FuncProto as u32) << 24 | count, result];
        words.extend(params.as_flattened());
        let prototype = self.append(&words);
        let name = self.btf.get(function).map_or(0, Type::name_offset);
        let clone = self.append(&[name, (Kind::Func as u32) << 24 | GLOBAL, prototype]);
        let tag = self.add_string(TAG);
        for argument in tagged {
            self.append(&[tag, (Kind::DeclTag as u32) << 24, clone, *argument]);
        }
        clone
    }
}
