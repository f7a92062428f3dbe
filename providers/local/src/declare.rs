//! The resources of one runtime, as plain values. Pure: the root folder and the programs of this
//! machine stay out, so the same stack means the same on another machine.

use contracts::ProviderName;
use provider_api::{Declaration, Declared, Expr, Result, RuntimeSpec};
use provider_kit::inputs::DeclarationExt;
use provider_kit::offer;

use crate::SIZE;

pub(crate) const DIRECTORY: &str = "pilot:local:Directory";
pub(crate) const PROCESS: &str = "pilot:local:Process";

pub(crate) const NAME: ProviderName = ProviderName::constant("local");

pub(crate) fn declare(runtime: &RuntimeSpec) -> Result<Declared> {
    offer::size(&NAME, &[SIZE], |size| size, &runtime.size)?;
    let process = Declaration::new("process", PROCESS)
        .owned_by(runtime)
        .input("directory", Expr::output("home", "path"))
        .git_of(runtime)
        .delete_before_replace();
    let home = Declaration::new("home", DIRECTORY).owned_by(runtime).delete_before_replace().protected();
    Ok(Declared {
        resources: vec![home, process],
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
    use contracts::ErrorCode;

    use super::*;

    fn spec() -> RuntimeSpec {
        RuntimeSpec {
            generation: 3,
            ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), SIZE)
        }
    }

    #[test]
    fn the_process_depends_on_its_home_and_a_runtime_without_git_has_no_git_inputs() {
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
