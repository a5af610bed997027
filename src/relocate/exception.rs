//! The function a program names to be called when it throws (libbpf `bpf_prog_assign_exc_cb`).

use crate::btf::{Linkage, Shape};

use super::error::RelocateError;
use super::linker::Linker;

/// Begins a declaration tag that names the callback.
const TAG: &str = "exception_callback:";

impl Linker<'_> {
    /// Index of the exception callback of an entry program. Nothing calls it, but it belongs to the
    /// program. `None` also if several are named, which the verifier refuses by itself.
    pub(super) fn exception_callback(&self, program: &str) -> Result<Option<usize>, RelocateError> {
        let Some(types) = self.btf.as_ref().map(|btf| &btf.types) else { return Ok(None) };
        let mut callbacks = types.types().filter_map(|tag| {
            let Shape::DeclTag { target, component: None } = tag.shape() else { return None };
            let callback = tag.name().strip_prefix(TAG)?;
            let function = types.get(target)?;
            let global = matches!(
                function.shape(),
                Shape::Func { linkage: Linkage::Global, .. } if function.is_named(program)
            );
            global.then_some(callback)
        });
        let (Some(name), None) = (callbacks.next(), callbacks.next()) else { return Ok(None) };
        let wrong = |reason| RelocateError::Function {
            section: ".text".to_owned(),
            function: name.to_owned(),
            reason,
        };
        let index = self
            .functions
            .position(|function| Some(function.section) == self.elf.text && function.name == name)
            .ok_or_else(|| wrong("is named as an exception callback and does not exist"))?;
        match self.functions.get(index) {
            Some(callback) if callback.global && !callback.hidden => Ok(Some(index)),
            _ => Err(wrong("is an exception callback, and as such must be global and not hidden")),
        }
    }
}
