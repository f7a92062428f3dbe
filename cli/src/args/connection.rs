//! How a running Pilot is named. In which order: `connection`.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use url::Url;

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
    /// The variable alone: see `FromVariable`.
    #[arg(long, global = true, env = "PILOT_TOKEN", hide = true, value_parser = FromVariable)]
    pub token: Option<String>,
}

/// Refuses a secret among the arguments, which other users of the machine can read, and does not repeat it.
#[derive(Clone)]
struct FromVariable;

impl TypedValueParser for FromVariable {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn parse_ref_(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<String, clap::Error> {
        if source == ValueSource::CommandLine {
            let refusal = "--token is not taken: other users of this machine can read a program's arguments.\n\n  \
                           Use the variable PILOT_TOKEN, or --token-file PATH; `pilot login URL` stores it for good.\n";
            return Err(clap::Error::raw(ErrorKind::ValueValidation, refusal).with_cmd(command));
        }
        self.parse_ref(command, argument, value)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    #[test]
    fn a_token_among_the_arguments_is_refused_and_not_repeated() {
        for line in ["pilot ws ls --token secret-1", "pilot ws --token=secret-1 ls"] {
            let error = Args::try_parse_from(line.split(' ')).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(text.contains("--token-file PATH") && text.contains("pilot login"), "{text}");
            assert!(!text.contains("secret-1"), "{text}");
        }
    }

    #[test]
    fn a_token_in_the_variable_is_taken() {
        let command = clap::Command::new("pilot");
        let parse = |source| FromVariable.parse_ref_(&command, None, OsStr::new("secret-1"), source);
        assert_eq!(parse(ValueSource::EnvVariable).unwrap(), "secret-1");
    }
}
