//! Linking the objects of `bpf/`: against an independent linker, against the kernel, and broken.

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;

use aya_obj::btf::Btf as OtherBtf;
use ebpf_apply::btf::{Btf, FuncInfo, Kind, LineInfo, Linkage, Shape, Type};
use ebpf_apply::model::kinds::ProgramType;
use ebpf_apply::object::inspect;
use ebpf_apply::relocate::{
    BtfFeature, Environment, Insn, KconfigKind, KernelTypes, LinkedProgram, Linker, Module,
    Modules, NoModules, POISON, RelocateError, find_attach_target, poisoned_instruction,
    sanitize_btf,
};
use proptest::prelude::*;

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The object, built.
fn read(name: &str) -> Vec<u8> {
    fs::read(support::object(name)).expect("what was built can be read")
}

/// A descriptor for each map of the object, from 100 on.
fn descriptors(bytes: &[u8]) -> BTreeMap<String, i32> {
    let spec = inspect(bytes).expect("the object can be inspected");
    spec.maps.into_iter().map(|map| map.name).zip(100..).collect()
}

/// A kernel that has no modules.
fn without_modules<'k>(own: &'k Btf<'k>) -> KernelTypes<'k> {
    KernelTypes { own, modules: &NoModules }
}

/// All programs of an object, linked.
fn link(bytes: &[u8], kernel: Option<&Btf<'_>>) -> BTreeMap<String, LinkedProgram> {
    let (maps, kernel_symbols) = (descriptors(bytes), BTreeMap::new());
    let linker = Linker::open(bytes).expect("the object can be linked");
    let binding = linker.bind(Environment {
        maps: &maps,
        kernel: kernel.map(without_modules),
        arena: None,
        core_btf: None,
        kernel_symbols: &kernel_symbols,
    });
    linker
        .programs()
        .map(|name| (name.to_owned(), binding.link(name).expect("every program links")))
        .collect()
}

/// The same by another linker: its instructions.
fn link_otherwise(bytes: &[u8], kernel: Option<&[u8]>) -> BTreeMap<String, Vec<[u8; 8]>> {
    let maps = descriptors(bytes);
    let mut other = aya_obj::Object::parse(bytes).expect("the other linker reads it");
    if let Some(kernel) = kernel {
        let types = OtherBtf::parse(kernel, object::Endianness::Little);
        other.relocate_btf(&types.expect("the kernel's BTF is sound")).expect("CO-RE succeeds");
    }
    let text: HashSet<usize> = other.functions.keys().map(|(section, _)| *section).collect();
    let declared = other.maps.clone();
    let declared = declared.iter().map(|(name, map)| (name.as_str(), maps[name], map));
    other.relocate_maps(declared, &text).expect("maps are found");
    other.relocate_calls(&text).expect("calls are found");
    let programs = other.programs.iter();
    programs
        .map(|(name, program)| {
            let function = &other.functions[&program.function_key()];
            let code = function.instructions.iter().map(|insn| {
                let [off_low, off_high] = insn.off.to_le_bytes();
                let [a, b, c, d] = insn.imm.to_le_bytes();
                [insn.code, insn.dst_reg() | insn.src_reg() << 4, off_low, off_high, a, b, c, d]
            });
            (name.clone(), code.collect())
        })
        .collect()
}

fn bytes_of(program: &LinkedProgram) -> Vec<[u8; 8]> {
    program.instructions.iter().map(|insn| insn.to_bytes()).collect()
}

#[test]
fn another_linker_makes_the_same_programs() {
    for name in ["firewall", "globals", "relocate_calls", "three_policies"] {
        let bytes = read(name);
        let ours = link(&bytes, None);
        let mut compared = 0;
        for (program, theirs) in link_otherwise(&bytes, None) {
            assert_eq!(bytes_of(&ours[&program]), theirs, "{name}: {program}");
            compared += 1;
        }
        assert!(compared > 0, "{name}");
    }
}

