//! The steps that prepare: maps and programs that nobody else sees yet.

use std::collections::BTreeMap;

use crate::kernel::{Kernel, KernelError, LoadRequest, Replaced};
use crate::model::address::Address;
use crate::model::name::Name;
use crate::model::program::ProgramSpec;
use crate::plan::{ObjectLoad, Operations, Slot};
use crate::validate::DesiredProgram;

use super::{Executor, Progress, Result};

impl<K: Kernel> Executor<'_, K> {
    pub(super) fn create_map(&mut self, address: &Address, object: &Name, map: &str) -> Result<()> {
        self.load_btf(object)?;
        let btf = self.btf.get(object).and_then(Option::as_ref);
        let image = &self.object(object)?.image;
        let handle = self.kernel.create_map(image, self.map_spec(object, map)?, btf)?;
        self.held.insert(Slot::New(address.clone()), handle);
        Ok(())
    }

    pub(super) fn load_programs(&mut self, loads: &[ObjectLoad]) -> Result<()> {
        for load in loads {
            self.load_btf(&load.object)?;
        }
        let requests = loads.iter().map(|load| {
            let programs = self.object(&load.object)?.programs.iter();
            let ordinary = programs.filter(|program| program.replaces().is_none());
            let programs = ordinary.map(|program| &program.spec).collect();
            self.load_request(&load.object, programs, &load.maps)
        });
        let requests = requests.collect::<Result<Vec<_>>>()?;
        let of = requests.iter().map(|request| request.programs.len()).sum();
        let loaded = self.kernel.load_programs_with(&requests, &mut |loaded| {
            self.observer.tell(Progress::Programs { loaded, of });
        })?;
        for (load, programs) in loads.iter().zip(loaded) {
            for (program, handle) in programs {
                self.held.insert(Slot::New(Address::program(&load.object, &program)), handle);
            }
        }
        Ok(())
    }

    pub(super) fn load_dispatcher(&mut self) -> Result<()> {
        let dispatcher = self.kernel.load_dispatcher()?;
        self.held.insert(Slot::Dispatcher, dispatcher);
        Ok(())
    }

    pub(super) fn load_replacement(
        &mut self,
        name: &Name,
        program: &str,
        maps: &BTreeMap<String, Slot>,
        replaced: &Slot,
    ) -> Result<()> {
        self.load_btf(name)?;
        let object = self.object(name)?;
        let wanted = object.program(program);
        let function = wanted.and_then(DesiredProgram::replaces).map(|replaced| replaced.function);
        let Some((wanted, function)) = wanted.zip(function) else {
            let reason = "the plan does not say what it replaces";
            return Err(KernelError::reason(format!("load program `{program}`"), reason));
        };
        let request = self.load_request(name, vec![&wanted.spec], maps)?;
        let replaced = Replaced { program: self.handle(replaced)?, function };
        let handle = self.kernel.load_replacement(&request, &replaced)?;
        self.held.insert(Slot::New(Address::program(name, program)), handle);
        Ok(())
    }

    /// What the kernel is asked for, of an object whose BTF was loaded.
    fn load_request<'p>(
        &'p self,
        object: &Name,
        programs: Vec<&'p ProgramSpec>,
        maps: &'p BTreeMap<String, Slot>,
    ) -> Result<LoadRequest<'p, K::Handle>> {
        let mut handles = BTreeMap::new();
        for (map, slot) in maps {
            handles.insert(map.as_str(), self.handle(slot)?);
        }
        let btf = self.btf.get(object).and_then(Option::as_ref);
        let image = &self.object(object)?.image;
        Ok(LoadRequest { image, programs, maps: handles, btf })
    }

    /// Needs no inverse: the map goes when this run does.
    pub(super) fn fill_slots(&self, map: &Slot, slots: &BTreeMap<u32, Slot>) -> Result<()> {
        let mut contents = BTreeMap::new();
        for (index, slot) in slots {
            contents.insert(*index, self.handle(slot)?);
        }
        self.kernel.fill_slots(self.handle(map)?, &contents)
    }

    /// Needs no inverse where a link registers what is filled: it goes unseen.
    pub(super) fn fill_operations(&self, ops: &Operations) -> Result<()> {
        let mut programs = BTreeMap::new();
        for (name, slot) in &ops.programs {
            programs.insert(name.as_str(), self.handle(slot)?);
        }
        let image = &self.object(&ops.object)?.image;
        let spec = self.map_spec(&ops.object, &ops.map)?;
        self.kernel.fill_operations(self.handle(&ops.slot)?, image, spec, &programs)
    }

    fn load_btf(&mut self, name: &Name) -> Result<()> {
        if !self.btf.contains_key(name) {
            let btf = self.kernel.load_btf(&self.object(name)?.image)?;
            self.btf.insert(name.clone(), btf);
        }
        Ok(())
    }
}
