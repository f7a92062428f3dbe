//! `pilot image push`: an image of this machine gets to a provider.
//!
//! The archive goes to the server as it is made, and the server tells how far it is on its way to the provider. What the answer is good
//! for is said with it, in the words of the next commands.

mod archive;

use std::time::Duration;

use contracts::image::{PushEvent, Pushed};
use contracts::workspace::ProviderInfo;
use contracts::{ErrorCode, Problem};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Outcome;
use crate::args::{Folders, Image, ImageCommand, Push};
use crate::client::Client;
use crate::connection::connect;
use crate::ui::Ui;

const TICK: Duration = Duration::from_millis(100);

pub async fn run(image: Image, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let client = connect(&image.connection, folders).await?;
    match image.command {
        ImageCommand::Push(wanted) => push(&client, wanted, ui).await,
    }
}

async fn push(client: &Client, wanted: Push, ui: &mut Ui) -> Result<Outcome, Problem> {
    // Before much is sent for nothing.
    let provider = provider(client, wanted.provider.as_deref()).await?;
    let name = match (&wanted.name, &wanted.reference) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(reference)) => Some(usual_name(reference)?),
        // That of the archive, which the server reads.
        (None, None) => None,
    };
    let archive = archive::open(&wanted).await?;
    let bar = Bar::new(archive.size, ui);
    bar.says(&format!("sending {}", name.as_deref().unwrap_or("the archive")));
    let (sent, counted) = (bar.clone(), archive.said.clone());
    let body = archive.into_body(move |bytes| sent.adds(bytes));
    let result = follow(client, &provider, name.as_deref(), body, &bar).await;
    bar.ends();
    // That the archive could not be made is why the request broke.
    let pushed = result.map_err(|problem| counted.take().unwrap_or(problem))?;
    match ui.json {
        true => ui.document(&pushed),
        false => show(&pushed, &provider, ui),
    }
    Ok(Outcome::Done)
}

async fn follow(
    client: &Client,
    provider: &ProviderInfo,
    name: Option<&str>,
    body: reqwest::Body,
    bar: &Bar,
) -> Result<Pushed, Problem> {
    let mut events = client.push_image(provider.name.as_str(), name, body).await?;
    bar.says(&format!("bringing it to {}", provider.name));
    loop {
        match events.next().await? {
            PushEvent::Progress { done, total } => bar.is_at(done, total),
            PushEvent::Pushed(pushed) => return Ok(pushed),
            PushEvent::Failed { problem } => return Err(problem),
        }
    }
}

async fn provider(client: &Client, named: Option<&str>) -> Result<ProviderInfo, Problem> {
    let list = client.providers().await?.providers;
    let is_meant = |info: &&ProviderInfo| named.map_or(info.default, |name| info.name.as_str() == name);
    let Some(found) = list.iter().find(is_meant) else {
        let known: Vec<&str> = list.iter().map(|info| info.name.as_str()).collect();
        let detail = format!("There is no provider {:?}.", named.unwrap_or_default());
        return Err(Problem::new(ErrorCode::UnknownProvider, detail)
            .with_action(format!("Use one of: {}.", known.join(", "))));
    };
    if !found.capabilities.push {
        let able: Vec<&str> =
            list.iter().filter(|info| info.capabilities.push).map(|info| info.name.as_str()).collect();
        let detail = format!("Images cannot be brought to the provider {}.", found.name);
        let action = match able.as_slice() {
            [] => "No provider of this server takes images.".to_owned(),
            able => format!("Name one that takes images with --provider: {}.", able.join(", ")),
        };
        return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(action));
    }
    Ok(found.clone())
}

/// Without the registry that it may be from: what is there is another image, and not changed by this.
fn usual_name(reference: &str) -> Result<String, Problem> {
    let path = match reference.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => reference,
    };
    let is_id = path.starts_with("sha256:") || path.contains('@');
    if is_id || path.is_empty() {
        let detail = format!("{reference} says no name that the image could have there.");
        return Err(
            Problem::new(ErrorCode::BadRequest, detail).with_action("Give it one with --name NAME:TAG.")
        );
    }
    let has_tag = path.rsplit('/').next().is_some_and(|last| last.contains(':'));
    Ok(if has_tag { path.to_owned() } else { format!("{path}:latest") })
}

fn show(pushed: &Pushed, provider: &ProviderInfo, ui: &mut Ui) {
    let (exact, setting) = (&pushed.exact, &pushed.setting);
    ui.say(format!("{} has it as {}", pushed.provider, pushed.image.reference));
    if *exact != pushed.image.reference {
        ui.say(format!("  exactly            {exact}"));
    }
    ui.say(format!("  new workspaces     {setting}={exact}, and start the server again"));
    if provider.capabilities.image {
        ui.say(format!("  one that is there  pilot ws update NAME --image {exact}"));
        ui.say(format!("  all of them        pilot rollout --provider {} --image {exact}", pushed.provider));
    }
}

/// On a terminal alone.
#[derive(Clone)]
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(size: Option<u64>, ui: &Ui) -> Self {
        let bar = ui.interactive.then(|| {
            let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
            style(&bar, size.is_some());
            bar.enable_steady_tick(TICK);
            bar
        });
        Self(bar)
    }

    fn says(&self, what: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(what.to_owned());
        }
    }

    fn adds(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    fn is_at(&self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            style(bar, true);
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn ends(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// The templates are constants; should one ever be wrong, the usual one is shown.
fn style(bar: &ProgressBar, has_end: bool) {
    let template = match has_end {
        true => "  {spinner} {msg} {wide_bar} {bytes}/{total_bytes} {eta}",
        false => "  {spinner} {msg} {bytes} {binary_bytes_per_sec} {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_called_there_as_here_but_for_its_registry() {
        for (reference, name) in [
            ("team/app:2", "team/app:2"),
            ("ghcr.io/team/app:2", "team/app:2"),
            ("localhost:5000/app", "app:latest"),
            ("app", "app:latest"),
        ] {
            assert_eq!(usual_name(reference).unwrap(), name);
        }
        for reference in ["sha256:1b18", "app@sha256:1b18"] {
            let problem = usual_name(reference).unwrap_err();
            assert!(problem.action.unwrap().contains("--name"), "{reference}");
        }
    }
}