/// The names of a program's functions, in the order in which they lie in it.
fn functions(bytes: &[u8], program: &LinkedProgram) -> Vec<(u32, String)> {
    let elf = object::File::parse(bytes).expect("an object");
    let section = object::Object::section_by_name(&elf, ".BTF").expect("it has BTF");
    let types = object::ObjectSection::data(&section).expect("its BTF is there");
    let types = Btf::parse(types).expect("its BTF is sound");
    let size = program.func_info_record_size as usize;
    let records = program.func_info.chunks_exact(size).map(FuncInfo::decode);
    records
        .map(|record| {
            let function = types.get(record.type_id).expect("func_info names a type");
            (record.insn_off, function.name().to_owned())
        })
        .collect()
}

#[test]
fn callees_follow_in_the_order_in_which_they_are_first_called() {
    let bytes = read("relocate_calls");
    let programs = link(&bytes, None);
    let names = |program: &str| {
        let functions = functions(&bytes, &programs[program]);
        functions.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("calls_late_first"), ["calls_late_first", "concealed", "middle", "leaf"]);
    let early = ["calls_early_first", "leaf", "weak", "concealed", "middle"];
    assert_eq!(names("calls_early_first"), early);
    assert_eq!(names("walks"), ["walks", "on_entry", "leaf", "on_round", "middle"]);
    assert_eq!(names("on_demand"), ["on_demand", "middle", "leaf"]);
}

#[test]
fn debug_information_moves_with_the_code() {
    let bytes = read("relocate_calls");
    for (name, program) in link(&bytes, None) {
        let size = program.line_info_record_size as usize;
        let lines: Vec<_> = program.line_info.chunks_exact(size).map(LineInfo::decode).collect();
        assert!(lines.is_sorted_by_key(|line| line.insn_off), "{name}");
        assert!(lines.iter().all(|line| (line.insn_off as usize) < program.instructions.len()));
        for (start, function) in functions(&bytes, &program) {
            assert!(
                lines.iter().any(|line| line.insn_off == start),
                "{name}: {function} begins with a line"
            );
        }
    }
}

/// Reads every declared size and place back.
#[test]
fn the_btf_to_load_has_sizes_and_offsets_and_no_hidden_globals() {
    let bytes = read("relocate_calls");
    let spec = inspect(&bytes).expect("the object can be inspected");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    let btf = linker.btf().expect("its BTF can be completed").expect("it has BTF");
    let types = Btf::parse(&btf).expect("the BTF is sound");
    let mut looked_at = 0;
    for section in types.types().filter(|section| section.kind() == Kind::Datasec) {
        let size = section.size().expect("a section has a size");
        assert!(size > 0, "{}", section.name());
        let variables: Vec<_> = types.variables(section).collect();
        assert!(variables.is_sorted_by_key(|(place, _)| place.offset));
        for (place, variable) in variables {
            assert!(place.offset + place.size <= size, "{}", variable.name());
            if let Some(global) = spec.global(variable.name()) {
                assert_eq!((place.offset, place.size), (global.offset, global.size));
                looked_at += 1;
            }
        }
    }
    assert!(looked_at >= 6);
    let linkage = |name, kind| types.find(name, kind).expect("it is there").shape();
    let hidden = linkage("concealed", Kind::Func);
    assert!(matches!(hidden, Shape::Func { linkage: Linkage::Static, .. }));
    let global = linkage("middle", Kind::Func);
    assert!(matches!(global, Shape::Func { linkage: Linkage::Global, .. }));
    let hidden = linkage("exported", Kind::Var);
    assert!(matches!(hidden, Shape::Var { linkage: Linkage::Static, .. }));
}

