//! What an operator gives this module, and how it is read.

use contracts::workspace::Region;
use provider_api::{Result, Setting, Settings};
use serde::{Deserialize, Serialize};
use url::Url;

/// Every setting; see the description of each.
pub const SETTINGS: [Setting; 12] = [
    Setting::required("apiToken", "an access token for the organisation (`fly tokens create org`)").secret(),
    Setting::required("org", "the organisation's slug; instances are its apps"),
    Setting::required("image", "the instance image, where Fly can pull it"),
    Setting::optional("imageApp", "the app in whose repository pushed images are kept; else that of image"),
    Setting::optional("apiUrl", "where the Machines API is").default("https://api.machines.dev"),
    Setting::optional("regions", "regions to offer, the default first, separated by commas")
        .default("fra,iad,sjc,nrt,syd"),
    Setting::optional(
        "reach",
        "how the gateway reaches instances: `edge` (https, a public address for each app) or `flycast` (a private \
         address for each app, in the network that the gateway is in)",
    )
    .default("edge"),
    Setting::optional("gatewayNetwork", "the organisation's network that the gateway is in, for `flycast`")
        .default("default"),
    Setting::optional("edgeDomain", "the edge serves APP.DOMAIN").default("fly.dev"),
    Setting::optional("edgeAddress", "HOST:PORT of an edge that speaks plain HTTP, for tests"),
    Setting::optional("registry", "the registry of Fly's apps").default("registry.fly.io"),
    Setting::optional("probeCapacity", "`true` asks for room before a machine is made").default("false"),
];

/// Codes and names; the vendor's list, without those that are being closed.
const REGIONS: [(&str, &str); 18] = [
    ("ams", "Amsterdam, Netherlands"),
    ("arn", "Stockholm, Sweden"),
    ("bom", "Mumbai, India"),
    ("cdg", "Paris, France"),
    ("dfw", "Dallas, Texas (US)"),
    ("ewr", "Secaucus, NJ (US)"),
    ("fra", "Frankfurt, Germany"),
    ("gru", "Sao Paulo, Brazil"),
    ("iad", "Ashburn, Virginia (US)"),
    ("jnb", "Johannesburg, South Africa"),
    ("lax", "Los Angeles, California (US)"),
    ("lhr", "London, United Kingdom"),
    ("nrt", "Tokyo, Japan"),
    ("ord", "Chicago, Illinois (US)"),
    ("sin", "Singapore, Singapore"),
    ("sjc", "San Jose, California (US)"),
    ("syd", "Sydney, Australia"),
    ("yyz", "Toronto, Canada"),
];

/// How requests get to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// `https://<app>.fly.dev`; each app needs an address.
    Edge,
    /// A private address of Fly Proxy for each app.
    Flycast,
}

impl Reach {
    /// As it is set, and as it is an input.
    pub fn word(self) -> &'static str {
        match self {
            Reach::Edge => "edge",
            Reach::Flycast => "flycast",
        }
    }
}

/// Regions that the operator offers; unknown codes are offered too, Fly may have opened them since.
pub(crate) fn regions(settings: &Settings) -> Vec<Region> {
    let codes = settings.get("regions").unwrap_or_default().split(',').map(str::trim);
    let title = |code: &str| {
        let known = REGIONS.iter().find(|(known, _)| *known == code);
        known.map_or(code.to_owned(), |(_, title)| (*title).to_owned())
    };
    codes
        .filter(|code| !code.is_empty())
        .map(|code| Region { name: code.to_owned(), title: title(code) })
        .collect()
}

/// The settings that are needed to call Fly.
#[derive(Clone)]
pub(crate) struct Config {
    pub token: String,
    pub org: String,
    pub api: Url,
    pub probe: bool,
}

impl Config {
    pub fn read(settings: &Settings) -> Result<Self> {
        let api = settings.require("apiUrl")?;
        Ok(Self {
            token: settings.require("apiToken")?.to_owned(),
            org: settings.require("org")?.to_owned(),
            api: api
                .parse()
                .map_err(|error| settings.unusable("apiUrl", &format!("{api:?} is no URL: {error}")))?,
            probe: match settings.require("probeCapacity")? {
                "true" => true,
                "false" => false,
                other => {
                    return Err(
                        settings.unusable("probeCapacity", &format!("{other:?} is neither true nor false"))
                    );
                }
            },
        })
    }
}

pub(crate) fn reach(settings: &Settings) -> Result<Reach> {
    match settings.require("reach")? {
        "edge" => Ok(Reach::Edge),
        "flycast" => Ok(Reach::Flycast),
        "internal" => Err(settings.unusable(
            "reach",
            "with internal no gateway reaches an instance, because each app has a network of its own; use flycast for a \
             gateway inside the organisation's network, or edge",
        )),
        other => Err(settings.unusable("reach", &format!("{other:?} is neither edge nor flycast"))),
    }
}

/// What is given and cannot be meant, for the start of a program. What is missing is told when it is needed.
pub fn check(settings: &Settings) -> Result<()> {
    reach(settings).map(drop)
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    fn settings(variables: &'static [(&'static str, &'static str)]) -> Settings {
        let provider = "fly".parse().unwrap();
        let var = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&provider, &SETTINGS, var).unwrap()
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = Config::read(&settings(&[])).err().unwrap();
        assert!(error.action.unwrap().contains("PILOT_FLY_API_TOKEN"));
        let error = reach(&settings(&[("PILOT_FLY_REACH", "pigeon")])).unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
        assert!(error.message.contains("pigeon"));
        let error = check(&settings(&[("PILOT_FLY_REACH", "internal")])).unwrap_err();
        assert!(error.message.contains("network of its own") && error.message.contains("flycast"), "{error}");
    }

    #[test]
    fn regions_are_offered_in_the_operators_order() {
        let offered = regions(&settings(&[("PILOT_FLY_REGIONS", "nrt, fra,zzz")]));
        let names: Vec<_> =
            offered.iter().map(|region| (region.name.as_str(), region.title.as_str())).collect();
        assert_eq!(names, [("nrt", "Tokyo, Japan"), ("fra", "Frankfurt, Germany"), ("zzz", "zzz")]);
    }
}
