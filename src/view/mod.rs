//! Values as text: for people and as JSON. Decides nothing, reads nothing, prints nothing.

pub mod drift;
pub mod explain;
pub mod failure;
pub mod metrics;
pub mod object;
pub mod plan;
mod printable;
pub mod problems;
pub mod progress;
pub mod status;
mod style;

pub use printable::{json_line, json_pretty, outlet, printable};
pub use style::Style;
use style::wrap;

/// Version of every JSON document that this program prints.
pub const FORMAT_VERSION: u32 = 1;
