//! The program's options, and the settings that they mean.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use sim_fly::{Delays, Region, RunnerKind, Scope, Settings, Token};

/// A simulator of the Fly Machines API that runs what is created.
///
/// The first line of its output is JSON: {"api": URL, "edge": ADDRESS, "admin": URL, "journal": PATH}.
/// Give a client the API's URL (fly-go: FLY_FLAPS_BASE_URL) and the token. A machine's service is reached
/// at the edge with the header `Host: APP.fly.dev`. SIGTERM ends it with all machines; after a kill,
/// start it with the same folder and it takes over what still runs.
///
/// Faults are ordered at the admin port:
///   curl -d '{"method": "POST", "path": "/v1/apps/*/machines", "count": 1,
///             "then": {"kind": "cut_after"}}' ADMIN/faults
/// with the kinds status {code, body, retry_after}, delay {ms}, hang, hang_after, cut_before, cut_after,
/// truncate, html {code}, lag {ms} and clock_skew {seconds}; DELETE /faults takes them back. GET /requests
/// tells what was asked.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub struct Arguments {
    /// Holds the journal, the volumes and the machines' folders.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Where all three ports listen.
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// 0 lets the kernel choose, here and below.
    #[arg(long, default_value_t = 0)]
    api_port: u16,
    #[arg(long, default_value_t = 0)]
    edge_port: u16,
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// A token and its organisation; may be repeated.
    #[arg(long = "token", value_name = "SECRET=ORG", value_parser = token, default_value = "sim-token=personal")]
    tokens: Vec<Token>,
    /// A region, with the number of machines that fit; may be repeated. Default: fra, iad and nrt.
    #[arg(long = "region", value_name = "CODE[=MACHINES]", value_parser = region)]
    regions: Vec<Region>,
    /// Machines that an organisation may have.
    #[arg(long, value_name = "MACHINES")]
    quota: Option<usize>,
    /// Volumes leave room for a machine only when they were made with its size in mind.
    #[arg(long)]
    tight_hosts: bool,
    /// `real` keeps the vendor's rate limits and about its times; `fast` has neither.
    #[arg(long, value_enum, default_value_t = Speed::Real)]
    speed: Speed,
    /// The edge serves APP.DOMAIN.
    #[arg(long, default_value = "fly.dev")]
    edge_domain: String,
    /// Run each machine as a container of the local Docker engine.
    #[arg(long, conflicts_with = "program")]
    docker: bool,
    /// Run this program, with its arguments, as every machine. Without it machines are records only.
    ///
    /// It gets the machine's environment, in which addresses to listen on, `*_PORT` numbers and paths of
    /// the mount are replaced by those of this host.
    #[arg(value_name = "PROGRAM", last = true)]
    program: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Speed {
    Real,
    Fast,
}

impl Arguments {
    pub fn settings(self) -> Settings {
        let real = matches!(self.speed, Speed::Real);
        let mut settings = Settings::new(self.folder);
        settings.address = self.address;
        (settings.api_port, settings.edge_port) = (self.api_port, self.edge_port);
        settings.admin_port = self.admin_port;
        settings.tokens = self.tokens;
        if !self.regions.is_empty() {
            settings.regions = self.regions;
        }
        settings.quota = self.quota;
        settings.tight_hosts = self.tight_hosts;
        settings.rate_limits = real.then_some(1.0);
        settings.delays = if real { Delays::real() } else { Delays::fast() };
        settings.edge_domain = self.edge_domain;
        settings.runner = match (self.docker, self.program.is_empty()) {
            (true, _) => RunnerKind::Docker,
            (false, true) => RunnerKind::Records,
            (false, false) => RunnerKind::Process { command: self.program },
        };
        settings
    }
}

fn token(text: &str) -> Result<Token, String> {
    let (secret, rest) =
        text.split_once('=').ok_or("give SECRET=ORG, SECRET=ORG/readonly or SECRET=ORG/app/NAME")?;
    let (org, scope) = match rest.split_once('/') {
        None => (rest, Scope::Org),
        Some((org, "readonly")) => (org, Scope::Readonly),
        Some((org, scope)) => match scope.strip_prefix("app/") {
            Some(app) => (org, Scope::App(app.to_owned())),
            None => return Err(format!("{scope} is no scope: give `readonly` or `app/NAME`")),
        },
    };
    Ok(Token { secret: secret.to_owned(), org: org.to_owned(), scope })
}

fn region(text: &str) -> Result<Region, String> {
    let (code, capacity) = match text.split_once('=') {
        Some((code, number)) => {
            (code, Some(number.parse().map_err(|_| "the number of machines is no number")?))
        }
        None => (text, None),
    };
    Ok(Region { code: code.to_owned(), name: code.to_owned(), capacity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_settings() {
        let arguments = "sim-fly --folder /f --token a=b --region fra=2 --speed fast -- guest --flag";
        let settings = Arguments::parse_from(arguments.split(' ')).settings();
        assert_eq!((settings.tokens[0].org.as_str(), settings.regions[0].capacity), ("b", Some(2)));
        assert!(matches!(settings.runner, RunnerKind::Process { command } if command == ["guest", "--flag"]));
        assert_eq!(settings.rate_limits, None);
        assert_eq!(token("a=b/readonly").unwrap().scope, Scope::Readonly);
        assert_eq!(token("a=b/app/one").unwrap().scope, Scope::App("one".to_owned()));
        assert!(token("a=b/else").is_err());
    }
}
