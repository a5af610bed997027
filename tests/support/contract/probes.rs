//! Links of programs that watch functions and events.

use std::collections::BTreeMap;

use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::attach::Attachment;
use ebpf_apply::model::kinds::{AttachType, LinkType};
use ebpf_apply::model::live::Descriptor;
use ebpf_apply::model::probe::{Event, Iter, PerfEvent, Sample, UserProbe};
use rustix::io::Errno;

use super::{Host, create_maps, image, load_only};
use crate::support;

pub(crate) fn a_counter_is_on_every_cpu<K: Kernel>(host: &Host<'_, K>) {
    let loaded = host.load("counter");
    let (program, spec) = (loaded.program("on_overflow"), loaded.spec("on_overflow"));
    let event = PerfEvent {
        event: Event::Software("cpu-clock".to_owned()),
        sample: Sample::Frequency(10),
        cpu: None,
        pid: None,
        cookie: None,
    };
    let wanted = [Attachment::PerfEvent(event)];
    let settled = host.kernel.settle(spec, &wanted).expect("settle").expect("it is not settled");
    assert_eq!(settled.attach_type, None);
    let facts = host.kernel.facts().expect("facts");
    let places = settled.attachments;
    assert!(!places.is_empty() && places.len() <= facts.possible_cpus as usize, "{places:?}");
    for (at, place) in places.iter().enumerate() {
        assert!(matches!(place, Attachment::PerfEvent(PerfEvent { cpu: Some(_), .. })), "{place}");
        assert!(!places[..at].contains(place), "{place} twice");
        let link = host.attach(&loaded, "on_overflow", place);
        assert_eq!(host.link(&link).link_type, LinkType::PERF_EVENT);
        let error = host.kernel.update_link(&link, program, None).expect_err("it takes no other");
        assert_eq!(error.raw(), Some(Errno::INVAL));
        let error = host.kernel.detach(&link).expect_err("it ends with its last reference");
        assert_eq!(error.raw(), Some(Errno::OPNOTSUPP));
    }
}

pub(crate) fn an_attachment_by_a_descriptor_ends_with_it<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let (image, target) = (image("user_probes"), support::built("bpf/out/probed"));
    let loaded = load_only(kernel, "user_probes", &["on_return"]);
    let at = Attachment::Uretprobe(UserProbe {
        target: target.display().to_string(),
        symbols: vec!["probed_single".to_owned()],
        offset: 0,
        pid: None,
        cookie: None,
        inode: None,
    });
    let spec = image.spec.program("on_return").expect("a program");
    let (program, one) = (loaded.program("on_return"), kernel.id(loaded.program("on_return")));
    let attach = || kernel.hold(program, spec, &at, &BTreeMap::new()).expect("every kernel can");
    let (first, second) = (attach(), attach());
    let descriptors = [&first, &second].map(|held| kernel.descriptor(held).expect("open"));
    assert_ne!(descriptors[0], descriptors[1]);
    for descriptor in &descriptors {
        let found = kernel.held(descriptor).expect("it can be asked").expect("it is there");
        assert_eq!(found.program_id, Some(one));
    }
    drop(first);
    assert_eq!(kernel.held(&descriptors[0]).expect("it can be asked"), None);
    let other = Descriptor { started: descriptors[1].started + 1, ..descriptors[1] };
    assert_eq!(kernel.held(&other).expect("it can be asked"), None, "another process");
    assert!(kernel.held(&descriptors[1]).expect("it can be asked").is_some());

    // Of a counter, the kernel does not tell which program it runs.
    let loaded = host.load("counter");
    let event = Event::Software("cpu-clock".to_owned());
    let sample = Sample::Frequency(10);
    let at =
        Attachment::PerfEvent(PerfEvent { event, sample, cpu: Some(0), pid: None, cookie: None });
    let spec = loaded.spec("on_overflow");
    let held = kernel.hold(loaded.program("on_overflow"), spec, &at, &BTreeMap::new());
    let held = held.expect("it is attached");
    let descriptor = kernel.descriptor(&held).expect("open");
    let found = kernel.held(&descriptor).expect("it can be asked").expect("it is there");
    assert_eq!(found.program_id, None);
    drop(held);
    assert_eq!(kernel.held(&descriptor).expect("it can be asked"), None);
}

pub(crate) fn an_iterator_takes_another_program<K: Kernel>(host: &Host<'_, K>) {
    let (one, other) = (host.load("iterators"), host.load("iterators"));
    let at = Attachment::Iter(Iter { over: "task".to_owned(), only: None });
    assert_eq!(host.kernel.settle(one.spec("show_task"), std::slice::from_ref(&at)), Ok(None));
    let link = host.attach(&one, "show_task", &at);
    assert_eq!(host.link(&link).link_type, LinkType::ITER);
    let (old, new) = (one.program("show_task"), other.program("show_task"));
    host.kernel.update_link(&link, new, Some(old)).expect("it runs the old one");
    assert_eq!(host.link(&link).program_id, host.kernel.id(new));
    let error = host.kernel.detach(&link).expect_err("it ends with its last reference");
    assert_eq!(error.raw(), Some(Errno::OPNOTSUPP));
}

pub(crate) fn functions_are_probed_alone_or_together<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let image = image("user_probes");
    let target = support::built("bpf/out/probed").display().to_string();
    let probe = |symbols: &[&str]| {
        Attachment::Uprobe(UserProbe {
            target: target.clone(),
            symbols: symbols.iter().map(|symbol| (*symbol).to_owned()).collect(),
            offset: 0,
            pid: None,
            cookie: None,
            inode: None,
        })
    };
    let btf = kernel.load_btf(&image).expect("load BTF");
    let maps = create_maps(kernel, &image, btf.as_ref());
    for (wanted, attach_type, link_type) in [
        (probe(&["probed_single"]), None, LinkType::PERF_EVENT),
        (probe(&["probed_many_*"]), Some(AttachType::TRACE_UPROBE_MULTI), LinkType::UPROBE_MULTI),
    ] {
        let mut spec = image.spec.program("on_entry").expect("a program").clone();
        let settled = kernel.settle(&spec, std::slice::from_ref(&wanted)).expect("settle");
        let kind = spec.kind.as_mut().expect("its section says");
        let place = match settled {
            Some(settled) => {
                kind.attach_type = settled.attach_type;
                let [place] =
                    <[_; 1]>::try_from(settled.attachments).expect("it stays one attachment");
                place
            }
            None => wanted,
        };
        assert_eq!(kind.attach_type, attach_type);
        let request = LoadRequest {
            image: &image,
            programs: vec![&spec],
            maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
            btf: btf.as_ref(),
        };
        let loaded = kernel.load_programs(&[request]).expect("load");
        let programs: &BTreeMap<String, K::Handle> = &loaded[0];
        let link = kernel.attach(&programs["on_entry"], &spec, &place).expect("attach");
        assert_eq!(host.link(&link).link_type, link_type);
        let error = kernel.update_link(&link, &programs["on_entry"], None).expect_err("never");
        assert_eq!(error.raw(), Some(Errno::INVAL));
    }
}
