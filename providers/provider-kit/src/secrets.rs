//! How a fork leaves the secrets of its original out, where a shell does it: see [`contracts::secrets::BELOW_HOME`].

/// The shell's function `leave_out PATH...`, for a script that has the home in `$HOME`. It fails when something stays.
pub const LEAVE_OUT: &str = include_str!("secrets.sh");
