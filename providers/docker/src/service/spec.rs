//! From a service's inputs to what Docker is asked for, and back. Pure.

use std::collections::BTreeMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use serde::{Deserialize, Serialize};

use super::labels;
use crate::{container, logs};

/// Where clients in the container look for the socket.
const SOCKET: &str = "/var/run/docker.sock";
const HOST: &str = "host";
/// Labels that say what Docker does not. Never with a value of a variable: those may be secret.
const VARIABLES: &str = "pilot.variables";
const HEALTH_URL: &str = "pilot.health-url";
const DELETE_GUARD: &str = "pilot.delete-guard";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inputs {
    pub name: String,
    pub owner: String,
    pub image: String,
    pub command: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_socket: Option<String>,
    #[serde(default)]
    pub host_network: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_guard: Option<Vec<String>>,
}

impl Inputs {
    /// The inputs that would make this container; `None` when it is no service.
    pub fn of(found: &ContainerInspectResponse) -> Option<Self> {
        let config = found.config.as_ref()?;
        let host = found.host_config.as_ref()?;
        let labels = container::labels(found);
        let value = |name: &str| {
            let entries = config.env.iter().flatten();
            entries.filter_map(|entry| entry.split_once('=')).find(|(known, _)| *known == name)
        };
        // The image's own variables are there too; the label tells which are the service's.
        let variables = labels.get(VARIABLES).map(String::as_str).unwrap_or_default();
        let variables = variables.split(',').filter_map(value);
        let mounts = host.mounts.iter().flatten().filter_map(|mount| {
            Some((mount.typ?, mount.source.clone().unwrap_or_default(), mount.target.clone()?))
        });
        let (volumes, binds): (Vec<_>, Vec<_>) = mounts.partition(|(kind, ..)| *kind == MountType::VOLUME);
        let socket = binds.into_iter().find(|(.., target)| target == SOCKET);
        Some(Self {
            name: found.name.as_deref()?.trim_start_matches('/').to_owned(),
            owner: labels::owner(&labels)?.clone(),
            image: config.image.clone()?,
            command: config.cmd.clone().unwrap_or_default(),
            environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            volumes: volumes.into_iter().map(|(_, source, target)| (source, target)).collect(),
            docker_socket: socket.map(|(_, source, _)| source),
            host_network: host.network_mode.as_deref() == Some(HOST),
            health_url: labels.get(HEALTH_URL).cloned(),
            delete_guard: labels.get(DELETE_GUARD).and_then(|words| serde_json::from_str(words).ok()),
        })
    }

    pub fn body(&self) -> ContainerCreateBody {
        let mut labels = labels::owned_by(&self.owner);
        let names: Vec<&str> = self.environment.keys().map(String::as_str).collect();
        labels.insert(VARIABLES.to_owned(), names.join(","));
        labels.extend(self.health_url.clone().map(|url| (HEALTH_URL.to_owned(), url)));
        if let Some(words) = &self.delete_guard {
            labels.insert(DELETE_GUARD.to_owned(), serde_json::json!(words).to_string());
        }
        let variables = self.environment.iter();
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(self.command.clone()),
            env: Some(variables.map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(labels),
            host_config: Some(self.host_config()),
            ..Default::default()
        }
    }

    fn host_config(&self) -> HostConfig {
        let mount = |kind, source: &String, target: &str| Mount {
            typ: Some(kind),
            source: Some(source.clone()),
            target: Some(target.to_owned()),
            ..Default::default()
        };
        let volumes = self.volumes.iter().map(|(name, folder)| mount(MountType::VOLUME, name, folder));
        let socket = self.docker_socket.iter().map(|socket| mount(MountType::BIND, socket, SOCKET));
        HostConfig {
            mounts: Some(volumes.chain(socket).collect()),
            network_mode: self.host_network.then(|| HOST.to_owned()),
            // Reaps what its children leave behind.
            init: Some(true),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            log_config: Some(logs::limited()),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerConfig;

    use super::*;

    fn inputs() -> Inputs {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Inputs {
            name: "pilot".to_owned(),
            owner: "organization/pilot/dev".to_owned(),
            image: "pilot:1".to_owned(),
            command: vec!["serve".to_owned()],
            environment: map("TOKEN", "hush=hush"),
            volumes: map("pilot", "/var/lib/pilot"),
            docker_socket: Some("/run/other.sock".to_owned()),
            host_network: true,
            health_url: Some("http://127.0.0.1:1/health".to_owned()),
            delete_guard: Some(vec!["may".to_owned(), "it go".to_owned()]),
        }
    }

    /// As Docker shows what it has made of the body, with a variable of the image beside ours.
    fn shown(body: ContainerCreateBody) -> ContainerInspectResponse {
        let mut env = body.env.unwrap();
        env.push("PATH=/bin".to_owned());
        ContainerInspectResponse {
            name: Some("/pilot".to_owned()),
            config: Some(ContainerConfig {
                image: body.image,
                cmd: body.cmd,
                env: Some(env),
                labels: body.labels,
                ..Default::default()
            }),
            host_config: body.host_config,
            ..Default::default()
        }
    }

    #[test]
    fn the_inputs_are_read_back_from_what_was_made() {
        assert_eq!(Inputs::of(&shown(inputs().body())), Some(inputs()));
        let plain = Inputs {
            environment: BTreeMap::new(),
            volumes: BTreeMap::new(),
            docker_socket: None,
            host_network: false,
            health_url: None,
            delete_guard: None,
            ..inputs()
        };
        assert_eq!(Inputs::of(&shown(plain.body())), Some(plain));
    }

    #[test]
    fn values_of_variables_are_in_no_label() {
        let labels = inputs().body().labels.unwrap();
        assert_eq!(labels[VARIABLES], "TOKEN");
        assert!(labels.values().all(|value| !value.contains("hush")), "{labels:?}");
    }

    #[test]
    fn a_container_without_an_owner_is_no_service() {
        let mut body = inputs().body();
        body.labels = None;
        assert_eq!(Inputs::of(&shown(body)), None);
    }
}
