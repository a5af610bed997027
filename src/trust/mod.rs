//! Files and directories that are opened together with the question who else could have changed them.
//!
//! A program that acts as root on what a file says must not let anyone else write that file, nor put
//! another in its place. So a path is walked from directory to directory by descriptors, through each
//! symbolic link, and what was *opened* is judged, as sshd (`safe_path` in `misc.c`) and sudo
//! (`sudo_secure_open_file`) do it by name. Whoever asks decides what an [`Exposure`] means.

mod exposure;
mod walk;

pub use exposure::{Exposure, Kind};
pub use walk::{Opened, directory, directory_itself, file, file_below};
