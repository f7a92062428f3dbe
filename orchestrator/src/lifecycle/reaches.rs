//! Whether a list of destinations can be meant: its provider can hold a workspace to it, each entry can open something, and the
//! repository that the workspace is to begin with is in it. Said before anything is made, because none of it would work later.

use contracts::egress::{Destination, EgressAllow, EgressChoice, Host};
use contracts::workspace::GitSource;
use contracts::{ErrorCode, Problem};
use provider_api::Provider;
use url::Url;

/// What a workspace is to reach, where its provider can hold it to that. Everything is what all can.
pub fn egress(texts: &[String], provider: &dyn Provider) -> Result<EgressChoice, Problem> {
    let choice = EgressChoice::read(texts).map_err(|error| {
        let action = "An entry is a name like github.com, *.npmjs.org for all names below one, an address or a network like \
                      203.0.113.0/24, each with a port like api.anthropic.com:443 or for every port.";
        Problem::new(ErrorCode::BadRequest, format!("The list of destinations is not usable: {error}."))
            .with_action(action)
    })?;
    let EgressChoice::Only(list) = &choice else { return Ok(choice) };
    let Some(offer) = provider.egress() else {
        let name = provider.describe().name;
        let detail = format!("The provider {name} cannot hold a workspace to a list of destinations.");
        return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail)
            .with_action("`pilot provider ls --json` shows what each provider can (`egress`)."));
    };
    let refuse = |entry: &Destination, why: &str, action: String| {
        let detail = format!("The list of destinations is not usable: {entry} {why}.");
        Err(Problem::new(ErrorCode::BadRequest, detail).with_action(action))
    };
    for entry in list.entries() {
        if is_itself(&entry.host) {
            let why = "is the workspace itself, which needs no list for that";
            return refuse(
                entry,
                why,
                "Leave it out. What listens on the host of a workspace has another address there.".to_owned(),
            );
        }
        if offer.stays_closed(entry) {
            let why = "stays closed for every workspace, whatever a list says";
            let opens = match offer.opened_by.as_str() {
                "" => String::new(),
                name => format!(" The operator opens it for all workspaces with {name}={}.", network(entry)),
            };
            return refuse(entry, why, format!("Leave it out.{opens}"));
        }
    }
    Ok(choice)
}

