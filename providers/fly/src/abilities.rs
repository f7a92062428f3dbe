//! Commands inside an instance, and what it is made from.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::boot::USER;
use contracts::workspace::Image;
use provider_api::{Exec, Executed, Images, ProviderError, Result, RuntimeRef};
use provider_kit::command::{ENDED, KILLED, Wrapped};
use provider_kit::errors;

use crate::failure::error;
use crate::instance::Instance;
use crate::lifecycle::FlyLifecycle;
use crate::wire;

const LONGEST_COMMAND: Duration = Duration::from_secs(30);
/// Before Fly ends it, with which its output would be lost: a second to end by itself, and one for the answer.
const BEFORE_FLY: Duration = Duration::from_secs(2);
/// What a shell says of a program that a signal ended.
const BY_SIGNAL: i32 = 128;

#[async_trait]
impl Exec for FlyLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        if limit > LONGEST_COMMAND {
            let message =
                format!("Fly ends a command after {LONGEST_COMMAND:?}, so it cannot be given {limit:?}");
            return Err(ProviderError::new(ErrorCode::BadRequest, message).with_action(
                "Let a longer command go on in the background, and ask again for what it has done.",
            ));
        }
        let instance = Instance::new(&self.fly, runtime);
        let machine = instance.must_find().await?;
        let limit = limit.min(LONGEST_COMMAND - BEFORE_FLY);
        let wrapped = Wrapped::limited(command, limit, Some(USER));
        let began = Instant::now();
        let call = self.fly.client()?.exec(&instance.app, &machine.id, &wrapped.words, limit + BEFORE_FLY);
        let done = match call.await {
            Ok(done) => done,
            Err(failure) => {
                let failed = error(failure, "run the command");
                return Err(ended(&instance, &machine).await.unwrap_or(failed));
            }
        };
        let exit_code = if done.exit_signal > 0 { BY_SIGNAL + done.exit_signal } else { done.exit_code };
        let mut complaints = wrapped.complaints();
        complaints.add(done.stderr.as_bytes());
        let complaints = complaints.finish();
        let is_over = began.elapsed() >= limit && matches!(exit_code, ENDED | KILLED);
        match complaints {
            Ok(stderr) if is_over => Ok(Executed::late(done.stdout, stderr)),
            Ok(stderr) if exit_code != KILLED => Ok(Executed::new(exit_code, done.stdout, stderr)),
            complaints => {
                if let Some(ended) = ended(&instance, &machine).await {
                    return Err(ended);
                }
                let program = command.first().map_or("", String::as_str);
                let stderr = complaints.map_err(|why| errors::not_begun(program, &why))?;
                Ok(Executed::new(exit_code, done.stdout, stderr))
            }
        }
    }
}

/// When the machine does not run any more, or has booted again. One that cannot be looked at is taken to run.
async fn ended(instance: &Instance<'_>, before: &wire::Machine) -> Option<ProviderError> {
    let now = instance.find().await.ok()?;
    let runs = now.is_some_and(|now| now.state == before.state && now.instance_id == before.instance_id);
    (!runs).then(|| errors::ended_meanwhile(("machine", &before.id)))
}

#[async_trait]
impl Images for FlyLifecycle {
    fn default_reference(&self) -> Result<String> {
        Ok(self.fly.settings.require("image")?.to_owned())
    }

    /// Fly looks when it makes the machine. A reference by digest is exact; a tag is looked up anew with each change. `Registry::look` of
    /// `provider-http` is not asked here: it would need a login of ours for what Fly alone can pull, and would tell what Fly's answer
    /// about the machine tells anyway (`ImageRef::exact`), from which what is made again is made.
    async fn resolve(&self, reference: &str) -> Result<Image> {
        Ok(Image::named(reference))
    }
}
