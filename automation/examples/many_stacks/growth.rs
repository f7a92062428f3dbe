//! How much of its operations stays in a process of the engine host.

use pulumi_auto::{Stack, Workspace};
use tokio::task::JoinSet;

use super::{Arguments, memory, options, things};

/// Brings all stacks up in turns, and tells the growth of the second half: by then, what is kept for each stack is there.
pub async fn measure(
    workspace: &Workspace,
    arguments: &Arguments,
    operations: usize,
) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let mut halves = Vec::new();
    let mut done = 0;
    for end in [operations / 2, operations] {
        let mut running: JoinSet<pulumi_auto::Result<()>> = JoinSet::new();
        while done < end || !running.is_empty() {
            while done < end && running.len() < arguments.at_once as usize {
                let stack = workspace.stack(&format!("stack-{}", done % arguments.stacks));
                // One stack is never worked on twice at once: there are more stacks than turns.
                let resources = arguments.resources + (done / arguments.stacks) % 2;
                running.spawn(async move { once(stack, resources).await });
                done += 1;
            }
            if let Some(ended) = running.join_next().await {
                ended??;
            }
        }
        halves.push(host_resident());
    }
    Ok(serde_json::json!({
        "operations": operations,
        "stacks": arguments.stacks,
        "host_rss_mb": halves,
        "host_rss_per_1000_ops_mb": (halves[1] - halves[0]) / (operations as f64 / 2000.0),
    }))
}

/// Every second time a resource is made, and deleted the next time.
async fn once(stack: Stack, resources: usize) -> pulumi_auto::Result<()> {
    stack.ensure().await?;
    stack.up(things(resources)).with(&options()).await.map(drop)
}

fn host_resident() -> f64 {
    memory::children().iter().map(|pid| memory::resident(pid)).fold(0.0, f64::max)
}
