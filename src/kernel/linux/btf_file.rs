//! BTF from a file, for kernels without their own: raw, as `pahole --btf_encode_detached` and
//! `BTFHub` have it, or the section `.BTF` of an ELF file such as an uncompressed `vmlinux`.

use object::{Object as _, ObjectSection as _};

use crate::btf::Btf;

/// The BTF that a file's bytes are or hold; fails with the reason if they are or hold none.
pub(super) fn types(file: Vec<u8>) -> Result<Vec<u8>, String> {
    let bytes = extract(file)?;
    Btf::parse(&bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn extract(file: Vec<u8>) -> Result<Vec<u8>, String> {
    if !file.starts_with(b"\x7fELF") {
        return Ok(file);
    }
    let elf = object::File::parse(&*file).map_err(|error| error.to_string())?;
    let section = elf.section_by_name(".BTF").ok_or("the ELF file has no section `.BTF`")?;
    section.data().map(<[u8]>::to_vec).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_is_taken_as_it_is() {
        assert_eq!(extract(vec![0x9f, 0xeb, 1]), Ok(vec![0x9f, 0xeb, 1]));
        assert!(extract(b"\x7fELF and nothing more".to_vec()).is_err());
    }

    #[test]
    fn a_file_that_is_no_btf_is_refused() {
        let error = types(b"[package]".to_vec()).expect_err("it is TOML");
        assert!(error.contains("BTF"), "{error}");
    }
}
