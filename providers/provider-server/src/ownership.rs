//! The stack of a runtime works on that runtime alone. What a state says can be another's: it is a file that people can move
//! and edit, and a delete goes by what it says.

use std::sync::Arc;

use contracts::{ErrorCode, RuntimeId};
use provider_api::{Properties, ProviderError, Result, RuntimeRef, Site, Sites, site};

use crate::fences::stack_of;

/// The input by which modules find a runtime's objects.
const RUNTIME: &str = "runtimeId";

/// The input that says whose they are.
const INSTALLATION: &str = "installation";

/// An error where the stack is named after a runtime, and these inputs are of another. Stacks of other names are their
/// authors' own.
pub fn must_be_of(urn: &str, inputs: &Properties) -> Result<()> {
    let own = stack_of(urn).filter(|stack| stack.parse::<RuntimeId>().is_ok());
    let theirs = inputs.get(RUNTIME).and_then(|id| id.as_str());
    match (own, theirs) {
        (Some(own), Some(theirs)) if own != theirs => {
            let message = format!("the state of the stack {own} has an object of {theirs}");
            Err(ProviderError::new(ErrorCode::ForeignObject, message).with_action(
                "Nothing was done to it. Put back the state that the stack had before: `pilot stack import NAME --from FILE`.",
            ))
        }
        _ => Ok(()),
    }
}

/// Holds calls back that are about a runtime at another place than what is reached.
pub struct Guard {
    /// The module's; `None` where it has none.
    pub sites: Option<Arc<dyn Sites>>,
    /// Where the runtime is; empty where nobody has said so.
    pub known: Arc<[Site]>,
}

impl Guard {
    /// An error where the runtime of these inputs is elsewhere: then nothing that is not here is gone.
    pub async fn pass(&self, inputs: &Properties) -> Result<()> {
        let text = |name: &str| inputs.get(name).and_then(|value| value.as_str());
        let (Some(sites), Some(runtime), Some(installation)) = (
            self.sites.as_ref().filter(|_| !self.known.is_empty()),
            text(RUNTIME).and_then(|id| id.parse().ok()),
            text(INSTALLATION).and_then(|id| id.parse().ok()),
        ) else {
            return Ok(());
        };
        let runtime = RuntimeRef::new(runtime, installation);
        site::must_be_reached(sites.as_ref(), &runtime, &self.known).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(runtime: &str) -> Properties {
        [(RUNTIME.to_owned(), runtime.into())].into_iter().collect()
    }

    #[test]
    fn the_stack_of_a_runtime_works_on_no_other() {
        let urn = |stack: &str| format!("urn:pulumi:{stack}::pilot::pilot:fake:Volume::home");
        must_be_of(&urn("rt-1"), &inputs("rt-1")).unwrap();
        must_be_of(&urn("rt-1"), &Properties::new()).unwrap();
        must_be_of(&urn("dev"), &inputs("rt-2")).unwrap();
        must_be_of(&urn("shared-cloudflare"), &inputs("rt-2")).unwrap();
        let error = must_be_of(&urn("rt-1"), &inputs("rt-2")).unwrap_err();
        assert_eq!(error.code, ErrorCode::ForeignObject);
        assert!(error.message.contains("rt-1") && error.message.contains("rt-2"), "{error:?}");
    }

    struct At(&'static str);

    #[async_trait::async_trait]
    impl Sites for At {
        fn kind(&self) -> &'static str {
            "the engine"
        }

        fn recovery_hint(&self) -> String {
            "Choose it.".to_owned()
        }

        fn all(&self) -> futures_util::stream::BoxStream<'_, Result<Site>> {
            Box::pin(futures_util::stream::iter([Ok(site(self.0))]))
        }

        async fn locate(&self, _: &RuntimeRef) -> Result<Option<provider_api::Located>> {
            Ok(None)
        }
    }

    fn site(id: &str) -> Site {
        Site { id: id.to_owned(), via: id.to_owned() }
    }

    #[tokio::test]
    async fn what_is_about_a_runtime_elsewhere_is_held_back() {
        let guard = |known: &[&str]| Guard {
            sites: Some(Arc::new(At("b"))),
            known: known.iter().map(|id| site(id)).collect(),
        };
        let owned = [("runtimeId", "rt-1"), ("installation", "in-1")];
        let owned: Properties =
            owned.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        let error = guard(&["a"]).pass(&owned).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::RuntimeElsewhere);
        guard(&["b"]).pass(&owned).await.unwrap();
        guard(&[]).pass(&owned).await.unwrap();
        guard(&["a"]).pass(&Properties::new()).await.unwrap();
        Guard { sites: None, ..guard(&["a"]) }.pass(&owned).await.unwrap();
    }
}