#[test]
fn core_finds_what_the_kernel_has_and_poisons_what_it_has_not() {
    let kernel = fs::read(KERNEL_BTF).expect("the kernel has BTF");
    let types = Btf::parse(&kernel).expect("the kernel's BTF is sound");
    let programs = link(&read("relocate_core"), Some(&types));
    let layouts = &programs["layouts"];
    let missing: Vec<_> = layouts.unresolved.iter().map(|access| access.access.as_str()).collect();
    assert!(missing.contains(&"struct task_struct___other.colour_of_the_hat"), "{missing:?}");
    assert!(missing.contains(&"enum pid_type___mine::PIDTYPE_NOWHERE"), "{missing:?}");
    for access in &layouts.unresolved {
        let insn = layouts.instructions[access.instruction];
        assert_eq!((insn.code(), insn.imm()), (0x85, POISON), "{}", access.access);
    }
    // `task_struct.pid` as an offset that is added to or loaded from.
    let task = types.find("task_struct", Kind::Struct).expect("every kernel has it");
    let pid = task.members().iter().find(|member| member.name == "pid").expect("it has a pid");
    let offset = (pid.bit_offset / 8).cast_signed();
    assert!(layouts.instructions.iter().any(|insn| insn.code() == 0xb7 && insn.imm() == offset));
    // A member of 32 bits is loaded with 32 bits, whatever the object thinks of it.
    let device = types.find("net_device", Kind::Struct).expect("every kernel has it");
    let mtu = find_member(&types, device.id(), "mtu").expect("it has an mtu") / 8;
    let loads = &programs["loads"].instructions;
    assert!(
        loads
            .iter()
            .any(|insn| insn.code() == 0x61 && u32::from(insn.off().cast_unsigned()) == mtu)
    );
}

/// The offset in bits of a member, looked for in anonymous members too.
fn find_member(types: &Btf<'_>, container: u32, name: &str) -> Option<u32> {
    types.resolve(container).ok()?.members().iter().find_map(|member| {
        if member.name == name {
            return Some(member.bit_offset);
        }
        let inner = member.name.is_empty().then(|| find_member(types, member.type_id, name))??;
        Some(member.bit_offset + inner)
    })
}

#[test]
fn another_relocator_agrees_about_core() {
    let kernel = fs::read(KERNEL_BTF).expect("the kernel has BTF");
    let types = Btf::parse(&kernel).expect("the kernel's BTF is sound");
    for name in ["core_read", "exec_trace"] {
        let bytes = read(name);
        let ours = link(&bytes, Some(&types));
        for (program, theirs) in link_otherwise(&bytes, Some(&kernel)) {
            assert_eq!(bytes_of(&ours[&program]), theirs, "{name}: {program}");
        }
    }
}

#[test]
fn externs_are_found_in_the_kernel_or_left_out() {
    let kernel = fs::read(KERNEL_BTF).expect("the kernel has BTF");
    let types = Btf::parse(&kernel).expect("the kernel's BTF is sound");
    let bytes = read("relocate_externs");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    assert!(linker.needs_kernel_btf());
    let wanted: Vec<_> = linker.kernel_symbols().collect();
    assert_eq!(wanted, ["schedule", "symbol_that_is_nowhere"]);
    let (mut maps, address) = (descriptors(&bytes), 0xffff_ffff_8123_4567_u64);
    maps.insert(".kconfig".to_owned(), 99);
    let kernel_symbols = BTreeMap::from([("schedule".to_owned(), address)]);
    let environment = Environment {
        maps: &maps,
        kernel: Some(without_modules(&types)),
        arena: None,
        core_btf: None,
        kernel_symbols: &kernel_symbols,
    };
    let binding = linker.bind(environment);

    let functions = binding.link("functions").expect("what is missing is weak");
    let id = types.find("bpf_task_from_pid", Kind::Func).expect("kernels have it since 6.2").id();
    let calls = |insn: &&Insn| insn.code() == 0x85 && insn.src() == 2;
    let called: Vec<_> =
        functions.instructions.iter().filter(calls).map(|insn| insn.imm()).collect();
    assert_eq!(called.iter().filter(|called| **called == id.cast_signed()).count(), 2);
    let missing: Vec<_> = functions.unresolved.iter().map(|extern_| &*extern_.access).collect();
    assert_eq!(missing, ["bpf_function_that_is_nowhere", "bpf_another_that_is_nowhere"]);
    for poisoned in &functions.unresolved {
        let insn = functions.instructions[poisoned.instruction];
        let line = format!("{}: (85) call unknown#{}", poisoned.instruction, insn.imm());
        assert_eq!(poisoned_instruction(&line), Some(poisoned.instruction));
    }

    let variables = binding.link("variables").expect("what is missing is weak");
    let queue = types.find("runqueues", Kind::Var).expect("every kernel has it").id();
    let loads = wide_loads(&variables);
    assert!(loads.contains(&(3, u64::from(queue))));
    assert!(loads.contains(&(0, address)));

    let configuration = binding.link("configuration").expect("the map is there");
    let version = linker.kconfig().find(|variable| variable.name == "LINUX_KERNEL_VERSION");
    let version = version.expect("the object reads it");
    assert_eq!(version.kind, KconfigKind::Int { signed: true });
    assert!(wide_loads(&configuration).contains(&(2, (u64::from(version.offset) << 32) + 99)));
}

