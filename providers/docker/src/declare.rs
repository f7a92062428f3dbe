//! The resources of one runtime, as plain values, and the sizes. Pure.

use crate::placement::Need;
use contracts::ProviderName;
use contracts::workspace::Size;
use provider_api::{Declaration, Declared, Expr, Result, RuntimeSpec, Source};
use provider_kit::inputs::DeclarationExt;
use provider_kit::offer;

pub(crate) const NETWORK: &str = "pilot:docker:Network";
pub(crate) const VOLUME: &str = "pilot:docker:Volume";
pub(crate) const CONTAINER: &str = "pilot:docker:Container";

/// Name, MiB, thousandths of a core. OpenCode alone takes up to 0.8 GiB, and its tools want room beside
/// it; with one core its start takes twice as long.
const SIZES: [(&str, u32, u32); 3] = [("small", 2048, 2000), ("medium", 4096, 4000), ("large", 8192, 8000)];

pub(crate) const NAME: ProviderName = ProviderName::constant("docker");

/// `home_mib`: what each home may hold, where the operator has limited it.
pub(crate) fn sizes(home_mib: Option<u32>) -> Vec<Size> {
    let size = |(name, memory, cpu): (&str, u32, u32)| Size {
        name: name.to_owned(),
        memory_mib: Some(memory),
        cpu_millis: Some(cpu),
        disk_mib: home_mib,
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
    let (_, memory, cpu) = *offer::size(&NAME, &SIZES, |(name, ..)| name, &runtime.size)?;
    let owned =
        |name: &str, token: &str| Declaration::new(name, token).owned_by(runtime).delete_before_replace();
    let source = runtime.source.as_ref();
    let home = Source::declare(source, owned("home", VOLUME)).protected();
    let network = owned("network", NETWORK);
    let before = match source {
        // The host of the snapshot is that of the home, which says it by being made first.
        Some(_) => [home, network.depends_on("home")],
        None => [network, home],
    };
    let instance = owned("instance", CONTAINER)
        .input("image", image)
        .input("network", Expr::output("network", "name"))
        .input("volume", Expr::output("home", "name"))
        .input("memoryMib", memory)
        .input("cpuMillis", cpu)
        .git_of(runtime)
        .egress_of(runtime);
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
    use contracts::ErrorCode;

    use super::*;

    fn spec(size: &str) -> RuntimeSpec {
        RuntimeSpec {
            generation: 3,
            ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), size)
        }
    }

    #[test]
    fn a_size_changes_the_containers_limits_and_nothing_else() {
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
