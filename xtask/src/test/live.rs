//! Tests at real vendors: each runs where PILOT_LIVE=1 and its credentials are given, and is counted as skipped elsewhere.

use anyhow::{Result, bail};

use super::cargo;
use super::counts::Counts;
use super::targets::{Class, Targets};
use crate::ui;

/// A target, and the variables without which it has nobody to ask. Each may also be read from a file: `NAME_FILE`.
const NEEDS: [(&str, &[&str]); 3] = [
    (
        "live_cloudflare",
        &["PILOT_CLOUDFLARE_API_TOKEN", "PILOT_CLOUDFLARE_ACCOUNT_ID", "PILOT_CLOUDFLARE_IMAGE"],
    ),
    ("live_docker", &["PILOT_LIVE_DOCKER_HOST"]),
    ("live_fly", &["PILOT_FLY_API_TOKEN", "PILOT_FLY_ORG", "PILOT_FLY_IMAGE"]),
];

pub fn run(targets: &Targets, filter: Option<&str>) -> Result<Counts> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut counts = Counts::default();
    for name in targets.named(Class::Live) {
        let of_cargo = ["--test".to_owned(), name.to_owned()];
        match missing(name, var)? {
            None => counts.add(cargo::test(&of_cargo, filter, &["--nocapture", "--test-threads=1"], &[])?),
            Some(reason) => {
                ui::note(format!("{name} is not run: {reason}"));
                counts.skipped += cargo::list(&of_cargo, filter)?;
                counts.reasons.push(format!("{name} ({reason})"));
            }
        }
    }
    Ok(counts)
}

/// Why a target cannot run here.
fn missing(target: &str, var: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    let Some((_, needs)) = NEEDS.iter().find(|(known, _)| *known == target) else {
        bail!("{target} is not among those whose credentials xtask/src/test/live.rs knows");
    };
    let is_given = |name: &&str| var(name).or_else(|| var(&format!("{name}_FILE"))).is_some();
    let without: Vec<&str> = needs.iter().copied().filter(|name| !is_given(name)).collect();
    let is_wanted = var("PILOT_LIVE").is_some_and(|value| value == "1");
    Ok(match (is_wanted, without.as_slice()) {
        (false, _) => Some("it costs money, and PILOT_LIVE=1 is not set".to_owned()),
        (true, []) => None,
        (true, without) => Some(format!("without {}", without.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_asked_only_where_that_is_wanted_and_its_credentials_are_there() {
        let with = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
            missing("live_docker", move |name| {
                given.iter().any(|known| known == name).then(|| "1".to_owned())
            })
        };
        assert!(with(&["PILOT_LIVE_DOCKER_HOST"]).unwrap().unwrap().contains("PILOT_LIVE=1"));
        assert!(with(&["PILOT_LIVE"]).unwrap().unwrap().contains("without PILOT_LIVE_DOCKER_HOST"));
        assert_eq!(with(&["PILOT_LIVE", "PILOT_LIVE_DOCKER_HOST"]).unwrap(), None);
        assert_eq!(with(&["PILOT_LIVE", "PILOT_LIVE_DOCKER_HOST_FILE"]).unwrap(), None);
        assert!(missing("live_elsewhere", |_| None).is_err());
    }
}
