//! Which of the vendor's actions a request is, and for which object: rate limits go by both.

use http::Method;

/// A name for the action and the object that it is counted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub name: &'static str,
    pub object: String,
}

/// Tells the action of a request; what is no address of the API has none.
pub fn of(method: &Method, path: &str) -> Option<Action> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let [version, rest @ ..] = parts.as_slice() else { return None };
    if *version != "v1" {
        return None;
    }
    let (name, object) = match (method.as_str(), rest) {
        ("GET", ["apps"]) => ("app_list", "org"),
        ("POST", ["apps"]) => ("app_create", "org"),
        ("GET", ["apps", app]) => ("app_get", *app),
        ("DELETE", ["apps", _]) => ("app_delete", "org"),
        (method, ["apps", app, "machines"]) => (pick(method, "machine_list", "machine_create")?, *app),
        (method, ["apps", _, "machines", id]) => {
            let name = match method {
                "GET" => "machine_get",
                "POST" => "machine_update",
                "DELETE" => "machine_destroy",
                _ => return None,
            };
            (name, *id)
        }
        ("POST", ["apps", _, "machines", id, action]) => (machine_post(action)?, *id),
        ("GET", ["apps", _, "machines", id, action]) => (machine_get(action)?, *id),
        ("DELETE", ["apps", _, "machines", id, "lease"]) => ("lease_release", *id),
        ("PATCH", ["apps", _, "machines", id, "metadata"]) => ("metadata_patch", *id),
        (method, ["apps", _, "machines", id, "metadata", _]) => (metadata(method)?, *id),
        (method, ["apps", app, "volumes"]) => (pick(method, "volume_list", "volume_create")?, *app),
        (method, ["apps", _, "volumes", id]) => {
            let name = match method {
                "GET" => "volume_get",
                "PUT" => "volume_update",
                "DELETE" => "volume_delete",
                _ => return None,
            };
            (name, *id)
        }
        ("PUT", ["apps", _, "volumes", id, "extend"]) => ("volume_extend", *id),
        (method, ["apps", _, "volumes", id, "snapshots"]) => {
            (pick(method, "snapshot_list", "snapshot_create")?, *id)
        }
        (method, ["apps", app, "secrets"]) => (pick(method, "secret_list", "secret_update")?, *app),
        (_, ["apps", app, "secrets", _]) => ("secret", *app),
        (method, ["apps", app, "ip_assignments"]) => (pick(method, "ip_list", "ip_assign")?, *app),
        ("DELETE", ["apps", app, "ip_assignments", _]) => ("ip_release", *app),
        ("GET", ["platform", "regions"]) => ("regions_get", "org"),
        ("POST", ["platform", "placements"]) => ("placements_get", "org"),
        ("GET", ["tokens", "current"]) => ("token_get", "org"),
        ("GET", ["orgs", org, "machines"]) => ("org_machine_list", *org),
        ("GET", ["orgs", org, "volumes"]) => ("org_volume_list", *org),
        _ => return None,
    };
    Some(Action { name, object: object.to_owned() })
}

fn pick(method: &str, get: &'static str, post: &'static str) -> Option<&'static str> {
    match method {
        "GET" => Some(get),
        "POST" => Some(post),
        _ => None,
    }
}

fn machine_post(action: &str) -> Option<&'static str> {
    Some(match action {
        "start" => "machine_start",
        "stop" => "machine_stop",
        "suspend" => "machine_suspend",
        "restart" => "machine_restart",
        "signal" => "machine_signal",
        "cordon" => "machine_cordon",
        "uncordon" => "machine_uncordon",
        "exec" => "machine_exec",
        "lease" => "lease_acquire",
        _ => return None,
    })
}

fn machine_get(action: &str) -> Option<&'static str> {
    Some(match action {
        "wait" => "machine_wait",
        "lease" => "lease_get",
        "metadata" => "metadata_get",
        "events" => "event_list",
        "versions" => "version_list",
        _ => return None,
    })
}

fn metadata(method: &str) -> Option<&'static str> {
    Some(match method {
        "GET" => "metadata_key_get",
        "POST" => "metadata_key_set",
        "DELETE" => "metadata_key_delete",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_told_by_method_and_path_and_counted_for_machine_or_app() {
        for (method, path, name, object) in [
            (Method::POST, "/v1/apps/a/machines", "machine_create", "a"),
            (Method::GET, "/v1/apps/a/machines/m", "machine_get", "m"),
            (Method::POST, "/v1/apps/a/machines/m", "machine_update", "m"),
            (Method::POST, "/v1/apps/a/machines/m/start", "machine_start", "m"),
            (Method::PUT, "/v1/apps/a/volumes/v/extend", "volume_extend", "v"),
            (Method::GET, "/v1/orgs/o/machines", "org_machine_list", "o"),
        ] {
            assert_eq!(of(&method, path), Some(Action { name, object: object.to_owned() }), "{path}");
        }
        assert_eq!(of(&Method::GET, "/v2/apps"), None);
        assert_eq!(of(&Method::GET, "/v1/apps/a/nothing"), None);
    }
}