/// One module.
#[derive(Debug)]
struct Loaded<'m>([Module<'m>; 1]);

impl Modules for Loaded<'_> {
    fn all(&self) -> &[Module<'_>] {
        &self.0
    }

    fn descriptor(&self, module: &Module<'_>) -> Result<i32, String> {
        assert_eq!(module.name, "nowhere");
        Ok(77)
    }
}

/// The BTF of a module that has what `relocate_externs` looks for in vain in the kernel's own types.
fn module_types(kernel: &Btf<'_>) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).expect("a small number");
    let int = kernel.find("int", Kind::Int).expect("every kernel has it").id();
    let names = [b"bpf_function_that_is_nowhere".as_slice(), b"variable_that_is_nowhere"];
    let first_name = word(kernel.strings().as_bytes().len());
    let second_name = first_name + word(names[0].len()) + 1;
    let prototype = kernel.type_count();
    let records = [
        // int (int)
        [0, 13 << 24 | 1, int].as_slice(),
        &[0, int],
        &[first_name, 12 << 24, prototype],
        &[second_name, 14 << 24, int],
        &[1],
    ]
    .concat();
    let names: Vec<u8> = names.iter().flat_map(|name| [name, b"\0".as_slice()].concat()).collect();
    let length = word(records.len()) * 4;
    let header = [0x0001_eb9f, 24, 0, length, length, word(names.len())];
    let words = header.iter().chain(&records).flat_map(|word| word.to_le_bytes());
    words.chain(names).collect()
}

#[test]
fn externs_are_found_in_modules() {
    let kernel = fs::read(KERNEL_BTF).expect("the kernel has BTF");
    let types = Btf::parse(&kernel).expect("the kernel's BTF is sound");
    let module = module_types(&types);
    let module = Btf::parse_split(&module, &types).expect("it continues the kernel's");
    let modules = Loaded([Module { name: "nowhere".to_owned(), types: module }]);
    let environment = Environment {
        maps: &[(".bss".to_owned(), 98)].into(),
        kernel: Some(KernelTypes { own: &types, modules: &modules }),
        arena: None,
        core_btf: None,
        kernel_symbols: &[("schedule".to_owned(), 1)].into(),
    };
    let bytes = read("relocate_externs");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    let binding = linker.bind(environment);
    assert_eq!(binding.descriptors(), [0, 77]);

    let functions = binding.link("functions").expect("what is missing is weak");
    let missing: Vec<_> = functions.unresolved.iter().map(|extern_| &*extern_.access).collect();
    assert_eq!(missing, ["bpf_another_that_is_nowhere"]);
    let [own, in_module] = ["bpf_task_from_pid", "bpf_function_that_is_nowhere"].map(|name| {
        let found = types.find(name, Kind::Func);
        found.or_else(|| modules.0[0].types.find(name, Kind::Func)).expect("it is there").id()
    });
    let calls = functions.instructions.iter().filter(|insn| insn.code() == 0x85);
    let calls: Vec<_> = calls.map(|insn| (insn.src(), insn.off(), insn.imm())).collect();
    assert!(calls.contains(&(2, 0, own.cast_signed())), "{calls:?}");
    assert!(calls.contains(&(2, 1, in_module.cast_signed())), "the second of the descriptors");
    let address = u64::from(in_module) | 77 << 32;
    assert!(wide_loads(&functions).contains(&(3, address)), "whether it is there is asked too");

    let variables = binding.link("variables").expect("what is missing is weak");
    let variable = modules.0[0].types.find("variable_that_is_nowhere", Kind::Var);
    let variable = u64::from(variable.expect("it is there").id());
    assert!(wide_loads(&variables).contains(&(3, variable | 77 << 32)));
}

