//! Filters of `clsact`.

use std::collections::BTreeMap;

use ebpf_apply::kernel::Kernel;
use ebpf_apply::model::attach::Direction;
use ebpf_apply::model::live::LiveFilter;
use rustix::io::Errno;

use super::{Host, tc};

pub(crate) fn filters_are_attached_replaced_and_removed<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = host.load("tc_counter");
    let (one, other) = (loaded.program("tc_count"), loaded.program("classify"));
    let spec = loaded.spec("tc_count");
    let at = tc(Direction::Ingress, Some(10), Some(7));
    let interface = at.interface().expect("it has one").to_owned();
    assert_eq!(kernel.has_clsact(&interface), Ok(false));
    let attached = kernel.attach_filter(one, spec, &at).expect("attach a filter");
    assert!(attached.made_clsact);
    assert_eq!(kernel.has_clsact(&interface), Ok(true));
    assert_eq!(kernel.has_clsact("nonesuch"), Ok(false));
    let key = attached.key;
    assert_eq!((key.priority, key.handle), (10, 7));
    let runs = |program: &K::Handle| Ok(Some(LiveFilter { program_id: kernel.id(program) }));
    assert_eq!(kernel.filter(&key), runs(one));
    let listed = kernel.filters(&key.interface, Direction::Ingress).expect("list the filters");
    let program_id = kernel.id(one);
    assert_eq!(listed, BTreeMap::from([(key.clone(), LiveFilter { program_id })]));
    assert_eq!(kernel.filters(&key.interface, Direction::Egress), Ok(BTreeMap::new()));
    assert_eq!(kernel.filters("nonesuch", Direction::Ingress), Ok(BTreeMap::new()));

    let error = kernel.attach_filter(other, spec, &at).expect_err("the place is taken");
    assert_eq!(error.raw(), Some(Errno::EXIST));
    assert_eq!(kernel.filter(&key), runs(one));

    kernel.replace_filter(other, &key).expect("replace");
    assert_eq!(kernel.filter(&key), runs(other));
    kernel.remove_filter(&key, true).expect("remove");
    assert_eq!(kernel.filter(&key), Ok(None));
    kernel.remove_filter(&key, true).expect("removed already");
    assert_eq!(kernel.has_clsact(&interface), Ok(false));

    // A filter can be put back, qdisc and all.
    kernel.replace_filter(one, &key).expect("put back");
    assert_eq!(kernel.filter(&key), runs(one));
    kernel.remove_filter(&key, true).expect("remove");

    let second = kernel.attach_filter(one, spec, &at).expect("attach a filter");
    (host.renew_interface)();
    assert_eq!(kernel.filter(&second.key), Ok(None));
    kernel.remove_filter(&second.key, true).expect("it went with its interface");
    let error = kernel.replace_filter(one, &second.key).expect_err("the interface has gone");
    assert_eq!(error.raw(), Some(Errno::NODEV));
}

pub(crate) fn the_kernel_chooses_free_places_for_filters<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = host.load("tc_counter");
    let place = |priority, handle| {
        let at = tc(Direction::Egress, priority, handle);
        let program = loaded.program("tc_count");
        let attached =
            kernel.attach_filter(program, loaded.spec("tc_count"), &at).expect("attach a filter");
        (attached.key.priority, attached.key.handle)
    };
    assert_eq!(place(Some(5), None), (5, 1));
    assert_eq!(place(None, None), (0xc000, 1));
    assert_eq!(place(None, None), (0xbfff, 1));
    assert_eq!(place(Some(5), None), (5, 2));
    assert_eq!(place(None, Some(9)), (0xbffe, 9));
}

pub(crate) fn the_qdisc_goes_with_its_last_filter<K: Kernel>(host: &Host<'_, K>) {
    let kernel = host.kernel;
    let loaded = host.load("tc_counter");
    let attach = |direction| {
        let program = loaded.program("tc_count");
        let spec = loaded.spec("tc_count");
        kernel.attach_filter(program, spec, &tc(direction, None, None)).expect("attach a filter")
    };
    let ingress = attach(Direction::Ingress);
    let egress = attach(Direction::Egress);
    assert_eq!((ingress.made_clsact, egress.made_clsact), (true, false));
    kernel.remove_filter(&ingress.key, true).expect("remove");
    let program_id = kernel.id(loaded.program("tc_count"));
    assert_eq!(kernel.filter(&egress.key), Ok(Some(LiveFilter { program_id })));
    kernel.remove_filter(&egress.key, false).expect("remove");
    let again = attach(Direction::Egress);
    assert!(!again.made_clsact, "it was to stay");
    kernel.remove_filter(&again.key, true).expect("remove");
    assert!(attach(Direction::Egress).made_clsact, "it went");
}
