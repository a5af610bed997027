//! What an object says of its XDP programs to whoever has a dispatcher call them (`.xdp_run_config`).
//!
//! Source: `xdp_program__parse_btf` of libxdp's `lib/libxdp/libxdp.c`.

use crate::btf::{Btf, Member, Shape, Type};
use crate::model::dispatch::{Run, XdpAction};
use crate::model::program::ProgramSpec;

/// Where it is said, by variables named as the program with `_` in front.
const SECTION: &str = ".xdp_run_config";

/// Fills in what is said of each program.
pub(super) fn read(btf: &Btf<'_>, programs: &mut [ProgramSpec]) {
    let Some(section) = btf.data_section(SECTION) else { return };
    for (_, variable) in btf.variables(section) {
        let Some(name) = variable.name().strip_prefix('_') else { continue };
        if let Some(program) = programs.iter_mut().find(|program| program.name == name) {
            program.xdp_run = run(btf, variable.shape());
        }
    }
}

fn run(btf: &Btf<'_>, variable: Shape<'_>) -> Option<Run> {
    let Shape::Var { target, .. } = variable else { return None };
    let Ok(Shape::Struct(members)) = btf.resolve(target).map(Type::shape) else {
        return None;
    };
    let mut run = Run::default();
    for member in members {
        let Some(number) = number(btf, &member) else { continue };
        match action(member.name) {
            Some(action) if number == 0 => drop(run.chain_actions.remove(&action)),
            Some(action) => drop(run.chain_actions.insert(action)),
            None if member.name == "priority" => run.priority = number,
            _ => {}
        }
    }
    Some(run)
}

fn action(name: &str) -> Option<XdpAction> {
    Some(match name {
        "XDP_ABORTED" => XdpAction::Aborted,
        "XDP_DROP" => XdpAction::Drop,
        "XDP_PASS" => XdpAction::Pass,
        "XDP_TX" => XdpAction::Tx,
        "XDP_REDIRECT" => XdpAction::Redirect,
        _ => return None,
    })
}

/// `__uint(field, N)`: a pointer to an array of N.
fn number(btf: &Btf<'_>, member: &Member<'_>) -> Option<u32> {
    let Ok(Shape::Ptr(target)) = btf.resolve(member.type_id).map(Type::shape) else {
        return None;
    };
    match btf.resolve(target).map(Type::shape) {
        Ok(Shape::Array(array)) => Some(array.count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_btf::TestBtf;
    use super::*;
    use crate::btf::Kind;
    use crate::model::program::Uses;

    fn program(name: &str) -> ProgramSpec {
        ProgramSpec {
            name: name.to_owned(),
            section: "xdp".to_owned(),
            kind: None,
            autoload: true,
            instructions: 2,
            uses: Uses::default(),
            xdp_run: None,
        }
    }

    #[test]
    fn priority_and_actions_of_each_program_are_read() {
        let mut made = TestBtf::new();
        let int = made.int();
        let mut uint = |count| {
            let array = made.array(int, count);
            made.pointer(array)
        };
        let (seven, one, none) = (uint(7), uint(1), uint(0));
        let config = made.structure(&[("priority", seven), ("XDP_DROP", one), ("XDP_PASS", none)]);
        let variable = made.add("_first", Kind::Var, 0, config, &[1]);
        made.add(SECTION, Kind::Datasec, 1, 24, &[variable, 0, 24]);
        let bytes = made.bytes();
        let btf = Btf::parse(&bytes).expect("BTF");
        let mut programs = [program("first"), program("second")];
        read(&btf, &mut programs);
        let wanted = Run { priority: 7, chain_actions: [XdpAction::Drop].into() };
        assert_eq!(programs[0].xdp_run, Some(wanted));
        assert_eq!(programs[1].xdp_run, None);
    }
}
