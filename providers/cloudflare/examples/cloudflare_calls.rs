//! How many calls Cloudflare sees for one create, of its API and of the Worker together, told by the
//! simulator. Prints a JSON object; `cargo xtask bench provider` reads it. Its argument is `pilot-instance`.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "its output is what it is for")]

use std::path::PathBuf;

use contracts::RuntimeId;
use provider_api::RuntimeSpec;
use provider_api::conformance::{Backdoor as _, Stack};
use provider_cloudflare::conformance::World;
use serde_json::json;

#[tokio::main]
async fn main() {
    let init = PathBuf::from(std::env::args_os().nth(1).expect("give the path of pilot-instance"));
    let world = World::start(&init).await;
    let provider = world.provider();
    world.apply_shared(&provider).await.expect("the shared stack is applied");
    let spec = || {
        RuntimeSpec::new(
            RuntimeId::random(),
            world.installation.clone(),
            provider.describe().sizes[0].name.clone(),
        )
    };
    let total = async || {
        let (api, worker) = world.calls().await;
        api + worker
    };
    Stack::new(provider.clone(), spec()).up().await;
    let before = total().await;
    Stack::new(provider.clone(), spec()).up().await;
    println!("{}", json!({"cloudflare_create_calls": total().await - before}));
    world.sweep(&world.installation).await;
}
