//! `pilot login` and `pilot context`: servers that are kept by name, with their tokens.

use contracts::{ErrorCode, Problem};
use serde_json::json;
use url::Url;

use crate::Outcome;
use crate::args::{self, ContextCommand, Folders, Login};
use crate::client::{Client, Target};
use crate::connection::{checked, is_loopback, usable};
use crate::contexts::{Context, Contexts};
use crate::ui::Ui;

/// More bytes than any token has.
const MOST_TOKEN: u64 = 64 * 1024;

pub async fn run(login: Login, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    let server = usable(login.url.clone())?;
    let gateway = login.gateway.clone().map(usable).transpose()?;
    let ca = login.ca.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let name = login.name.clone().unwrap_or_else(|| host(&server));
    // Before anything is asked: what cannot be kept need not be typed.
    Contexts::read(&folders.config)?;
    check_name(&name)?;
    if server.scheme() == "http" && !is_loopback(&server) {
        ui.note("warning: http:// sends the token so that everybody on the way can read it; use https:// or `ssh -L`.");
    }
    let token = token(&login, &server, ui)?;

    let why = format!("context {name}");
    let target = Target {
        server: server.clone(),
        gateway: gateway.clone(),
        ca: ca.clone(),
        context: Some(name.clone()),
        why,
    };
    let providers = Client::new(target, Some(token.clone()))?.providers().await?.providers;
    Contexts::change(&folders.config, |contexts| {
        contexts.contexts.insert(name.clone(), Context { server: server.clone(), gateway, ca, token });
        contexts.current = Some(name.clone());
        Ok(())
    })?;

    let providers: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
    match ui.json {
        true => ui.document(&json!({ "name": name, "server": server, "providers": providers })),
        false => ui.say(format!(
            "Reached the Pilot at {server} (providers: {}). {name} is the current context now.",
            providers.join(", ")
        )),
    }
    Ok(Outcome::Done)
}

pub fn context(context: args::Context, folders: &Folders, ui: &mut Ui) -> Result<Outcome, Problem> {
    match context.command {
        ContextCommand::Ls => list(&Contexts::read(&folders.config)?, ui),
        ContextCommand::Use { name } => {
            let choose = |contexts: &mut Contexts| {
                contexts.get(&name)?;
                contexts.current = Some(name);
                Ok(())
            };
            changed(&Contexts::change(&folders.config, choose)?, ui);
        }
        ContextCommand::Rm { name } => {
            let forget = |contexts: &mut Contexts| {
                contexts.get(&name)?;
                contexts.contexts.remove(&name);
                contexts.current.take_if(|current| *current == name);
                Ok(())
            };
            changed(&Contexts::change(&folders.config, forget)?, ui);
        }
    }
    Ok(Outcome::Done)
}

fn list(contexts: &Contexts, ui: &mut Ui) {
    let is_current = |name: &str| contexts.current.as_deref() == Some(name);
    if ui.json {
        let all = contexts.contexts.iter().map(|(name, context)| {
            let (server, gateway) = (&context.server, &context.gateway);
            json!({ "name": name, "current": is_current(name), "server": server, "gateway": gateway, "ca": context.ca })
        });
        ui.document(&json!({ "contexts": all.collect::<Vec<_>>() }));
        return;
    }
    if contexts.contexts.is_empty() {
        ui.note("There are no contexts. `pilot login URL` makes one.");
        return;
    }
    let row = |(name, context): (&String, &Context)| {
        let gateway = context.gateway.as_ref().map(ToString::to_string).unwrap_or_default();
        let mark = if is_current(name) { "*" } else { "" };
        vec![name.clone(), mark.to_owned(), context.server.to_string(), gateway]
    };
    let rows: Vec<_> = contexts.contexts.iter().map(row).collect();
    ui.table(&["NAME", "CURRENT", "SERVER", "GATEWAY"], &rows);
}

fn changed(contexts: &Contexts, ui: &mut Ui) {
    match (ui.json, contexts.current()) {
        (true, _) => ui.document(&json!({ "current": contexts.current })),
        (false, Some((name, context))) => {
            ui.say(format!("The current context is {name}, {}.", context.server))
        }
        (false, None) => ui.say("There is no current context now; `pilot context use NAME` chooses one."),
    }
}

fn token(login: &Login, server: &Url, ui: &mut Ui) -> Result<String, Problem> {
    let unread = |error: std::io::Error| {
        Problem::new(ErrorCode::BadRequest, format!("The token cannot be read: {error}."))
            .with_action("Give it with --token-stdin.")
    };
    if login.token_stdin {
        return checked(&ui.piped(MOST_TOKEN).map_err(unread)?);
    }
    if !ui.interactive {
        let detail = format!("Nobody can be asked here for the token of {server}.");
        return Err(Problem::new(ErrorCode::BadRequest, detail)
            .with_action(format!("`pilot login {server} --token-stdin < FILE` reads it.")));
    }
    checked(&ui.secret(&format!("Token of {server}")).map_err(unread)?)
}

/// `pilot.example.com`, as the URL has it.
fn host(server: &Url) -> String {
    server.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

fn check_name(name: &str) -> Result<(), Problem> {
    let is_good = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.:@/".contains(c));
    is_good.then_some(()).ok_or_else(|| {
        Problem::new(ErrorCode::BadRequest, format!("{name:?} is no name for a context."))
            .with_action("Use letters, digits, '-', '_' and '.', as in `--name prod`.")
    })
}
