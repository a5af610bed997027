//! The links of programs that watch functions and events.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::super::handle::Handle;
use super::super::since;
use super::super::sys::{self, Answer, CounterType, IterLimit, Sampling, Scope, UserPlace};
use super::super::{capability, target};
use super::multi::APART_MAX;
use super::{functions, places, pmu, specs};
use crate::kernel::error::ENOTSUPP;
use crate::kernel::{KernelError, Result};
use crate::model::attach::Attachment;
use crate::model::identity::ObjectKind;
use crate::model::kinds::AttachType;
use crate::model::probe::{
    Event, HARDWARE, Iter, KernelProbe, Only, PerfEvent, SOFTWARE, Sample, USDT_ADDRESSES,
    USDT_SPECS, Usdt, UserProbe,
};
use crate::model::release::Release;

/// One attachment under way.
pub(in crate::kernel::linux) struct Call<'a> {
    /// Fit to follow "cannot".
    pub(in crate::kernel::linux) operation: &'a str,
    pub(in crate::kernel::linux) program: BorrowedFd<'a>,
    /// What the program is loaded for.
    pub(in crate::kernel::linux) attach_type: Option<AttachType>,
    pub(in crate::kernel::linux) maps: &'a BTreeMap<&'a str, &'a Handle>,
    /// What a program at an event is kept by.
    pub(in crate::kernel::linux) by: By,
}

/// What keeps a program at an event, and is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel::linux) enum By {
    /// A link.
    Link,
    /// The event's own descriptor.
    Event,
}

/// Attaches a program to a hook of this module.
pub(in crate::kernel::linux) fn attach(
    call: &Call<'_>,
    attachment: &Attachment,
) -> Result<OwnedFd> {
    match attachment {
        Attachment::Uprobe(probe) => call.uprobe(probe, false),
        Attachment::Uretprobe(probe) => call.uprobe(probe, true),
        Attachment::Usdt(probe) => call.usdt(probe),
        Attachment::Kprobe(probe) => call.kprobe(probe, false),
        Attachment::Kretprobe(probe) => call.kprobe(probe, true),
        Attachment::PerfEvent(event) => call.counter(event),
        Attachment::Iter(iter) => call.iterator(iter),
        Attachment::Fentry(at)
        | Attachment::Fexit(at)
        | Attachment::Fsession(at)
        | Attachment::FmodRet(at)
        | Attachment::Lsm(at) => call.function(at.cookie),
        Attachment::LsmCgroup { path, .. } => call.lsm_cgroup(path),
        _ => Err(call.reason("it is no hook of functions or events")),
    }
}

