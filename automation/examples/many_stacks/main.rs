//! Many stacks at once in one process: each is created, brought up, brought up again without changes,
//! destroyed and removed. Prints how long each step took (the median, in seconds), what failed, and the
//! most memory that this process and the engine host needed.
//!
//! ```sh
//! cargo run --release -p pulumi-auto --example many_stacks -- --pulumi "$(command -v pulumi)"
//! cargo run --release -p pulumi-auto --example many_stacks -- --host "$(command -v pilot-engine)"
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod growth;
mod memory;
mod noop;
#[path = "../../tests/support/cloud/rpc.rs"]
mod rpc;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use pulumi_auto::{Cli, Engine, Host, Options, Outputs, Program, ResourceArgs, Stack, Workspace, program};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bring many stacks up and down at once.
#[derive(Parser)]
struct Arguments {
    /// The pulumi program.
    #[arg(long, default_value = "pulumi")]
    pulumi: String,
    #[arg(long, default_value_t = 200)]
    stacks: usize,
    /// Resources in each stack.
    #[arg(long, default_value_t = 3)]
    resources: usize,
    /// How many stacks are at work at once; with the pulumi program each needs about 100 MB.
    #[arg(long, default_value_t = 16)]
    at_once: u32,
    /// The engine host to use instead of the pulumi program.
    #[arg(long)]
    host: Option<PathBuf>,
    /// Instead of whole lives: bring the stacks up again and again, so many operations in all, in one process of the
    /// engine host, and tell how its memory grows.
    #[arg(long, requires = "host")]
    operations: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let engine: Arc<dyn Engine> = match &arguments.host {
        // Its growth is measured, so it is not recycled.
        Some(path) => Arc::new(Host::open(path).await?.with_runs(arguments.at_once).recycle_above(u64::MAX)),
        None => Arc::new(Cli::open(&arguments.pulumi).await?),
    };
    let port = noop::serve().await?;
    let workspace =
        Workspace::temporary(engine, "bench")?.with_empty_passphrase().with_attached_provider("noop", port);
    if arguments.host.is_some() {
        // The first run pays for what later ones find warm.
        life(workspace.stack("first"), 1).await?;
    }

    if let Some(operations) = arguments.operations {
        println!("{}", growth::measure(&workspace, &arguments, operations).await?);
        return Ok(());
    }

    let began = Instant::now();
    let turns = Arc::new(Semaphore::new(arguments.at_once as usize));
    let mut running = JoinSet::new();
    for number in 0..arguments.stacks {
        let stack = workspace.stack(&format!("stack-{number}"));
        let turn = Arc::clone(&turns);
        running.spawn(async move {
            // It is never closed, so every stack has its turn.
            let _turn = turn.acquire().await;
            life(stack, arguments.resources).await
        });
    }
    let mut laps: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
    let mut failures = 0;
    while let Some(ended) = running.join_next().await {
        match ended? {
            Ok(life) => {
                for (step, cost) in life {
                    laps.entry(step).or_default().push(cost);
                }
            }
            Err(error) => {
                failures += 1;
                eprintln!("{error}");
            }
        }
    }
    let median = |value: fn(&Cost) -> f64| -> BTreeMap<&str, f64> {
        laps.iter().map(|(step, costs)| (*step, middle(costs.iter().map(value).collect()))).collect()
    };
    let report = serde_json::json!({
        "stacks": arguments.stacks,
        "failures": failures,
        "total_seconds": began.elapsed().as_secs_f64(),
        "median_seconds": median(|cost| cost.seconds),
        "median_written_bytes": median(|cost| cost.written),
        "peak_rss_mb": memory::peak("self"),
        "host_peak_rss_mb": memory::children().iter().map(|pid| memory::peak(pid)).fold(0.0, f64::max),
    });
    println!("{report}");
    Ok(())
}

/// What one step of one stack took.
struct Cost {
    seconds: f64,
    /// Bytes that the engine host wrote to the disk meanwhile; only of one stack at a time it means something.
    written: f64,
}

async fn life(stack: Stack, resources: usize) -> pulumi_auto::Result<Vec<(&'static str, Cost)>> {
    let options = options();
    let mut laps = Vec::new();
    let mut began = (Instant::now(), memory::written());
    let mut lap = |step| {
        let now = (Instant::now(), memory::written());
        laps.push((step, Cost { seconds: (now.0 - began.0).as_secs_f64(), written: now.1 - began.1 }));
        began = now;
    };
    stack.create().await?;
    lap("create");
    stack.up(things(resources)).with(&options).await?;
    lap("up");
    stack.up(things(resources)).with(&options).await?;
    lap("up_again");
    stack.destroy(things(0)).with(&options).await?;
    lap("destroy");
    stack.remove().await?;
    Ok(laps)
}

/// What it needs serves already, so nothing is looked for on the network.
fn options() -> Options {
    Options::default().install_plugins(false)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn things(count: usize) -> Arc<dyn Program> {
    program(move |context| async move {
        for number in 0..count {
            context
                .register(ResourceArgs {
                    resource_type: "noop:index:Thing".to_owned(),
                    name: format!("thing-{number}"),
                    inputs: BTreeMap::from([("label".to_owned(), "one".into())]),
                    ..ResourceArgs::default()
                })
                .await?;
        }
        Ok(Outputs::from([("url".to_owned(), "http://example.com".into())]))
    })
}
