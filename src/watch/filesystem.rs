//! File systems on which inotify(7) does not tell everything.

use std::path::Path;

use rustix::fs::statfs;

/// File systems that others change behind this kernel's back, by the magic number of statfs(2)
/// (`linux/magic.h`, `fs/smb/client/cifsfs.h`), and overlayfs, whose lower and upper directories may
/// be changed directly.
const SILENT: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x794c_7630, "overlayfs"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
];

/// The name of the file system that `path` is on, if changes there may go unnoticed.
pub(super) fn silent(path: &Path) -> Option<&'static str> {
    let kind = statfs(path).ok()?.f_type;
    let (_, name) = SILENT.iter().find(|(magic, _)| i128::from(kind) == i128::from(*magic))?;
    Some(name)
}
