//! Log lines to standard error, one per event, without colours: providers keep them as the log tail.

use tracing::level_filters::LevelFilter;

/// Starts logging. A second call changes nothing.
pub fn start(level: LevelFilter) {
    let started = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level);
    // It fails only where a subscriber is already set, which logs as well.
    let _ = started.try_init();
}
