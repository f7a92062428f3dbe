//! The resources of one runtime, as plain values, and the sizes. Pure.

use crate::settings::Reach;
use contracts::workspace::{Region, Size};
use contracts::{ErrorCode, ProviderName};
use provider_api::{Declaration, Declared, Expr, ProviderError, Result, RuntimeSpec, Source};
use provider_kit::inputs::DeclarationExt;
use provider_kit::offer;

pub(crate) const APP: &str = "pilot:fly:App";
pub(crate) const VOLUME: &str = "pilot:fly:Volume";
pub(crate) const MACHINE: &str = "pilot:fly:Machine";

/// A size: shared processors, memory in MiB, and gigabytes of home.
struct Preset {
    name: &'static str,
    cpus: u32,
    memory_mib: u32,
    home_gb: u32,
}

/// The default is one that can be suspended.
const PRESETS: [Preset; 3] = [
    Preset { name: "small", cpus: 2, memory_mib: 2048, home_gb: 10 },
    Preset { name: "medium", cpus: 4, memory_mib: 4096, home_gb: 20 },
    Preset { name: "large", cpus: 8, memory_mib: 8192, home_gb: 40 },
];

/// Fly's published prices for a month in its cheapest regions, in millionths of a dollar: a shared processor
/// with 256 MiB, a GiB of memory beyond these, a GB of volume. The home is paid while the machine is stopped too.
const CPU_MICRO_USD: u64 = 2_020_000;
const MEMORY_MICRO_USD: u64 = 5_000_000;
const HOME_MICRO_USD: u64 = 150_000;
const INCLUDED_MIB: u32 = 256;
const HOURS: u64 = 730;

impl Preset {
    fn hourly_micro_usd(&self) -> u32 {
        let beyond = u64::from(self.memory_mib - self.cpus * INCLUDED_MIB);
        let month = u64::from(self.cpus) * CPU_MICRO_USD
            + beyond * MEMORY_MICRO_USD / 1024
            + u64::from(self.home_gb) * HOME_MICRO_USD;
        u32::try_from(month / HOURS).unwrap_or(u32::MAX)
    }
}

pub(crate) const NAME: ProviderName = ProviderName::constant("fly");

pub(crate) fn sizes() -> Vec<Size> {
    let size = |preset: &Preset| Size {
        name: preset.name.to_owned(),
        memory_mib: Some(preset.memory_mib),
        cpu_millis: Some(preset.cpus * 1000),
        // Fly's GB of a volume are powers of two.
        disk_mib: Some(preset.home_gb * 1024),
        hourly_micro_usd: Some(preset.hourly_micro_usd()),
    };
    PRESETS.iter().map(size).collect()
}

/// Fly suspends no machine with more memory than this.
pub(crate) const MOST_SUSPENDED_MIB: u32 = 2048;

pub(crate) fn suspends(size: &str) -> bool {
    PRESETS.iter().any(|preset| preset.name == size && preset.memory_mib <= MOST_SUSPENDED_MIB)
}

/// The machine for which a home of this size is meant: processors and memory in MiB.
pub(crate) fn guest_for(home_gb: u32) -> (u32, u32) {
    let fits = PRESETS.iter().find(|preset| preset.home_gb >= home_gb);
    let preset = fits.unwrap_or(&PRESETS[PRESETS.len() - 1]);
    (preset.cpus, preset.memory_mib)
}

/// `regions` are those that are offered; the first is that of a runtime that names none.
pub(crate) fn declare(
    runtime: &RuntimeSpec,
    image: &str,
    regions: &[Region],
    reach: Reach,
) -> Result<Declared> {
    let size = offer::size(&NAME, &PRESETS, |preset| preset.name, &runtime.size)?;
    // What is there stays where it is, also when new ones are not offered that region any more.
    let usual = regions.first().map(|region| region.name.as_str());
    let Some(region) = runtime.region.as_deref().or(usual) else {
        return Err(ProviderError::new(ErrorCode::UnknownRegion, "the provider fly offers no region")
            .with_action("Name one in PILOT_FLY_REGIONS."));
    };
    let owned =
        |name: &str, token: &str| Declaration::new(name, token).owned_by(runtime).delete_before_replace();
    let sized = |declaration: Declaration| {
        declaration
            .input("app", Expr::output("app", "name"))
            .input("region", region)
            .input("cpus", size.cpus)
            .input("memoryMib", size.memory_mib)
    };
    let home = sized(owned("home", VOLUME)).input("sizeGb", size.home_gb).protected();
    let home = Source::declare(runtime.source.as_ref(), home);
    let instance = sized(owned("instance", MACHINE))
        .input("image", image)
        .input("reach", reach.word())
        .input("volume", Expr::output("home", "volumeId"))
        .git_of(runtime);
    Ok(Declared {
        resources: vec![owned("app", APP).input("reach", reach.word()), home, instance],
        outputs: [
            ("app".to_owned(), Expr::output("app", "name")),
            ("machine".to_owned(), Expr::output("instance", "machineId")),
            ("runtimeId".to_owned(), runtime.runtime_id.as_str().into()),
        ]
        .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(size: &str, region: Option<&str>) -> RuntimeSpec {
        RuntimeSpec {
            generation: 3,
            region: region.map(str::to_owned),
            ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), size)
        }
    }

    fn regions() -> Vec<Region> {
        ["fra", "nrt"].map(|name| Region { name: name.to_owned(), title: String::new() }).to_vec()
    }

    #[test]
    fn a_size_is_processors_memory_and_room_and_a_region_a_place() {
        let declared = declare(&spec("large", Some("nrt")), "i", &regions(), Reach::Edge).unwrap();
        assert_eq!(declared.resources[2].inputs["memoryMib"], Expr::from(8192));
        assert_eq!(declared.resources[1].inputs["region"], Expr::from("nrt"));
        // 4.04 $ for two processors, 7.50 for 1.5 GiB beyond theirs, 1.50 for the home, in 730 hours.
        assert_eq!(sizes()[0].disk_mib, Some(10_240));
        assert_eq!(sizes()[0].hourly_micro_usd, Some(17_863));
        let declared = declare(&spec("small", None), "i", &regions(), Reach::Edge).unwrap();
        assert_eq!(declared.resources[1].inputs["region"], Expr::from("fra"));
        let before = declare(&spec("small", Some("ams")), "i", &regions(), Reach::Edge).unwrap();
        assert_eq!(
            before.resources[1].inputs["region"],
            Expr::from("ams"),
            "it is offered no more, and stays"
        );
    }

    #[test]
    fn an_unknown_size_is_refused_with_those_that_exist() {
        let error = declare(&spec("huge", None), "i", &regions(), Reach::Edge).unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownSize);
        assert!(error.action.unwrap().contains("small, medium, large"));
        assert_eq!(
            declare(&spec("small", None), "i", &[], Reach::Edge).unwrap_err().code,
            ErrorCode::UnknownRegion
        );
    }
}