/// Source register and number of each `ldimm64`.
fn wide_loads(program: &LinkedProgram) -> Vec<(u8, u64)> {
    let pairs = program.instructions.windows(2).filter(|pair| pair[0].code() == 0x18);
    pairs.map(|pair| (pair[0].src(), pair[1].0 & !0xffff_ffff | pair[0].0 >> 32)).collect()
}

#[test]
fn what_is_missing_is_named() {
    let bytes = read("relocate_core");
    let (none, symbols) = (BTreeMap::new(), BTreeMap::new());
    let linker = Linker::open(&bytes).expect("the object can be linked");
    assert!(linker.needs_core_btf());
    let environment = Environment {
        maps: &none,
        arena: None,
        kernel: None,
        core_btf: None,
        kernel_symbols: &symbols,
    };
    let binding = linker.bind(environment);
    let error = binding.link("layouts").expect_err("there is no kernel").to_string();
    assert!(error.contains("program `layouts`"), "{error}");
    assert!(error.contains("struct task_struct.pid"), "{error}");
    assert!(error.contains("the kernel's BTF is needed"), "{error}");
    let unknown = binding.link("nonesuch");
    assert_eq!(unknown, Err(RelocateError::NoSuchProgram("nonesuch".into())));

    let bytes = read("relocate_calls");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    assert!(!linker.needs_core_btf());
    let missing = linker.bind(environment).link("on_demand");
    let map = "first".to_owned();
    assert_eq!(missing, Err(RelocateError::MapMissing { program: "on_demand".into(), map }));
}

#[test]
fn attach_targets_are_found_by_prefix() {
    let kernel = fs::read(KERNEL_BTF).expect("the kernel has BTF");
    let types = Btf::parse(&kernel).expect("the kernel's BTF is sound");
    let kernel = without_modules(&types);
    for name in ["sched_switch", "vmlinux:sched_switch"] {
        let target = find_attach_target(kernel, "btf_trace_", name, Kind::Typedef);
        let target = target.expect("every kernel has it");
        let found = types.get(target.type_id).expect("the id is one of its own");
        assert_eq!((found.name(), target.btf), ("btf_trace_sched_switch", 0));
    }
    let error = find_attach_target(kernel, "bpf_lsm_", "no_such_hook", Kind::Func);
    assert_eq!(
        error.expect_err("no kernel has it").to_string(),
        "neither the running kernel nor a module that is loaded has a func `bpf_lsm_no_such_hook` \
         in its BTF"
    );
    let error = find_attach_target(kernel, "", "tun:tun_get_user", Kind::Func);
    assert_eq!(
        error.expect_err("there are no modules").to_string(),
        "module `tun` is not loaded, or has no func `tun_get_user` in its BTF"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_object_makes_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        which in 0..4_usize,
    ) {
        let name = ["relocate_calls", "relocate_core", "inspect_kernel", "subprogs"][which];
        let mut bytes = read_once(name);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let own = read_once("relocate_core");
        try_everything(&bytes, &own);
        try_everything(&own, &bytes);
    }
}

/// An object, read from disk once.
fn read_once(name: &'static str) -> Vec<u8> {
    use std::sync::Mutex;
    static READ: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());
    READ.lock().expect("no test panics here").entry(name).or_insert_with(|| read(name)).clone()
}

