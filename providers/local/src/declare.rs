//! The resources of one runtime, as plain values. Pure: the root folder and the programs of this
//! machine stay out, so the same stack means the same on another machine.

use contracts::{ErrorCode, ProviderName};
use provider_api::{Declaration, Declared, Expr, ProviderError, Result, RuntimeSpec};

use crate::SIZE;

pub(crate) const DIRECTORY: &str = "pilot:local:Directory";
pub(crate) const PROCESS: &str = "pilot:local:Process";

pub(crate) fn name() -> ProviderName {
    // A constant that parses; a test below proves it.
    #[allow(clippy::unwrap_used, reason = "the literal is a valid name")]
    "local".parse().unwrap()
}

pub(crate) fn declare(runtime: &RuntimeSpec) -> Result<Declared> {
    if runtime.size != SIZE {
        let message = format!("the provider local has no size {:?}", runtime.size);
        return Err(
            ProviderError::new(ErrorCode::UnknownSize, message).with_action(format!("Use the size {SIZE}."))
        );
    }
    let labelled = |name: &str, token: &str| {
        Declaration::new(name, token)
            .input("runtimeId", runtime.runtime_id.as_str())
            .input("installation", runtime.installation.as_str())
            .input("generation", runtime.generation)
    };
    let git = runtime.git.as_ref();
    let process = labelled("process", PROCESS)
        .input("directory", Expr::output("home", "path"))
        .optional_input("gitUrl", git.map(|git| git.url.as_str()))
        .optional_input("gitRef", git.and_then(|git| git.reference.as_deref()))
        .delete_before_replace();
    Ok(Declared {
        resources: vec![labelled("home", DIRECTORY).delete_before_replace().protected(), process],
        outputs: [
            ("host".to_owned(), Expr::output("process", "host")),
            ("port".to_owned(), Expr::output("process", "port")),
            ("runtimeId".to_owned(), runtime.runtime_id.as_str().into()),
        ]
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RuntimeSpec {
        RuntimeSpec {
            runtime_id: "rt-1".parse().unwrap(),
            installation: "in-1".parse().unwrap(),
            generation: 3,
            size: SIZE.to_owned(),
            region: None,
            image: None,
            git: None,
            source: None,
        }
    }

    #[test]
    fn the_process_depends_on_its_home_and_a_runtime_without_git_has_no_git_inputs() {
        assert_eq!(name().as_str(), "local");
        let declared = declare(&spec()).unwrap();
        let process = &declared.resources[1];
        assert_eq!(process.inputs["directory"], Expr::output("home", "path"));
        assert!(!process.inputs.contains_key("gitUrl"));
        assert_eq!(declared, declare(&spec()).unwrap());
    }

    #[test]
    fn another_size_is_refused_with_the_one_that_exists() {
        let error = declare(&RuntimeSpec { size: "huge".to_owned(), ..spec() }).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownSize);
        assert!(error.action.unwrap().contains("host"));
    }
}
