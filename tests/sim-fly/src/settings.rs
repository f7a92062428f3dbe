//! What one simulator is like: who may call it, what the platform has, and how it runs machines.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::registry::Registry;

/// Everything that [`crate::Sim::start`] needs. The ports are chosen by the kernel where they are 0.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Holds the journal, the volumes and the machines' folders; made when it is missing.
    pub folder: PathBuf,
    pub address: IpAddr,
    pub api_port: u16,
    pub edge_port: u16,
    pub admin_port: u16,
    pub tokens: Vec<Token>,
    pub regions: Vec<Region>,
    /// Machines that an organisation may have at once; more are refused with 403.
    pub quota: Option<usize>,
    /// A machine with a volume finds room only when the volume was made with a `compute` hint, as on a
    /// host that is nearly full.
    pub tight_hosts: bool,
    /// Refuse with 429 as the vendor does: one call a second for each action and object, three at once; with
    /// another number than 1 so many times as many. `None` refuses nobody.
    pub rate_limits: Option<f64>,
    pub delays: Delays,
    /// The images that there are; without one, every name is that of an image.
    pub registry: Registry,
    pub runner: RunnerKind,
    /// The edge serves `<app>.<domain>`.
    pub edge_domain: String,
}

/// A caller and the organisation that it belongs to.
#[derive(Debug, Clone)]
pub struct Token {
    pub secret: String,
    pub org: String,
    pub scope: Scope,
}

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything in its organisation, as one of `fly tokens create org`.
    #[default]
    Org,
    /// Looks alone, as one of `fly tokens create readonly`.
    Readonly,
    /// One application, as one of `fly tokens create deploy`.
    App(String),
}

impl Scope {
    /// Whether a request is within it.
    pub(crate) fn allows(&self, method: &http::Method, path: &str) -> bool {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        // A question that is a POST.
        let is_look = method == http::Method::GET || parts == ["v1", "platform", "placements"];
        match self {
            Scope::Org => true,
            Scope::Readonly => is_look,
            Scope::App(app) => match parts.as_slice() {
                ["v1", "apps", named, ..] => named == app,
                ["v1", "apps" | "orgs", ..] => false,
                _ => is_look,
            },
        }
    }
}

/// A place to run machines.
#[derive(Debug, Clone)]
pub struct Region {
    pub code: String,
    pub name: String,
    /// Machines that fit; `None` is as many as anybody wants.
    pub capacity: Option<usize>,
}

/// How long the platform takes. None of it is spent while a lock is held.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delays {
    /// From stopped to started, and for the first boot.
    pub boot: Duration,
    pub suspend: Duration,
    pub resume: Duration,
    /// From the order to delete an application until nobody knows it.
    pub app_delete: Duration,
    /// How long a destroyed machine is still shown, with that state.
    pub tombstone: Duration,
    /// Without traffic for so long, a machine whose service says so is stopped or suspended.
    pub idle: Duration,
}

/// What a started machine becomes.
#[derive(Debug, Clone)]
pub enum RunnerKind {
    /// A process tree of this host: this command, whatever the image is.
    Process { command: Vec<String> },
    /// A container of the local Docker engine, from the machine's image.
    Docker,
    /// Nothing: machines are records only, for tests of many.
    Records,
}

impl Delays {
    /// As fast as the computer goes.
    pub fn fast() -> Self {
        Self { tombstone: Duration::from_secs(2), idle: Duration::from_secs(60), ..Self::default() }
    }

    /// About what the vendor takes.
    pub fn real() -> Self {
        Self {
            boot: Duration::from_secs(2),
            suspend: Duration::from_millis(700),
            resume: Duration::from_millis(300),
            app_delete: Duration::from_secs(3),
            tombstone: Duration::from_secs(60),
            idle: Duration::from_secs(300),
        }
    }
}

impl Settings {
    /// One organisation `personal` with the token `sim-token`, three regions without end, records only.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let region = |(code, name): (&str, &str)| Region {
            code: code.to_owned(),
            name: name.to_owned(),
            capacity: None,
        };
        let regions =
            [("fra", "Frankfurt, Germany"), ("iad", "Ashburn, Virginia (US)"), ("nrt", "Tokyo, Japan")];
        Self {
            folder: folder.into(),
            address: Ipv4Addr::LOCALHOST.into(),
            api_port: 0,
            edge_port: 0,
            admin_port: 0,
            tokens: vec![Token {
                secret: "sim-token".to_owned(),
                org: "personal".to_owned(),
                scope: Scope::Org,
            }],
            regions: regions.into_iter().map(region).collect(),
            quota: None,
            tight_hosts: false,
            rate_limits: None,
            delays: Delays::fast(),
            registry: Registry::default(),
            runner: RunnerKind::Records,
            edge_domain: "fly.dev".to_owned(),
        }
    }
}
