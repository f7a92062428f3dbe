//! The resources of one runtime, as plain values. Pure: no credential, address or clock is known here, so
//! the same request means the same stack anywhere.

use contracts::workspace::{Image, Region, Size};
use contracts::{InstallationId, ProviderName};
use provider_api::{Declaration, Declared, Expr, Result, RuntimeSpec, Source};
use provider_kit::inputs::DeclarationExt;
use provider_kit::offer;

use crate::owner::network_name;

pub(crate) const NETWORK: &str = "pilot:fake:Network";
pub(crate) const VOLUME: &str = "pilot:fake:Volume";
pub(crate) const MACHINE: &str = "pilot:fake:Machine";

pub(crate) const NAME: ProviderName = ProviderName::constant("fake");

/// The first is the default.
pub(crate) fn regions() -> Vec<Region> {
    let region = |name: &str, title: &str| Region { name: name.to_owned(), title: title.to_owned() };
    vec![region("north", "North"), region("south", "South")]
}

/// The first is the default.
pub(crate) fn sizes() -> Vec<Size> {
    let size = |name: &str, memory, cpu, disk, price| Size {
        name: name.to_owned(),
        memory_mib: Some(memory),
        cpu_millis: Some(cpu),
        disk_mib: Some(disk),
        hourly_micro_usd: Some(price),
    };
    vec![
        size("small", 2048, 1000, 10_240, 15_000),
        size("medium", 4096, 2000, 20_480, 30_000),
        size("large", 8192, 4000, 40_960, 60_000),
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
    let (sizes, regions) = (sizes(), regions());
    let size = offer::size(&NAME, &sizes, |size| &size.name, &runtime.size)?;
    let region = offer::region(&NAME, &regions, runtime.region.as_deref())?;
    let region = region.map(|region| region.name.as_str()).unwrap_or_default();
    let owned = |name: &str, token: &str| {
        Declaration::new(name, token)
            .owned_by(runtime)
            .input("region", region)
            // Names are made from the runtime id, so old and new cannot exist side by side.
            .delete_before_replace()
    };
    let home = Source::declare(runtime.source.as_ref(), owned("home", VOLUME));
    let machine = owned("machine", MACHINE)
        .input("image", runtime.image.as_ref().map_or(usual, Image::exact))
        .input("volume", Expr::output("home", "name"))
        .input("size", size.name.as_str())
        .git_of(runtime)
        .egress_of(runtime)
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

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    fn spec() -> RuntimeSpec {
        RuntimeSpec {
            generation: 3,
            ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), "small")
        }
    }

    #[test]
    fn the_machine_gets_its_home_and_the_first_region() {
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
        let exact = Image { digest: Some("sha256:1".to_owned()), ..Image::named("fake:1") };
        let learned = Image { architecture: Some("amd64".to_owned()), ..exact.clone() };
        for image in [exact, learned] {
            assert_eq!(of(&RuntimeSpec { image: Some(image), ..spec() }), Expr::from("sha256:1"));
        }
    }

    #[test]
    fn a_size_that_is_not_offered_is_refused_with_those_that_are() {
        let error = declare(&RuntimeSpec { size: "huge".to_owned(), ..spec() }, "fake:1", None).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownSize);
        assert!(error.action.unwrap().contains("small, medium, large"));
    }
}
