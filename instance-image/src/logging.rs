//! Log lines to standard error, one per event, without colours: providers keep them as the log tail.

use tracing::level_filters::LevelFilter;

/// Starts logging. A second call changes nothing.
pub fn start(level: LevelFilter) {
    let started = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        // A line that cannot be written is lost; telling so on the same full disk would be a panic.
        .log_internal_errors(false)
        .with_max_level(level);
    // It fails only where a subscriber is already set, which logs as well.
    let _ = started.try_init();
}
