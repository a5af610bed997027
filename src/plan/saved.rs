//! A plan kept, so that what was reviewed is what is carried out, or nothing.

use serde::{Deserialize, Serialize};

use super::{Adoption, Plan};

/// Version of the format of saved plans.
const FORMAT_VERSION: u32 = 1;

/// A plan with what it was made by and for. It is not carried out itself: a new plan is made under the
/// lock, and is carried out if it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPlan {
    format_version: u32,
    /// The version of this program: another one may plan another way.
    program_version: String,
    /// Whether it takes over what is someone else's.
    pub adoption: Adoption,
    /// The plan. Its inventories name the deployment, its manifest and the host.
    pub plan: Plan,
}

/// What was found instead of the state that a plan was made for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Another version of this program made it.
    #[error("the plan was made by ebpf-apply {made_by}, and this is {}", env!("CARGO_PKG_VERSION"))]
    Version {
        /// That version.
        made_by: String,
    },
    /// The host was started anew, or its bpffs or network namespace is another one.
    #[error("the plan was made on another host, in another network namespace, or before a reboot")]
    Host,
    /// The deployment was applied since.
    #[error("the plan was made at generation {then} of the deployment, which is at {now}")]
    Generation {
        /// The generation that the plan would have followed.
        then: u64,
        /// The one that is.
        now: u64,
    },
    /// An object has other bytes or settings, or came or went.
    #[error("object `{0}` is not what the plan was made from")]
    Object(String),
    /// Something else would happen.
    #[error("{address}: the plan says `{then}`, now it would be `{now}`")]
    Change {
        /// To which resource.
        address: String,
        /// What the saved plan does.
        then: String,
        /// What a new one does.
        now: String,
    },
    /// The same would happen to each resource, by way of other kernel objects.
    #[error("what lies below the pin root is not what the plan was made for")]
    Live,
}

impl SavedPlan {
    /// Keeps a plan.
    #[must_use]
    pub fn new(plan: Plan, adoption: Adoption) -> Self {
        let program_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format_version: FORMAT_VERSION, program_version, adoption, plan }
    }

    /// Whether the plan made `now` is this one.
    ///
    /// # Errors
    /// What has changed since, of several things the one that explains the others.
    pub fn check(&self, now: &Plan) -> Result<(), Stale> {
        let then = &self.plan;
        if (self.format_version, self.program_version.as_str())
            != (FORMAT_VERSION, env!("CARGO_PKG_VERSION"))
        {
            return Err(Stale::Version { made_by: self.program_version.clone() });
        }
        if then == now {
            return Ok(());
        }
        if then.after.host != now.after.host {
            return Err(Stale::Host);
        }
        if then.after.generation != now.after.generation {
            let (then, now) = (then.after.generation, now.after.generation);
            return Err(Stale::Generation { then, now });
        }
        let objects = then.after.objects.keys().chain(now.after.objects.keys());
        for object in objects {
            if then.after.objects.get(object) != now.after.objects.get(object) {
                return Err(Stale::Object(object.to_string()));
            }
        }
        Err(first_change(then, now).unwrap_or(Stale::Live))
    }
}

/// The first resource to which something else would happen.
fn first_change(then: &Plan, now: &Plan) -> Option<Stale> {
    let of = |plan: &Plan, address: &str| {
        let found = plan.changes.iter().find(|change| change.address.as_str() == address);
        found.map_or_else(|| "nothing".to_owned(), |change| change.action.to_string())
    };
    let mut addresses = then.changes.iter().chain(&now.changes).map(|change| &change.address);
    addresses.find_map(|address| {
        let address = address.as_str();
        let (then, now) = (of(then, address), of(now, address));
        (then != now).then(|| Stale::Change { address: address.to_owned(), then, now })
    })
}
