//! What keeps objects of a fake host alive, as descriptors do on a real one.

use std::sync::{Arc, Mutex};

use super::lock;
use super::state::State;
use crate::model::identity::Identity;

/// Keeps one object of a [`Fake`](super::Fake) host alive.
#[derive(Debug)]
pub struct Handle {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) object: Identity,
}

/// Keeps one attachment of a [`Fake`](super::Fake) host in place.
#[derive(Debug)]
pub struct Held(pub(super) Handle);

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.state).release_by_user(self.object);
    }
}
