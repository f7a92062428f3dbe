//! How a running Pilot is named. In which order: `connection`.

use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use url::Url;

use crate::args::Args;

/// How to reach a running Pilot.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// The orchestrator [default: --context, else the server of the data folder if it runs, else the current context,
    /// else http://127.0.0.1:14010]
    #[arg(long, global = true, env = "PILOT_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// The gateway [default: as for --server, on this machine http://127.0.0.1:14080]
    #[arg(long, global = true, env = "PILOT_GATEWAY", value_name = "URL")]
    pub gateway: Option<Url>,
    /// A server that `pilot login` has stored; `pilot context ls` lists them
    #[arg(long, global = true, env = "PILOT_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// A file with the token [default: the variable PILOT_TOKEN, else the context's, else secrets/admin-token of the
    /// data folder]
    #[arg(long, global = true, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// A file (PEM) with the only authorities to trust for https:// [default: the context's, else the machine's, or
    /// those of SSL_CERT_FILE]
    #[arg(long, global = true, env = "PILOT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The variable PILOT_TOKEN, and no argument: see `without_token`.
    #[arg(skip = std::env::var("PILOT_TOKEN").ok())]
    pub token: Option<String>,
}

/// Refuses a secret among the arguments, which other users of the machine can read, and does not repeat it. No such option
/// is known, so that nothing offers it.
pub fn without_token(error: clap::Error) -> clap::Error {
    let is_it =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(text)) if text == "--token");
    if error.kind() != ErrorKind::UnknownArgument || !is_it {
        return error;
    }
    let refusal = "--token is not taken: other users of this machine can read a program's arguments.\n\n  \
                   Use the variable PILOT_TOKEN, or --token-file PATH; `pilot login URL` stores it for good.\n";
    clap::Error::raw(ErrorKind::ValueValidation, refusal).with_cmd(&Args::command())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_among_the_arguments_is_refused_and_not_repeated() {
        for line in ["pilot ws ls --token secret-1", "pilot ws --token=secret-1 ls"] {
            let error = Args::of(line.split(' ')).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(text.contains("--token-file PATH") && text.contains("pilot login"), "{text}");
            assert!(!text.contains("secret-1"), "{text}");
        }
    }
}