/// Names and addresses of whoever asks for them.
fn is_itself(host: &Host) -> bool {
    match host {
        Host::Name(name) | Host::Below(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Network(std::net::IpAddr::V4(address), bits) => address.is_loopback() && *bits >= 8,
        Host::Network(std::net::IpAddr::V6(address), bits) => address.is_loopback() && *bits == 128,
    }
}

fn network(entry: &Destination) -> Destination {
    Destination { host: entry.host.clone(), port: None }
}

/// A clone from somebody who is not in the list could not end well.
pub fn must_reach(list: &EgressAllow, git: &GitSource) -> Result<(), Problem> {
    let Ok(url) = Url::parse(&git.url) else { return Ok(()) };
    let usual = match url.scheme() {
        "https" => 443,
        "http" => 80,
        "ssh" => 22,
        "git" => 9418,
        _ => return Ok(()),
    };
    let Some(missing) = url.host_str().and_then(|host| list.lacks(host, url.port().unwrap_or(usual))) else {
        return Ok(());
    };
    let detail = format!(
        "The workspace is to reach {list} and nothing else, so it could not clone the git repository from {}: {missing} is not in that list.",
        network(&missing)
    );
    Err(Problem::new(ErrorCode::InvalidGitUrl, detail)
        .with_action(format!("Add it: --egress-allow '{}'.", list.with(missing))))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lifecycle::request::{ValidCreate, validate};
    use crate::wiring::Providers;

    /// `fake` can carry a list, `local` cannot.
    fn create_with(provider: &str, list: &[&str], git: Option<&str>) -> Result<ValidCreate, Problem> {
        let root = tempfile::tempdir().unwrap();
        let layout = crate::data::Layout { root: root.path().to_owned() };
        let boot = Arc::new(crate::boot::DataFolderBoot::new(layout.clone(), None));
        let (tools, settings) = (Default::default(), Default::default());
        let providers = Providers::build(&layout, &tools, &settings, boot).unwrap();
        let egress_allow = Some(list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let body = serde_json::json!({ "slug": "demo", "provider": provider, "egressAllow": egress_allow, "git": git.map(|url| serde_json::json!({ "url": url })) });
        validate(serde_json::from_value(body).unwrap(), &providers, "local")
    }

    fn create(provider: &str, list: &[&str]) -> Result<ValidCreate, Problem> {
        create_with(provider, list, None)
    }

    #[test]
    fn a_list_of_destinations_is_refused_where_nobody_could_hold_to_it_and_where_it_cannot_be_meant() {
        let list = |texts: &[&str]| create("fake", texts).map(|valid| valid.egress.map(|list| list.texts()));
        assert_eq!(
            list(&["GitHub.com", "*.npmjs.org:443"]).unwrap().unwrap(),
            ["github.com", "*.npmjs.org:443"]
        );
        assert_eq!(list(&[]).unwrap().unwrap(), ["none"]);
        assert_eq!(list(&["all"]), Ok(None));
        let refused = list(&["github.com", "https://x"]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadRequest);
        assert!(refused.detail.contains("\"https://x\""), "{refused}");
        let unable = create("local", &["github.com"]).err().unwrap();
        assert_eq!(unable.code, ErrorCode::CapabilityUnsupported);
        assert!(create("local", &["all"]).is_ok_and(|valid| valid.egress.is_none()));
    }

    #[test]
    fn a_repository_that_the_list_does_not_have_is_refused_with_the_line_to_type() {
        let refused = |list: &str, url: &str| {
            create_with("fake", &list.split(',').collect::<Vec<_>>(), Some(url)).err()
        };
        for (list, url) in [
            ("github.com", "https://github.com/a/b.git"),
            ("*.example:22", "ssh://git@git.example/a"),
            ("203.0.113.0/24", "http://203.0.113.7:8080/a"),
            ("[2001:db8::7]:9418", "git://[2001:db8::7]/a"),
            ("a.example", "file:///srv/a"),
            ("all", "https://github.com/a/b.git"),
        ] {
            assert_eq!(refused(list, url), None, "{list} {url}");
        }
        for (list, url, wider) in [
            ("a.example", "https://GitHub.com/a/b.git", "a.example,github.com:443"),
            ("git.example:443", "ssh://git@git.example/a", "git.example:443,git.example:22"),
            ("a.example", "http://203.0.113.7:8080/a", "a.example,203.0.113.7:8080"),
            ("a.example", "ssh://git@[2001:db8::7]/a", "a.example,[2001:db8::7]:22"),
            ("none", "git://git.example/a", "git.example:9418"),
        ] {
            let problem = refused(list, url).unwrap();
            assert_eq!(problem.code, ErrorCode::InvalidGitUrl);
            let action = problem.action.unwrap();
            assert!(action.contains(&format!("--egress-allow '{wider}'")), "{action}");
            assert_eq!(refused(wider, url).map(|problem| problem.detail), None, "as it says");
        }
    }

    #[test]
    fn an_entry_that_opens_nothing_is_refused_with_what_would_open_it() {
        for entry in ["10.0.0.5:5432", "192.168.0.0/16", "169.254.169.254"] {
            let problem = create("docker", &["github.com", entry]).err().unwrap();
            assert!(problem.detail.contains(&format!("{entry} stays closed")), "{problem}");
            let open = entry.split_once(':').map_or(entry, |(address, _)| address);
            assert!(
                problem.action.unwrap().contains(&format!("PILOT_DOCKER_EGRESS_OPEN={open}.")),
                "{entry}"
            );
        }
        for entry in ["localhost:3000", "app.localhost", "127.0.0.1", "[::1]"] {
            let problem = create("docker", &[entry]).err().unwrap();
            assert!(problem.detail.contains("is the workspace itself"), "{problem}");
        }
        assert!(create("docker", &["203.0.113.7", "0.0.0.0/0", "local.example"]).is_ok());
    }
}
