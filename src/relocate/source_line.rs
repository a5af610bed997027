//! Which line of C an instruction of a linked program comes from, by the object's `line_info`.

use super::link::LinkedProgram;
use super::linker::Binding;
use crate::btf::LineInfo;

/// A line of the source, as the compiler recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file, as it was named to the compiler.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Its text without the white space around it; empty if it was not recorded.
    pub text: String,
}

impl Binding<'_, '_> {
    /// The line of an instruction, counted from the beginning of the linked program: that of the
    /// last record at or before it which names a line at all.
    #[must_use]
    pub fn source_line(&self, program: &LinkedProgram, instruction: usize) -> Option<SourceLine> {
        let types = &self.linker.btf.as_ref()?.types;
        let size = usize::try_from(program.line_info_record_size).ok().filter(|size| *size > 0)?;
        let record = program
            .line_info
            .chunks_exact(size)
            .map(LineInfo::decode)
            .take_while(|record| record.insn_off as usize <= instruction)
            .filter(|record| record.line() != 0)
            .last()?;
        Some(SourceLine {
            file: types.string(record.file_name_off)?.to_owned(),
            line: record.line(),
            text: types.string(record.line_off).unwrap_or_default().trim().to_owned(),
        })
    }
}
