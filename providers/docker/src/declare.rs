//! The resources of one runtime, as plain values, and the sizes. Pure.

use crate::placement::Need;
use contracts::workspace::Size;
use contracts::{ErrorCode, ProviderName};
use provider_api::{Declaration, Declared, Expr, ProviderError, Result, RuntimeSpec, Source};

pub(crate) const NETWORK: &str = "pilot:docker:Network";
pub(crate) const VOLUME: &str = "pilot:docker:Volume";
pub(crate) const CONTAINER: &str = "pilot:docker:Container";

/// Name, MiB, thousandths of a core. OpenCode alone takes up to 0.8 GiB, and its tools want room beside
/// it; with one core its start takes twice as long.
const SIZES: [(&str, u32, u32); 3] = [("small", 2048, 2000), ("medium", 4096, 4000), ("large", 8192, 8000)];

pub(crate) fn name() -> ProviderName {
    #[allow(clippy::unwrap_used, reason = "the literal is a valid name; a test parses it")]
    "docker".parse().unwrap()
}

pub(crate) fn sizes() -> Vec<Size> {
    let size = |(name, memory, cpu): (&str, u32, u32)| Size {
        name: name.to_owned(),
        memory_mib: Some(memory),
        cpu_millis: Some(cpu),
        hourly_micro_usd: None,
    };
    SIZES.into_iter().map(size).collect()
}

/// What the smallest instance takes: a host that has not even that is never chosen.
pub(crate) fn smallest() -> Need {
    let (_, memory, cpu) = SIZES[0];
    Need { memory_mib: memory.into(), cpu_millis: cpu.into() }
}

pub(crate) fn declare(runtime: &RuntimeSpec, image: &str) -> Result<Declared> {
    let Some((_, memory, cpu)) = SIZES.into_iter().find(|(name, ..)| *name == runtime.size) else {
        let known = SIZES.map(|(name, ..)| name).join(", ");
        let message = format!("the provider docker has no size {:?}", runtime.size);
        return Err(
            ProviderError::new(ErrorCode::UnknownSize, message).with_action(format!("Use one of: {known}."))
        );
    };
    let labelled = |name: &str, token: &str| {
        Declaration::new(name, token)
            .input("runtimeId", runtime.runtime_id.as_str())
            .input("installation", runtime.installation.as_str())
            .input("generation", runtime.generation)
            .delete_before_replace()
    };
    let source = runtime.source.as_ref();
    let home = Source::declare(source, labelled("home", VOLUME)).protected();
    let network = labelled("network", NETWORK);
    let before = match source {
        // The host of the snapshot is that of the home, which says it by being made first.
        Some(_) => [home, network.depends_on("home")],
        None => [network, home],
    };
    let git = runtime.git.as_ref();
    let instance = labelled("instance", CONTAINER)
        .input("image", image)
        .input("network", Expr::output("network", "name"))
        .input("volume", Expr::output("home", "name"))
        .input("memoryMib", memory)
        .input("cpuMillis", cpu)
        .optional_input("gitUrl", git.map(|git| git.url.as_str()))
        .optional_input("gitRef", git.and_then(|git| git.reference.as_deref()));
    Ok(Declared {
        resources: before.into_iter().chain([instance]).collect(),
        outputs: [
            ("host".to_owned(), Expr::output("instance", "host")),
            ("port".to_owned(), Expr::output("instance", "port")),
            ("runtimeId".to_owned(), runtime.runtime_id.as_str().into()),
        ]
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(size: &str) -> RuntimeSpec {
        RuntimeSpec {
            runtime_id: "rt-1".parse().unwrap(),
            installation: "in-1".parse().unwrap(),
            generation: 3,
            size: size.to_owned(),
            region: None,
            image: None,
            git: None,
            source: None,
        }
    }

    #[test]
    fn a_size_changes_the_containers_limits_and_nothing_else() {
        assert_eq!(name().as_str(), "docker");
        let (small, large) = (declare(&spec("small"), "i").unwrap(), declare(&spec("large"), "i").unwrap());
        assert_eq!(small.resources[..2], large.resources[..2]);
        assert_eq!(large.resources[2].inputs["memoryMib"], Expr::from(8192));
        assert_eq!(small.outputs, large.outputs);
    }

    #[test]
    fn an_unknown_size_is_refused_with_those_that_exist() {
        let error = declare(&spec("huge"), "i").unwrap_err();
        assert_eq!(
            (error.code, error.action.as_deref()),
            (ErrorCode::UnknownSize, Some("Use one of: small, medium, large."))
        );
    }
}
