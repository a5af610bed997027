//! The configuration the running kernel was built with.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::bufread::GzDecoder;

/// More than any configuration has, in bytes.
const SIZE_MAX: u64 = 16 << 20;

/// Its text, from where libbpf looks: the file that a distribution installs beside the kernel, or
/// what a kernel with `CONFIG_IKCONFIG_PROC` says of itself.
pub(super) fn text() -> Result<String, String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let places =
        [PathBuf::from(format!("/boot/config-{release}")), PathBuf::from("/proc/config.gz")];
    for place in &places {
        if let Ok(file) = File::open(place) {
            return read(BufReader::new(file))
                .map_err(|error| format!("{} cannot be read: {error}", place.display()));
        }
    }
    Err(format!(
        "the kernel's configuration is neither at {} nor at {} (CONFIG_IKCONFIG_PROC)",
        places[0].display(),
        places[1].display()
    ))
}

/// Plain text or gzip, whichever it is.
fn read(mut source: impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if source.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(source).take(SIZE_MAX).read_to_end(&mut bytes)?;
    } else {
        source.take(SIZE_MAX).read_to_end(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn text_is_read_packed_or_plain() {
        let plain = b"CONFIG_BPF=y\n";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("write to memory");
        let packed = encoder.finish().expect("write to memory");
        assert_eq!(read(&plain[..]).expect("plain"), "CONFIG_BPF=y\n");
        assert_eq!(read(&packed[..]).expect("packed"), "CONFIG_BPF=y\n");
        assert!(read(&packed[..packed.len() - 9]).is_err(), "cut short");
    }
}
