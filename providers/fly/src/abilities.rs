//! Commands inside an instance, and what it is made from.

use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{Exec, Executed, Images, ProviderError, Result, RuntimeRef};

use crate::failure::error;
use crate::instance::Instance;
use crate::lifecycle::FlyLifecycle;

const LONGEST_COMMAND: Duration = Duration::from_secs(30);
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
        let done = self.fly.client()?.exec(&instance.app, &machine.id, command, limit).await;
        let done = done.map_err(|failure| error(failure, "run the command"))?;
        let exit_code = if done.exit_signal > 0 { BY_SIGNAL + done.exit_signal } else { done.exit_code };
        Ok(Executed { exit_code, stdout: done.stdout.into(), stderr: done.stderr.into() })
    }
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
