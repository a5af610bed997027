//! Faults and interludes on demand, and the log of changing calls.

use std::collections::BTreeMap;
use std::fmt;

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::Fake;

/// A call that changes the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which method of [`Kernel`](super::super::Kernel).
    pub kind: CallKind,
    /// What it was about.
    pub detail: String,
}

/// The methods of [`Kernel`](super::super::Kernel) that change the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is named after its method")]
pub enum CallKind {
    MakeRoot,
    RemoveRootDirectory,
    MakeDirectory,
    RemoveDirectory,
    LoadBtf,
    CreateMap,
    FillSlots,
    FillOperations,
    UnregisterOperations,
    CopyEntries,
    CarryEntries,
    LoadPrograms,
    Attach,
    Hold,
    Keep,
    LetGo,
    UpdateLink,
    Detach,
    LoadDispatcher,
    Dispatch,
    ReleaseLink,
    AttachFilter,
    ReplaceFilter,
    RemoveFilter,
    Pin,
    Unpin,
    Rename,
    Exchange,
}

/// What others do on the host meanwhile.
pub(super) struct Interlude(pub(super) Box<dyn FnOnce(&Fake) + Send>);

impl fmt::Debug for Interlude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interlude")
    }
}

/// What unwinds a process that is killed (see [`Fake::kill_at`](super::Fake::kill_at)).
#[derive(Clone, Copy, Debug)]
pub struct Killed;

/// The faults that are due, and what was called.
#[derive(Debug, Default)]
pub(super) struct Faults {
    calls: Vec<Call>,
    /// By the number of the call.
    at: BTreeMap<usize, Errno>,
    from: Option<(usize, Errno)>,
    kill_at: Option<usize>,
    of_kind: BTreeMap<CallKind, Errno>,
    /// What happens before the next call of a kind.
    pub(super) interludes: BTreeMap<CallKind, Interlude>,
    /// Programs the verifier refuses, with its words.
    pub(super) rejected: BTreeMap<String, String>,
}

impl Faults {
    pub(super) fn at(&mut self, n: usize, errno: Errno) {
        self.at.insert(self.calls.len() + n, errno);
    }

    pub(super) fn from(&mut self, n: usize, errno: Errno) {
        self.from = Some((self.calls.len() + n, errno));
    }

    pub(super) fn kill_at(&mut self, n: usize) {
        self.kill_at = Some(self.calls.len() + n);
    }

    pub(super) fn of_kind(&mut self, kind: CallKind, errno: Errno) {
        self.of_kind.insert(kind, errno);
    }

    pub(super) fn heal(&mut self) {
        *self = Self { calls: std::mem::take(&mut self.calls), ..Self::default() };
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Notes a call; fails if a fault is due.
    pub(super) fn call(&mut self, call: Call) -> Result<()> {
        let number = self.calls.len();
        if self.kill_at == Some(number) {
            // Unlike `panic!`, this tells nobody: a killed process says nothing.
            std::panic::resume_unwind(Box::new(Killed));
        }
        let from = self.from.filter(|(first, _)| *first <= number).map(|(_, errno)| errno);
        let due = self
            .at
            .get(&number)
            .copied()
            .or(from)
            .or_else(|| self.of_kind.get(&call.kind).copied());
        let operation = format!("{:?} ({})", call.kind, call.detail);
        self.calls.push(call);
        match due {
            Some(errno) => Err(KernelError::errno(operation, errno)),
            None => Ok(()),
        }
    }
}

impl Fake {
    /// Makes the `n`-th changing call from now fail (0 is the next) and have no effect.
    pub fn fail_call(&self, n: usize, errno: Errno) {
        self.lock().faults.at(n, errno);
    }

    /// Makes every changing call from the `n`-th on fail.
    pub fn fail_from(&self, n: usize, errno: Errno) {
        self.lock().faults.from(n, errno);
    }

    /// Kills the process at the `n`-th changing call from now (0 is the next), before it has an effect:
    /// the call unwinds with [`Killed`], and no handle outlives that.
    pub fn kill_at(&self, n: usize) {
        self.lock().faults.kill_at(n);
    }

    /// Makes every call of that kind fail.
    pub fn fail_kind(&self, kind: CallKind, errno: Errno) {
        self.lock().faults.of_kind(kind, errno);
    }

    /// Lets something happen on the host just before the next call of that kind.
    pub fn before(&self, kind: CallKind, act: impl FnOnce(&Self) + Send + 'static) {
        self.lock().faults.interludes.insert(kind, Interlude(Box::new(act)));
    }

    /// Makes the verifier refuse a program, with these words.
    pub fn reject_program(&self, program: &str, log: &str) {
        self.lock().faults.rejected.insert(program.to_owned(), log.to_owned());
    }

    /// Takes all faults back.
    pub fn heal(&self) {
        self.lock().faults.heal();
    }

    /// The changing calls so far, failed ones included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().faults.calls().to_vec()
    }
}
