//! Maps of the places that a program jumps to, made with it (libbpf `create_jt_map`).

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::maps;
use super::sys::{self, MapAttributes};
use crate::model::kinds::MapType;
use crate::model::map::MapShape;
use crate::relocate::LinkedProgram;

/// As libbpf names them.
const NAME: &str = ".jumptables";

/// Makes the map of each table and puts its descriptor into the program, which must be loaded while they
/// are held.
pub(super) fn create(linked: &mut LinkedProgram, operation: &str) -> Result<Vec<OwnedFd>> {
    let mut maps = Vec::new();
    for table in 0..linked.jump_tables.len() {
        let Some(targets) = linked.jump_tables.get(table).map(|table| &table.targets) else {
            continue;
        };
        let shape = MapShape {
            map_type: MapType::INSN_ARRAY,
            key_size: 4,
            value_size: sys::JUMP_TARGET_SIZE,
            max_entries: u32::try_from(targets.len()).unwrap_or(u32::MAX),
            map_flags: 0,
            map_extra: 0,
        };
        let failed = |errno| match errno {
            Errno::INVAL => KernelError::errno(operation, errno).advice(format!(
                "it jumps by tables, and {}; or compile with `-fno-jump-tables`",
                maps::invalid(&shape)
            )),
            _ => KernelError::errno(operation, errno),
        };
        let map = sys::create_map(&MapAttributes { name: NAME, ..MapAttributes::new(shape) })
            .map_err(failed)?;
        for (index, target) in (0..).zip(targets) {
            sys::set_jump_target(map.as_fd(), index, *target)
                .map_err(|errno| KernelError::errno(operation, errno))?;
        }
        sys::freeze_map(map.as_fd()).map_err(|errno| KernelError::errno(operation, errno))?;
        linked.bind_jump_table(table, map.as_raw_fd());
        maps.push(map);
    }
    Ok(maps)
}
