//! Plain data that every other room shares: names, pins, maps, programs, attachments, live state.
//!
//! Nothing here reads a file, asks the kernel or decides anything. Each type can be built by hand in
//! a test, compared, and printed.

pub mod address;
pub mod attach;
pub mod capability;
pub mod code;
pub mod ctype;
pub mod digest;
pub mod dispatch;
pub mod entries;
pub mod helper;
pub mod host;
pub mod identity;
pub mod inventory;
pub mod kinds;
pub mod layout;
pub mod license;
pub mod live;
pub mod map;
pub mod map_flags;
pub mod moment;
pub mod name;
pub mod net_hook;
pub mod object;
pub mod operations;
pub mod pattern;
pub mod pin;
pub mod position;
pub mod probe;
pub mod problem;
pub mod program;
pub mod release;
pub mod shape;
pub mod since;
pub mod socket_hook;
pub mod unprintable;
pub mod usage;
