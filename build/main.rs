//! What is made when the program is built: the tree of the manifest's schema, and how the program
//! is linked.

mod link;
mod schema;

use std::io::Write as _;
use std::path::PathBuf;
use std::{env, io};

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=build")?;
    schema::write(&mut cargo, &out)?;
    link::choose(&mut cargo, &out)
}
