//! The API's calls, each as one request of a caller with a token.

use std::time::Duration;

use contracts::egress::report::Refused;
use provider_api::{BootFile, Executed, Snapshot};
use provider_http::{Failure, Kind};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;

use super::call::{Call, From, Request, Taken};
use super::remote::Remote;
use super::{Cloud, CloudError, Files, Labels, Machine, Spec, TIMEOUT, Volume, commands};

/// As `provider-http` gives the answers of vendors, also where the cloud is in this program.
pub(crate) type Reply<T> = Result<T, Failure>;

/// A caller of the API.
#[derive(Clone)]
pub(crate) struct Session {
    way: Way,
    token: Option<String>,
    fence: Option<u64>,
}

/// Where the cloud is.
#[derive(Clone)]
enum Way {
    Here(Cloud),
    There(Remote),
}

impl Session {
    pub fn here(cloud: Cloud, token: Option<&str>) -> Self {
        Self { way: Way::Here(cloud), token: token.map(str::to_owned), fence: None }
    }

    pub fn there(url: &str, token: Option<&str>) -> Self {
        Self { way: Way::There(Remote::new(url, token)), token: None, fence: None }
    }

    /// Labels of machines to which something happens, where the cloud is in this program.
    pub fn changes(&self) -> Option<broadcast::Receiver<Labels>> {
        match &self.way {
            Way::Here(cloud) => Some(cloud.changes()),
            Way::There(_) => None,
        }
    }

    /// Other programs may use the same cloud.
    pub fn is_shared(&self) -> bool {
        matches!(self.way, Way::There(_))
    }

