//! Loading programs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Kernel as _, KernelError, LoadRequest, Result};
use super::fault::CallKind;
use super::{Fake, Handle};
use crate::model::identity::{Identity, ObjectKind};
use crate::model::program::ProgramSpec;

impl Fake {
    /// All programs of all requests, or none.
    pub(super) fn load(
        &self,
        requests: &[LoadRequest<'_, Handle>],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<BTreeMap<String, Handle>>> {
        progress(0);
        let names: Vec<&str> = requests
            .iter()
            .flat_map(|request| request.programs.iter().map(|spec| spec.name.as_str()))
            .collect();
        let mut state = self.act(CallKind::LoadPrograms, names.join(" "))?;
        // Refused before anything is made, so that none is left over.
        for request in requests {
            for map in request.maps.values() {
                state.expect(map.object, ObjectKind::Map, "load programs")?;
            }
        }
        for request in requests {
            request.programs.iter().try_for_each(|spec| state.verify(request.image, spec))?;
        }
        let mut loaded: Vec<Vec<(String, Identity)>> = Vec::new();
        for LoadRequest { image, programs, maps, .. } in requests {
            let maps: BTreeSet<Identity> = maps.values().map(|map| map.object).collect();
            let add =
                |spec: &&ProgramSpec| (spec.name.clone(), state.add_program(image, spec, &maps));
            loaded.push(programs.iter().map(add).collect());
        }
        drop(state);
        progress(loaded.iter().map(Vec::len).sum());
        let handles = |programs: Vec<(String, Identity)>| {
            programs.into_iter().map(|(name, program)| (name, self.handle(program))).collect()
        };
        Ok(loaded.into_iter().map(handles).collect())
    }

    /// The one program of a request, for a function of the program `replaced`.
    pub(super) fn load_for(
        &self,
        request: &LoadRequest<'_, Handle>,
        replaced: Identity,
    ) -> Result<Handle> {
        const OPERATION: &str = "load a replacement";
        self.lock().expect(replaced, ObjectKind::Program, OPERATION)?;
        let loaded = self.load_programs(std::slice::from_ref(request))?;
        let program = loaded.into_iter().flatten().next();
        let (_, program) =
            program.ok_or_else(|| KernelError::reason(OPERATION, "none was named"))?;
        self.lock().load_as_replacement(program.object);
        Ok(program)
    }
}
