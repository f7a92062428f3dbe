//! Many stacks at once in one process: each is created, brought up, brought up again without changes,
//! destroyed and removed. Prints how long each step took (the median, in seconds), what failed, and the
//! most memory that this process needed.
//!
//! ```sh
//! cargo run --release -p automation --example many_stacks -- --pulumi "$(command -v pulumi)"
//! ```

// A program of a person, not a library.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod noop;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use automation::{Cli, Options, Outputs, Program, ResourceArgs, Stack, Workspace, program};
use clap::Parser;
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
    /// How many pulumi processes may run at once; each needs about 100 MB.
    #[arg(long, default_value_t = 16)]
    processes: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let cli = Cli::open(&arguments.pulumi).await?.with_processes(arguments.processes);
    let port = noop::serve().await?;
    let workspace = Workspace::temporary(cli, "bench")?.with_attached_provider("noop", port);

    let began = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..arguments.stacks {
        let stack = workspace.stack(&format!("stack-{number}"));
        running.spawn(life(stack, arguments.resources));
    }
    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut failures = 0;
    while let Some(ended) = running.join_next().await {
        match ended? {
            Ok(times) => {
                for (step, time) in times {
                    seconds.entry(step).or_default().push(time);
                }
            }
            Err(error) => {
                failures += 1;
                eprintln!("{error}");
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    let steps: BTreeMap<&str, f64> = seconds.into_iter().map(|(step, times)| (step, median(times))).collect();
    let report = serde_json::json!({
        "stacks": arguments.stacks,
        "failures": failures,
        "total_seconds": began.elapsed().as_secs_f64(),
        "median_seconds": steps,
        "peak_rss_mb": peak_memory(),
    });
    println!("{report}");
    Ok(())
}

async fn life(stack: Stack, resources: usize) -> automation::Result<Vec<(&'static str, f64)>> {
    let options = Options::default();
    let mut times = Vec::new();
    let mut began = Instant::now();
    let mut lap = |step| {
        times.push((step, began.elapsed().as_secs_f64()));
        began = Instant::now();
    };
    stack.create().await?;
    lap("create");
    stack.up(things(resources), &options).await?;
    lap("up");
    stack.up(things(resources), &options).await?;
    lap("up_again");
    stack.destroy(things(0), &options).await?;
    lap("destroy");
    stack.remove().await?;
    Ok(times)
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

/// In MB, as Linux counts it.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}