impl Call<'_> {
    fn uprobe(&self, probe: &UserProbe, returns: bool) -> Result<OwnedFd> {
        let (path, offsets) = places::offsets(probe).map_err(|reason| self.reason(reason))?;
        let cookie = probe.cookie.unwrap_or(0);
        let place = |offset| UserPlace { offset, counter: 0, cookie };
        let places: Vec<UserPlace> = offsets.into_iter().map(place).collect();
        self.user_places(&path, &places, probe.pid, returns)
    }

    fn usdt(&self, probe: &Usdt) -> Result<OwnedFd> {
        let (path, sites) = places::sites(probe).map_err(|reason| self.reason(reason))?;
        let meant: Vec<_> = match probe.site {
            Some(at) => sites.get(at).into_iter().collect(),
            None => sites.iter().collect(),
        };
        let cookie = probe.cookie.unwrap_or(0);
        let specs = self.map_of_probes(USDT_SPECS)?;
        let entries = specs::enter(specs, &meant, cookie).map_err(|reason| self.reason(reason))?;
        if self.by == By::Event
            && let [entry] = entries.as_slice()
        {
            if probe.addresses.is_empty() {
                return Err(self.reason("it is not known where its instruction is in memory"));
            }
            let map = self.map_of_probes(USDT_ADDRESSES)?;
            specs::enter_addresses(map, &probe.addresses, *entry)
                .map_err(|reason| self.reason(reason))?;
        }
        let place = |(site, cookie): (&&super::usdt::Site, u64)| UserPlace {
            offset: site.offset,
            counter: site.counter,
            cookie,
        };
        let places: Vec<UserPlace> = meant.iter().zip(entries).map(place).collect();
        self.user_places(&path, &places, probe.pid, false)
    }

    fn map_of_probes(&self, name: &str) -> Result<&Handle> {
        let missing = || self.reason(format!("its object's map `{name}` is not at hand"));
        self.maps.get(name).copied().ok_or_else(missing)
    }

    fn user_places(
        &self,
        path: &std::path::Path,
        places: &[UserPlace],
        pid: Option<u32>,
        returns: bool,
    ) -> Result<OwnedFd> {
        let text = places::text(path).map_err(|reason| self.reason(reason))?;
        let failed = |errno| match errno {
            Errno::SRCH => self.refused(errno).advice("the process has gone meanwhile"),
            _ => self.refused(errno).at(path),
        };
        match (self.attach_type, places) {
            (Some(attach_type), _) => {
                sys::link_user_places(self.program, attach_type, &text, places, pid, returns)
                    .map_err(|errno| {
                        too_old(failed(errno), sessions_or(attach_type, Release::new(6, 6)))
                    })
            }
            (None, [place]) => {
                let probe = pmu::probe_type("uprobe").map_err(|reason| self.reason(reason))?;
                let at = (place.offset, place.counter);
                let event = sys::open_uprobe(probe, &text, at, returns, pid);
                let event = event.map_err(|errno| match errno {
                    // Some releases want more of who changes the code of others.
                    Errno::ACCESS | Errno::PERM => self.denied(errno, CapabilitySet::SYS_ADMIN),
                    _ => failed(errno),
                })?;
                self.put(event, place.cookie)
            }
            (None, places) => Err(self.several(places.len())),
        }
    }

    fn kprobe(&self, probe: &KernelProbe, returns: bool) -> Result<OwnedFd> {
        let cookie = probe.cookie.unwrap_or(0);
        if let Some(attach_type) = self.attach_type {
            let found =
                functions::look_up(&probe.functions).map_err(|reason| self.reason(reason))?;
            let addresses: Vec<u64> = found.into_iter().map(|(_, address)| address).collect();
            let cookies = vec![cookie; if cookie == 0 { 0 } else { addresses.len() }];
            let link = sys::link_kernel_functions(
                self.program,
                attach_type,
                &addresses,
                &cookies,
                returns,
            );
            let since = sessions_or(attach_type, Release::new(5, 18));
            return link.map_err(|errno| too_old(self.refused(errno), since));
        }
        let function = match probe.functions.as_slice() {
            [function] if !probe.is_several() => function,
            functions => {
                let found = functions::look_up(functions).map_err(|reason| self.reason(reason))?;
                return Err(self.several(found.len()));
            }
        };
        let source = pmu::probe_type("kprobe").map_err(|reason| self.reason(reason))?;
        // `module:function` is how the kernel takes one of a module.
        let name = CString::new(function.as_str()).map_err(|_nul| self.reason("it has a NUL"))?;
        let event = sys::open_kprobe(source, &name, probe.offset, returns);
        let event = event.map_err(|errno| match errno {
            Errno::NOENT => {
                self.refused(errno).advice(format!("the kernel has no function `{function}`"))
            }
            Errno::ADDRNOTAVAIL => self.refused(errno).advice(format!(
                "the kernel has several functions `{function}`: probe them together by a pattern"
            )),
            Errno::INVAL | Errno::ILSEQ => self.refused(errno).advice(
                "the kernel does not let this place be probed: a function that probes themselves use \
                 (`/sys/kernel/debug/kprobes/blacklist`), or an offset inside of an instruction",
            ),
            Errno::ACCESS | Errno::PERM => self.denied(errno, CapabilitySet::PERFMON),
            _ => self.refused(errno),
        })?;
        self.put(event, cookie)
    }

    fn counter(&self, event: &PerfEvent) -> Result<OwnedFd> {
        let number = |known: &[(&str, u64)], name: &str| {
            let found = known.iter().find(|(known, _)| *known == name);
            found.map(|(_, number)| *number).ok_or_else(|| self.reason("there is no such event"))
        };
        let (event_type, config) = match &event.event {
            Event::Hardware(name) => (CounterType::Hardware, number(HARDWARE, name)?),
            Event::Software(name) => (CounterType::Software, number(SOFTWARE, name)?),
            Event::Raw(number) => (CounterType::Raw, *number),
        };
        let sampling = match event.sample {
            Sample::Period(value) => Sampling { value, is_frequency: false },
            Sample::Frequency(value) => Sampling { value, is_frequency: true },
        };
        let scope = match (event.pid, event.cpu) {
            (Some(thread), cpu) => Scope::Thread(thread, cpu),
            (None, Some(cpu)) => Scope::Cpu(cpu),
            (None, None) => return Err(self.reason("it is not said on which CPU")),
        };
        let opened = sys::open_counter(event_type, config, sampling, scope);
        let opened = opened.map_err(|errno| match errno {
            Errno::NOENT | Errno::OPNOTSUPP if event_type != CounterType::Software => {
                self.refused(errno).advice(
                    "this machine does not have the counter; virtual machines often have none \
                     (`perf list` shows what there is)",
                )
            }
            Errno::INVAL => self.refused(errno).advice(
                "the counter does not take that: a frequency has a limit \
                 (`/proc/sys/kernel/perf_event_max_sample_rate`), and not every event has samples",
            ),
            Errno::SRCH => self.refused(errno).advice("the process has gone meanwhile"),
            Errno::NODEV => self.refused(errno).advice("the CPU is not online"),
            Errno::ACCESS | Errno::PERM => self.denied(errno, CapabilitySet::PERFMON),
            _ => self.refused(errno),
        })?;
        self.put(opened, event.cookie.unwrap_or(0))
    }

    /// Puts the program at an event.
    fn put(&self, event: OwnedFd, cookie: u64) -> Result<OwnedFd> {
        if self.by == By::Event {
            let put = sys::set_event_program(event.as_fd(), self.program);
            return put.map(|()| event).map_err(|errno| self.refused(errno));
        }
        sys::link_event(self.program, event.as_fd(), cookie).map_err(|errno| match errno {
            Errno::INVAL => too_old(self.refused(errno), Release::new(5, 15)),
            _ => self.refused(errno),
        })
    }

    fn iterator(&self, iter: &Iter) -> Result<OwnedFd> {
        let refused = |errno, since: Release| match errno {
            Errno::INVAL => too_old(self.refused(errno), since),
            _ => self.refused(errno),
        };
        match &iter.only {
            Some(Only::Map { map, .. }) => {
                let Some(handle) = self.maps.get(map.as_str()) else {
                    return Err(self.reason(format!("map `{map}` is not at hand")));
                };
                let map = handle.expect(ObjectKind::Map).map_err(|errno| self.refused(errno))?;
                sys::link_iterator(self.program, IterLimit::Map(map))
                    .map_err(|errno| refused(errno, Release::new(5, 9)))
            }
            Some(Only::Cgroup(path)) => {
                let cgroup = target::cgroup(path, self.operation)?;
                sys::link_iterator(self.program, IterLimit::Cgroup(Some(cgroup.as_fd())))
                    .map_err(|errno| refused(errno, Release::new(6, 1)))
            }
            Some(Only::Task(thread)) => sys::link_iterator(self.program, IterLimit::Task(*thread))
                .map_err(|errno| refused(errno, Release::new(6, 1))),
            None if iter.over == "cgroup" => {
                sys::link_iterator(self.program, IterLimit::Cgroup(None))
                    .map_err(|errno| refused(errno, Release::new(6, 1)))
            }
            None => sys::link_iterator(self.program, IterLimit::All)
                .map_err(|errno| refused(errno, Release::new(5, 8))),
        }
    }

    /// The program was loaded for its function, so it is not named again.
    fn function(&self, cookie: Option<u64>) -> Result<OwnedFd> {
        let link: Answer<OwnedFd> = match (cookie, self.attach_type) {
            (Some(cookie), Some(attach_type)) if cookie != 0 => {
                sys::link_function(self.program, attach_type, cookie)
            }
            _ => sys::open_raw_tracepoint(self.program, None, 0),
        };
        link.map_err(|errno| match errno {
            errno if errno.raw_os_error() == ENOTSUPP => self.refused(errno).advice(
                "this kernel cannot call programs from its functions: it was built without \
                 CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, or not for this architecture",
            ),
            Errno::BUSY => self.refused(errno).advice(
                "the function is traced in a way that does not go along with it, or the program is \
                 attached to it already",
            ),
            Errno::TOOBIG if cookie.is_none() => {
                self.refused(errno).advice("a function takes 38 programs at most")
            }
            Errno::INVAL | Errno::TOOBIG if cookie.is_some() => {
                too_old(self.refused(errno), Release::new(5, 19))
            }
            _ => self.refused(errno),
        })
    }

    fn lsm_cgroup(&self, path: &std::path::Path) -> Result<OwnedFd> {
        let cgroup = target::cgroup(path, self.operation)?;
        let at = sys::LinkTarget::File(cgroup.as_fd());
        sys::create_link(self.program, at, AttachType::LSM_CGROUP, 0).map_err(|errno| match errno {
            Errno::INVAL => too_old(self.refused(errno), Release::new(6, 0)),
            _ => self.refused(errno),
        })
    }

    /// An event was denied. Some distributions have a setting that wants more than the kernel does.
    fn denied(&self, errno: Errno, needed: CapabilitySet) -> KernelError {
        let error = KernelError::errno(self.operation, errno);
        match pmu::paranoia() {
            Some(level) if level > 2 => {
                let advice = capability::advice(needed | CapabilitySet::SYS_ADMIN);
                error.advice(format!(
                    "{advice} (kernel.perf_event_paranoid is {level}; 2 wants less)"
                ))
            }
            _ => error.advice(capability::advice(needed)),
        }
    }

    fn refused(&self, errno: Errno) -> KernelError {
        let error = KernelError::errno(self.operation, errno);
        match errno {
            Errno::PERM | Errno::ACCESS => error.advice(capability::advice(CapabilitySet::PERFMON)),
            _ => error,
        }
    }

    /// What is left of several places that do not get a link each.
    fn several(&self, count: usize) -> KernelError {
        self.reason(format!(
            "these are {count} places, and where links take one each, as here, an attachment has at most \
             {APART_MAX}"
        ))
    }

    fn reason(&self, reason: impl Into<String>) -> KernelError {
        KernelError::reason(self.operation, reason)
    }
}

/// With advice for a refusal that an older kernel's ignorance explains.
fn too_old(error: KernelError, since: Release) -> KernelError {
    let old = since::running().is_none_or(|running| running < since);
    let ignorant = matches!(error.raw(), Some(Errno::INVAL | Errno::TOOBIG | Errno::OPNOTSUPP));
    if error.advice.is_none() && ignorant && (old || error.raw() == Some(Errno::OPNOTSUPP)) {
        let what = "the running kernel does not know such links or their cookies";
        return error.advice(format!("{what}; {}", since::compare(since, since::running())));
    }
    error
}

/// The release of a kind of link, or of its sessions.
fn sessions_or(attach_type: AttachType, since: Release) -> Release {
    match attach_type {
        AttachType::TRACE_KPROBE_SESSION => Release::new(6, 10),
        AttachType::TRACE_UPROBE_SESSION => Release::new(6, 13),
        _ => since,
    }
}