/// Links all programs of one object against the types of another.
fn try_everything(bytes: &[u8], kernel: &[u8]) {
    let kernel = object::File::parse(kernel).ok();
    let section = kernel.as_ref().and_then(|elf| object::Object::section_by_name(elf, ".BTF"));
    let types = section.and_then(|section| object::ObjectSection::data(&section).ok());
    let types = types.and_then(|types| Btf::parse(types).ok());
    let Ok(linker) = Linker::open(bytes) else { return };
    let programs = [ProgramType::XDP, ProgramType::KPROBE, ProgramType::RAW_TRACEPOINT];
    if let Ok(Some((btf, _))) = linker.btf_for(&programs.into()) {
        let _ = sanitize_btf(&btf, &BtfFeature::ALL.into());
    }
    let spec = inspect(bytes).ok();
    let maps = spec.into_iter().flat_map(|spec| spec.maps).map(|map| (map.name, 3)).collect();
    let kernel_symbols = linker.kernel_symbols().map(|name| (name.to_owned(), 1)).collect();
    let binding = linker.bind(Environment {
        maps: &maps,
        kernel: types.as_ref().map(without_modules),
        arena: None,
        core_btf: None,
        kernel_symbols: &kernel_symbols,
    });
    for program in linker.programs() {
        let _ = binding.link(program);
    }
}

/// BTF written by hand: what a kernel module adds, or what it adds to.
#[derive(Default)]
struct HandMade {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Offsets of names count from the end of the base's.
    strings_before: u32,
}

impl HandMade {
    fn kernel() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    fn module(base: &Self) -> Self {
        let strings_before = u32::try_from(base.strings.len()).expect("small");
        Self { strings_before, ..Self::default() }
    }

    fn name(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.strings_before + u32::try_from(self.strings.len()).expect("small");
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    fn add(&mut self, name: &str, kind: Kind, count: u32, size_or_type: u32, tail: &[u32]) {
        let name = self.name(name);
        let info = (kind as u32) << 24 | count;
        for word in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
    }

    /// A struct of members: name, type, and offset in bytes.
    fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) {
        let tail: Vec<u32> = members
            .iter()
            .flat_map(|(member, id, offset)| [self.name(member), *id, offset * 8])
            .collect();
        self.add(name, Kind::Struct, u32::try_from(members.len()).expect("small"), size, &tail);
    }

    fn bytes(&self) -> Vec<u8> {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("small");
        let types = length(&self.types);
        let header = [0x0001_eb9f, 24, 0, types, types, length(&self.strings)];
        let header = header.iter().flat_map(|word| word.to_le_bytes());
        header.chain(self.types.iter().copied()).chain(self.strings.iter().copied()).collect()
    }
}

/// One module, with a descriptor.
#[derive(Debug)]
struct OneModule<'k>([Module<'k>; 1]);

impl Modules for OneModule<'_> {
    fn all(&self) -> &[Module<'_>] {
        &self.0
    }

    fn descriptor(&self, module: &Module<'_>) -> Result<i32, String> {
        assert_eq!(module.name, "cc");
        Ok(55)
    }
}

