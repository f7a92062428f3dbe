//! Whose an object is: what its labels say, and what that allows. Labels are a vendor's text to text, whatever it calls them.

use std::fmt::Display;

use contracts::InstallationId;
use provider_api::{ProviderError, Result, RuntimeRef, Stale, fence};

use crate::inputs::Owned;

/// A runtime at one generation of its spec. Of an object, the runtime's fence is the highest that the object has seen.
#[derive(Debug, Clone)]
pub struct Owner {
    /// With a fence, where there is one.
    pub runtime: RuntimeRef,
    /// 0 of an object that says none.
    pub generation: u64,
}

impl Owner {
    /// The same owner, in an operation with this fence.
    pub fn under(self, fence: Option<u64>) -> Self {
        Self { runtime: self.runtime.under(fence), ..self }
    }

    /// The same owner, who writes an object that has seen `found`: of the two fences the higher one stays.
    pub fn over(&self, found: Option<&Owner>) -> Self {
        let seen = found.and_then(|found| found.runtime.fence);
        self.clone().under(self.runtime.fence.max(seen))
    }

    /// Passes when the object is this runtime's, and has seen neither a newer generation nor a higher fence.
    pub fn may_change(&self, object: Object<'_>, found: Option<&Owner>) -> Result<()> {
        object.must_admit(&self.runtime, found)?;
        object.must_be_newest(self.generation, found.map_or(0, |found| found.generation))
    }
}

impl From<Owner> for Owned {
    fn from(owner: Owner) -> Self {
        Self::new(owner.runtime, owner.generation)
    }
}

impl Owned {
    /// The same without a fence, as who writes labels.
    pub fn owner(&self) -> Owner {
        Owner { runtime: self.runtime(), generation: self.generation }
    }
}

/// What a module calls its labels.
#[derive(Debug, Clone, Copy)]
pub struct LabelNames {
    /// Of everything that is Pilot's.
    pub installation: &'static str,
    /// Of everything of a runtime.
    pub runtime: &'static str,
    /// At which it was made, or changed last.
    pub generation: &'static str,
    /// The highest that it has seen; `None` where the module keeps it in another way.
    pub fence: Option<&'static str>,
}

impl LabelNames {
    /// Whose an object with these labels is; `None` when they do not say whole which runtime of which installation.
    pub fn owner<S: AsRef<str>>(&self, label: impl Fn(&str) -> Option<S>) -> Option<Owner> {
        let number = |name: &str| label(name)?.as_ref().parse().ok();
        Some(Owner {
            runtime: RuntimeRef {
                runtime_id: label(self.runtime)?.as_ref().parse().ok()?,
                installation: self.installation(&label)?,
                fence: self.fence.and_then(number),
            },
            generation: number(self.generation).unwrap_or_default(),
        })
    }

    /// In which installation an object with these labels is, also when it is no runtime's.
    pub fn installation<S: AsRef<str>>(&self, label: impl Fn(&str) -> Option<S>) -> Option<InstallationId> {
        label(self.installation)?.as_ref().parse().ok()
    }

    /// What an object of this owner is labelled with.
    pub fn of<L: Extend<(String, String)> + FromIterator<(String, String)>>(&self, owner: &Owner) -> L {
        let mut labels: L = self.of_runtime(&owner.runtime);
        labels.extend([(self.generation.to_owned(), owner.generation.to_string())]);
        let fence = self.fence.zip(owner.runtime.fence);
        labels.extend(fence.map(|(name, fence)| (name.to_owned(), fence.to_string())));
        labels
    }

    /// What everything of the runtime has.
    pub fn of_runtime<L: FromIterator<(String, String)>>(&self, runtime: &RuntimeRef) -> L {
        let installation = (self.installation.to_owned(), runtime.installation.to_string());
        [installation, (self.runtime.to_owned(), runtime.runtime_id.to_string())].into_iter().collect()
    }

    /// What everything of the installation has.
    pub fn of_installation<L: FromIterator<(String, String)>>(&self, installation: &InstallationId) -> L {
        [(self.installation.to_owned(), installation.to_string())].into_iter().collect()
    }
}

/// Something that is outside, in the words of a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// In the vendor's word: a volume, a machine.
    pub kind: &'a str,
    /// By which a person finds it.
    pub name: &'a str,
    /// From kind and name how a person removes it with the vendor's own tools, for [`ProviderError::foreign`].
    pub removal: fn(kind: &str, name: &str) -> String,
}

impl Object<'_> {
    /// Passes when what is found is this runtime's of this installation. Anything else is never touched.
    pub fn must_be_of(self, ours: &RuntimeRef, found: Option<&RuntimeRef>) -> Result<()> {
        match found {
            Some(found) if found.is(ours) => Ok(()),
            Some(RuntimeRef { runtime_id, installation, .. }) => {
                Err(self.foreign(Some(format!("{runtime_id} of the installation {installation}"))))
            }
            None => Err(self.foreign(None::<&str>)),
        }
    }

    /// The same, unless it has seen a higher fence: what a write asks that says no generation, such as a start.
    pub fn must_admit(self, ours: &RuntimeRef, found: Option<&Owner>) -> Result<()> {
        let found = found.map(|found| &found.runtime);
        self.must_be_of(ours, found)?;
        self.must_not_be_late(ours.fence, found.and_then(|found| found.fence))
    }

    /// The same of what all runtimes of an installation share.
    pub fn must_be_in(self, ours: &InstallationId, found: Option<&InstallationId>) -> Result<()> {
        match found {
            Some(found) if found == ours => Ok(()),
            found => Err(self.foreign(found.map(|found| format!("the installation {found}")))),
        }
    }

    /// Passes unless it has seen a newer generation. Equal ones pass: a call that is repeated is no late one.
    pub fn must_be_newest(self, ours: u64, theirs: u64) -> Result<()> {
        match theirs > ours {
            true => Err(ProviderError::fenced(Stale::Generation, (self.kind, self.name), ours, theirs)),
            false => Ok(()),
        }
    }

    /// Passes unless it has seen a higher fence, see [`provider_api::fence`].
    pub fn must_not_be_late(self, ours: Option<u64>, seen: Option<u64>) -> Result<()> {
        fence::pass(ours, seen, (self.kind, self.name))
    }

    /// The refusal to touch it; `owner` is whose it is, where it says so.
    pub fn foreign(self, owner: Option<impl Display>) -> ProviderError {
        let Self { kind, name, removal } = self;
        let whose = match owner {
            Some(owner) => format!("belongs to {owner}"),
            None => "was not made by Pilot".to_owned(),
        };
        let message = format!("the {kind} {name} {whose}, so it is not touched");
        ProviderError::foreign(message, &removal(kind, name))
    }
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
