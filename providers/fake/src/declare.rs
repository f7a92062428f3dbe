//! The resources of one runtime, as plain values. Pure: no credential, address or clock is known here, so
//! the same request means the same stack anywhere.

use contracts::workspace::{Region, Size};
use contracts::{ErrorCode, InstallationId, ProviderName};
use provider_api::{Declaration, Declared, Expr, ProviderError, Result, RuntimeSpec, Source};

use crate::owner::network_name;

pub(crate) const NETWORK: &str = "pilot:fake:Network";
pub(crate) const VOLUME: &str = "pilot:fake:Volume";
pub(crate) const MACHINE: &str = "pilot:fake:Machine";

pub(crate) fn name() -> ProviderName {
    // A constant that parses; a test below proves it.
    #[allow(clippy::unwrap_used, reason = "the literal is a valid name")]
    "fake".parse().unwrap()
}

/// The first is the default.
pub(crate) fn regions() -> Vec<Region> {
    let region = |name: &str, title: &str| Region { name: name.to_owned(), title: title.to_owned() };
    vec![region("north", "North"), region("south", "South")]
}

/// The first is the default.
pub(crate) fn sizes() -> Vec<Size> {
    let size = |name: &str, memory, cpu, price| Size {
        name: name.to_owned(),
        memory_mib: Some(memory),
        cpu_millis: Some(cpu),
        hourly_micro_usd: Some(price),
    };
    vec![
        size("small", 2048, 1000, 15_000),
        size("medium", 4096, 2000, 30_000),
        size("large", 8192, 4000, 60_000),
    ]
}

/// The network, where the operator wants one.
pub(crate) fn shared(installation: &InstallationId, network: Option<&str>) -> Declared {
    let network = network.map(|network| {
        Declaration::new("network", NETWORK)
            .input("name", network_name(installation, network))
            .input("installation", installation.as_str())
            .delete_before_replace()
    });
    Declared { resources: network.into_iter().collect(), ..Declared::default() }
}

/// `usual` is the image of who has none; `network` is what `shared` has made.
pub(crate) fn declare(runtime: &RuntimeSpec, usual: &str, network: Option<&str>) -> Result<Declared> {
    let size =
        known("size", &runtime.size, sizes().into_iter().map(|size| size.name), ErrorCode::UnknownSize)?;
    let default = regions().into_iter().next().map(|region| region.name).unwrap_or_default();
    let wanted = runtime.region.as_ref().unwrap_or(&default);
    let names = regions().into_iter().map(|region| region.name);
    let region = known("region", wanted, names, ErrorCode::UnknownRegion)?;
    let labelled = |name: &str, token: &str| {
        Declaration::new(name, token)
            .input("runtimeId", runtime.runtime_id.as_str())
            .input("installation", runtime.installation.as_str())
            .input("generation", runtime.generation)
            .input("region", region)
            // Names are made from the runtime id, so old and new cannot exist side by side.
            .delete_before_replace()
    };
    let home = Source::declare(runtime.source.as_ref(), labelled("home", VOLUME));
    let git = runtime.git.as_ref();
    let machine = labelled("machine", MACHINE)
        .input("image", runtime.image.as_deref().unwrap_or(usual))
        .input("volume", Expr::output("home", "name"))
        .input("size", size)
        .optional_input("gitUrl", git.map(|git| git.url.as_str()))
        .optional_input("gitRef", git.and_then(|git| git.reference.as_deref()))
        .optional_input("network", network.map(|network| network_name(&runtime.installation, network)));
    Ok(Declared {
        resources: vec![home.protected(), machine],
        outputs: [
            ("machine".to_owned(), Expr::output("machine", "name")),
            ("runtimeId".to_owned(), runtime.runtime_id.as_str().into()),
        ]
        .into(),
    })
}

/// The wanted name when the provider offers it.
fn known<'a>(
    what: &str,
    wanted: &'a str,
    offered: impl Iterator<Item = String>,
    code: ErrorCode,
) -> Result<&'a str> {
    let offered: Vec<String> = offered.collect();
    if offered.iter().any(|offered| offered == wanted) {
        return Ok(wanted);
    }
    let message = format!("the provider {} has no {what} {wanted:?}", name());
    Err(ProviderError::new(code, message).with_action(format!("Use one of: {}.", offered.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RuntimeSpec {
        RuntimeSpec {
            runtime_id: "rt-1".parse().unwrap(),
            installation: "in-1".parse().unwrap(),
            generation: 3,
            size: "small".to_owned(),
            region: None,
            image: None,
            git: None,
            source: None,
        }
    }

    #[test]
    fn the_machine_gets_its_home_and_the_first_region() {
        assert_eq!(name().as_str(), "fake");
        let declared = declare(&spec(), "fake:1", None).unwrap();
        let machine = &declared.resources[1];
        assert_eq!(machine.inputs["volume"], Expr::output("home", "name"));
        assert_eq!(machine.inputs["region"], Expr::from("north"));
        assert!(!machine.inputs.contains_key("gitUrl"));
    }

    #[test]
    fn a_machine_is_in_the_network_that_is_declared_for_all() {
        let (installation, network) = (spec().installation, Some("team"));
        let shared = shared(&installation, network);
        let machine = &declare(&spec(), "fake:1", network).unwrap().resources[1];
        assert_eq!(machine.inputs["network"], shared.resources[0].inputs["name"]);
        assert_eq!(super::shared(&installation, None), Declared::default());
    }

    #[test]
    fn a_machine_keeps_its_image_when_others_are_made_from_another() {
        let of = |runtime: &RuntimeSpec| {
            declare(runtime, "fake:2", None).unwrap().resources[1].inputs["image"].clone()
        };
        assert_eq!(of(&spec()), Expr::from("fake:2"));
        assert_eq!(of(&RuntimeSpec { image: Some("fake:1".to_owned()), ..spec() }), Expr::from("fake:1"));
    }

    #[test]
    fn a_size_that_is_not_offered_is_refused_with_those_that_are() {
        let error = declare(&RuntimeSpec { size: "huge".to_owned(), ..spec() }, "fake:1", None).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownSize);
        assert!(error.action.unwrap().contains("small, medium, large"));
    }
}