    /// The same caller in an operation with this fence. The cloud's journal keeps it.
    pub fn under(&self, fence: Option<u64>) -> Self {
        Self { fence, ..self.clone() }
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Reply<T> {
        let request = Request { token: self.token.clone(), fence: self.fence, call };
        let answer = match &self.way {
            Way::Here(cloud) => {
                let answer = tokio::time::timeout(TIMEOUT, cloud.answer(request));
                answer.await.unwrap_or(Err(CloudError::NoAnswer)).map_err(CloudError::into_failure)?
            }
            Way::There(remote) => remote.answer(&request).await?,
        };
        serde_json::from_value(answer).map_err(|error| Failure::new(Kind::Unreadable, error.to_string()))
    }

    pub async fn ping(&self) -> Reply<()> {
        self.ask(Call::Ping).await
    }

    /// Kind, name and labels of every volume and machine that has at least these labels.
    pub async fn list(&self, labels: Labels) -> Reply<Vec<(String, String, Labels)>> {
        self.ask(Call::List { labels }).await
    }

    /// Every machine that has at least these labels, by its name.
    pub async fn machines(&self, labels: Labels) -> Reply<Vec<(String, Machine)>> {
        self.ask(Call::Machines { labels }).await
    }

    /// Its labels.
    pub async fn network(&self, name: &str) -> Reply<Labels> {
        self.ask(Call::Network { name: name.to_owned() }).await
    }

    pub async fn create_network(&self, name: &str, labels: Labels) -> Reply<()> {
        self.ask(Call::CreateNetwork { name: name.to_owned(), labels }).await
    }

    pub async fn delete_network(&self, name: &str) -> Reply<()> {
        self.ask(Call::DeleteNetwork { name: name.to_owned() }).await
    }

    pub async fn volume(&self, name: &str) -> Reply<Volume> {
        self.ask(Call::Volume { name: name.to_owned() }).await
    }

    pub async fn create_volume(&self, name: &str, new: Volume, from: Option<From>) -> Reply<()> {
        self.ask(Call::CreateVolume { name: name.to_owned(), new, from }).await
    }

    pub async fn label_volume(&self, name: &str, version: u64, labels: Labels) -> Reply<()> {
        self.ask(Call::LabelVolume { name: name.to_owned(), version, labels }).await
    }

    pub async fn delete_volume(&self, name: &str, version: u64) -> Reply<()> {
        self.ask(Call::DeleteVolume { name: name.to_owned(), version }).await
    }

    pub async fn machine(&self, name: &str) -> Reply<Machine> {
        self.ask(Call::Machine { name: name.to_owned() }).await
    }

    /// It does not run yet.
    pub async fn create_machine(&self, name: &str, spec: Spec, labels: Labels) -> Reply<()> {
        self.ask(Call::CreateMachine { name: name.to_owned(), spec, labels }).await
    }

    /// Another size keeps what runs. With another image it boots anew, if it runs.
    pub async fn change_machine(&self, name: &str, version: u64, labels: Labels, spec: &Spec) -> Reply<()> {
        let (name, spec) = (name.to_owned(), spec.clone());
        self.ask(Call::ChangeMachine { name, version, labels, spec }).await
    }

    /// What the name of an image means.
    pub async fn image(&self, reference: &str) -> Reply<String> {
        self.ask(Call::Image { reference: reference.to_owned() }).await
    }

    /// Twice is the same as once.
    pub async fn push_image(&self, name: &str, digest: &str) -> Reply<()> {
        self.ask(Call::PushImage { name: name.to_owned(), digest: digest.to_owned() }).await
    }

    pub async fn delete_machine(&self, name: &str, version: u64) -> Reply<()> {
        self.ask(Call::DeleteMachine { name: name.to_owned(), version }).await
    }

    /// Puts the files into the home and lets it run, from its boot or from where it was suspended.
    pub async fn start_machine(&self, name: &str, version: u64, files: &[BootFile]) -> Reply<()> {
        let files: Files = files.iter().map(|file| (file.path.clone(), file.content.clone())).collect();
        self.ask(Call::StartMachine { name: name.to_owned(), version, files }).await
    }

    pub async fn stop_machine(&self, name: &str, version: u64) -> Reply<()> {
        self.ask(Call::StopMachine { name: name.to_owned(), version }).await
    }

    pub async fn suspend_machine(&self, name: &str, version: u64) -> Reply<()> {
        self.ask(Call::SuspendMachine { name: name.to_owned(), version }).await
    }

    pub async fn log(&self, name: &str) -> Reply<Vec<u8>> {
        self.ask(Call::Log { name: name.to_owned() }).await
    }

    pub async fn refused(&self, name: &str) -> Reply<Vec<Refused>> {
        self.ask(Call::Refused { name: name.to_owned() }).await
    }

    /// Ends when the command does, or its time.
    pub async fn run(&self, name: &str, command: &[String], limit: Duration) -> Reply<Executed> {
        let home: Files = self.ask(Call::Home { name: name.to_owned() }).await?;
        Ok(commands::run(command, &home, limit).await)
    }

    /// Finds the one that has the id already.
    pub async fn take_snapshot(&self, name: &str, id: &str, title: Option<&str>) -> Reply<Snapshot> {
        let (name, id, title) = (name.to_owned(), id.to_owned(), title.map(str::to_owned));
        self.ask(Call::TakeSnapshot { name, id, title }).await.map(snapshot)
    }

    pub async fn delete_snapshot(&self, name: &str, id: &str) -> Reply<()> {
        self.ask(Call::DeleteSnapshot { name: name.to_owned(), id: id.to_owned() }).await
    }

    /// Of a disk that no machine runs on.
    pub async fn restore_snapshot(&self, name: &str, id: &str) -> Reply<()> {
        self.ask(Call::RestoreSnapshot { name: name.to_owned(), id: id.to_owned() }).await
    }

    pub async fn snapshots(&self, name: &str) -> Reply<Vec<Snapshot>> {
        let copies: Vec<Taken> = self.ask(Call::Snapshots { name: name.to_owned() }).await?;
        Ok(copies.into_iter().map(snapshot).collect())
    }
}

fn snapshot(copy: Taken) -> Snapshot {
    Snapshot { id: copy.id, name: copy.title, created: copy.created, size: Some(copy.size), until: None }
}
