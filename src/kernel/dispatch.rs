//! Changes of what a dispatcher of libxdp calls.

use std::collections::BTreeSet;

use crate::model::attach::XdpMode;
use crate::model::dispatch::Run;

/// What shall be called on an interface from now on.
#[derive(Debug)]
pub struct Dispatching<'a, H> {
    /// The interface, for messages.
    pub interface: &'a str,
    /// Its index.
    pub index: u32,
    /// How the dispatcher shall run, if none is there.
    pub mode: XdpMode,
    /// What is called as well, or in another way than until now.
    pub add: Vec<Joining<'a, H>>,
    /// What is not called any more.
    pub remove: Vec<&'a H>,
    /// Dispatchers, by kernel id, that can never run any more: their pins go.
    pub sweep: BTreeSet<u32>,
}

/// A program that a dispatcher shall call.
#[derive(Debug)]
pub struct Joining<'a, H> {
    /// The program, loaded for [`FUNCTION`](crate::model::dispatch::FUNCTION).
    pub program: &'a H,
    /// When and how.
    pub run: &'a Run,
    /// Whether it takes packets in several buffers.
    pub frags: bool,
}
