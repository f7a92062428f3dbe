//! Load for `cargo xtask bench orchestrator`: a real `pilot serve` with the fake provider, real Pulumi stacks, and the
//! requests of many clients. Prints one JSON object: what each metric came to.

// A program of the benchmark: what fails ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "load/clients.rs"]
mod clients;
#[path = "load/found.rs"]
mod found;
#[path = "../../automation/tests/support/postgres.rs"]
mod postgres;
#[path = "load/server.rs"]
mod server;
#[path = "load/stored.rs"]
mod stored;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use postgres::Postgres;
use server::Server;

#[derive(Parser)]
struct Arguments {
    /// The `pilot` to measure.
    #[arg(long)]
    pilot: PathBuf,
    /// How many workspaces are made.
    #[arg(long, default_value_t = 500)]
    creates: usize,
    /// How many clients ask at once.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// How long the mixed load lasts, in seconds.
    #[arg(long, default_value_t = 300)]
    mixed_seconds: u64,
    /// How many workspaces are stored for lists and rounds.
    #[arg(long, default_value_t = 10_000)]
    stored: usize,
    /// How many run, when some of their machines are removed.
    #[arg(long, default_value_t = 1_000)]
    running: usize,
}

type Metrics = BTreeMap<&'static str, f64>;

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut metrics = Metrics::new();
    one_machine(&arguments, &mut metrics).await;
    stored::measure(&arguments.pilot, arguments.stored, &mut metrics).await;
    found::measure(&arguments.pilot, arguments.running, arguments.clients, &mut metrics).await;
    shared(&arguments, &mut metrics).await;
    println!("{}", serde_json::to_string(&metrics).unwrap());
}

/// SQLite: whole creates with real stacks, the mixed load beside what they have made, and a restart.
async fn one_machine(arguments: &Arguments, metrics: &mut Metrics) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&arguments.pilot, folder.path(), None).await;
    let began = Instant::now();
    clients::create(&server, "w", arguments.creates, arguments.clients).await;
    clients::all_ended(&server, arguments.creates).await;
    metrics.insert("create_fake_per_s", arguments.creates as f64 / began.elapsed().as_secs_f64());
    let mixed =
        clients::mixed(&server, arguments.creates, 180, Duration::from_secs(arguments.mixed_seconds)).await;
    metrics.insert("mixed_p50_ms", mixed.percentile(50));
    metrics.insert("mixed_p99_ms", mixed.percentile(99));
    metrics.insert("mixed_errors", mixed.errors as f64);
    metrics.insert("mixed_per_s", mixed.rate);
    metrics.insert("rss_after_mixed_mb", server.rss_mb());
    server.end();
    let began = Instant::now();
    server.again(&arguments.pilot).await;
    metrics.insert("restart_ready_ms", began.elapsed().as_secs_f64() * 1000.0);
    server.end();
    // Accepting alone: the provider has no room, so that nothing runs meanwhile.
    metrics.insert("accepted_per_s", accepted(arguments, None).await);
}

/// PostgreSQL: accepting, and how soon another takes over what one that died has begun.
async fn shared(arguments: &Arguments, metrics: &mut Metrics) {
    let database = Postgres::start();
    metrics.insert("accepted_postgres_per_s", accepted(arguments, Some(&database.url())).await);
    let database = Postgres::start();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut dying = Server::start(&arguments.pilot, one.path(), Some(&database.url())).await;
    server::copy_folder(&one.path().join("secrets"), &other.path().join("secrets"));
    clients::create(&dying, "t", 64, 64).await;
    let heir = Server::start(&arguments.pilot, other.path(), Some(&database.url())).await;
    dying.kill();
    let began = Instant::now();
    clients::all_ended(&heir, 64).await;
    metrics.insert("takeover_s", began.elapsed().as_secs_f64());
}

async fn accepted(arguments: &Arguments, database: Option<&str>) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&arguments.pilot, folder.path(), database).await;
    server.hold_back();
    let count = 2 * arguments.creates;
    let began = Instant::now();
    clients::create(&server, "a", count, arguments.clients).await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    server.kill();
    rate
}