/// No module of Debian's kernels has struct ops, so its types are made by hand.
#[test]
fn struct_ops_of_a_module_are_found_in_its_types() {
    // 1 int, 2 function, 3 pointer to it, 4 common value; and a struct of the same name that is another.
    let mut kernel = HandMade::kernel();
    kernel.add("int", Kind::Int, 0, 4, &[1 << 24 | 32]);
    kernel.add("", Kind::FuncProto, 0, 1, &[]);
    kernel.add("", Kind::Ptr, 0, 2, &[]);
    kernel.structure("bpf_struct_ops_common_value", 8, &[("refcnt", 1, 0), ("state", 1, 4)]);
    kernel.structure("tcp_congestion_ops", 4, &[("unrelated", 1, 0)]);
    // 6 char, 7 its array, 8 the struct, 9 its value.
    let mut module = HandMade::module(&kernel);
    module.add("char", Kind::Int, 0, 1, &[1 << 24 | 8]);
    module.add("", Kind::Array, 0, 0, &[6, 1, 16]);
    let members = [
        ("name", 7, 0),
        ("undo_cwnd", 3, 16),
        ("more", 3, 24),
        ("ssthresh", 3, 32),
        ("cong_avoid", 3, 40),
        ("init", 3, 48),
    ];
    module.structure("tcp_congestion_ops", 56, &members);
    module.structure(
        "bpf_struct_ops_tcp_congestion_ops",
        128,
        &[("common", 4, 0), ("data", 8, 64)],
    );
    let (kernel, module) = (kernel.bytes(), module.bytes());
    let own = Btf::parse(&kernel).expect("well-formed");
    let types = Btf::parse_split(&module, &own).expect("well-formed");
    let modules = OneModule([Module { name: "cc".to_owned(), types }]);
    let types = KernelTypes { own: &own, modules: &modules };

    let bytes = read("congestion");
    let spec = inspect(&bytes).expect("the object can be inspected");
    let map = spec.map("linked").expect("the object has it");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    let ops = linker.struct_ops("linked", &map.slots, types).expect("the module has them");
    assert_eq!((ops.btf, ops.value_type_id, ops.type_id), (55, 9, 8));
    let name = b"ea0000000_l";
    assert_eq!(ops.value.len(), 128);
    assert_eq!(&ops.value[64..64 + name.len()], name);
    let mut places: Vec<_> =
        ops.programs.iter().map(|op| (op.program.as_str(), op.member, op.offset)).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [("cong_avoid", 4, 104), ("init", 5, 112), ("ssthresh", 3, 96), ("undo_cwnd", 1, 80)]
    );
    let error = linker.struct_ops("linked", &map.slots, without_modules(&own));
    let error = error.expect_err("the kernel's own struct is another").to_string();
    assert!(error.contains("no operations `struct tcp_congestion_ops`"), "{error}");
}

/// For kernels before 6.8, which look at the type of an argument and not at its tag.
#[test]
fn a_tagged_context_is_described_for_each_type_of_program() {
    let bytes = read("context_argument");
    let linker = Linker::open(&bytes).expect("the object can be linked");
    let plain = linker.btf().expect("complete").expect("it has BTF");
    let programs = [ProgramType::XDP, ProgramType::SCHED_CLS, ProgramType::SYSCALL];
    let (completed, contexts) =
        linker.btf_for(&programs.into()).expect("complete").expect("it has BTF");
    let [plain, completed] =
        [&plain, &completed].map(|bytes| Btf::parse(bytes).expect("well-formed"));
    let look = plain.find("look", Kind::Func).expect("the object has it").id();
    assert_eq!(completed.find("look", Kind::Func).map(Type::id), Some(look));

    let argument = |function: u32| {
        let Some(Shape::Func { prototype, linkage: Linkage::Global }) =
            completed.get(function).map(Type::shape)
        else {
            panic!("{function} is no global function")
        };
        let Some(Shape::FuncProto { params, .. }) = completed.get(prototype).map(Type::shape)
        else {
            panic!("{prototype} is no prototype")
        };
        let first = params.iter().next().expect("it has arguments");
        let Ok(Shape::Ptr(target)) = completed.resolve(first.type_id).map(Type::shape) else {
            panic!("`{}` is no pointer", first.name)
        };
        assert_eq!(params.iter().count(), 2);
        completed.get(target).expect("it points to a type").name().to_owned()
    };
    let described = |program: ProgramType| {
        let mut records: Vec<u8> =
            [0, look, 7, 1].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        contexts.apply(program, &mut records, 8);
        let (words, _) = records.as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        assert_eq!((words[0], words[2], words[3]), (0, 7, 1), "nothing else changes");
        words[1]
    };
    let [xdp, tc, other] = programs.map(described);
    assert_eq!((argument(xdp).as_str(), argument(tc).as_str()), ("xdp_md", "__sk_buff"));
    assert_eq!(other, look, "its context has no name");
    let tags = |of: u32| {
        let tags = completed.types().filter(|tag| tag.is_named("arg:ctx"));
        tags.filter(|tag| tag.target() == Some(of)).count()
    };
    assert_eq!([look, xdp, tc].map(tags), [1, 1, 1]);
}
