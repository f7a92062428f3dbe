use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::*;

fn opencode() -> OpenCode {
    OpenCode {
        binary: "opencode".into(),
        port: 4096,
        password: "secret".to_owned(),
        home: "/home/pilot".into(),
        workspace: "/home/pilot/workspace".into(),
    }
}

#[test]
fn the_password_is_in_the_environment_and_not_on_the_command_line() {
    let command = command(&opencode());
    let arguments: Vec<_> = command.as_std().get_args().map(OsStr::to_string_lossy).collect();
    assert_eq!(arguments, ["serve", "--hostname", "127.0.0.1", "--port", "4096"]);
    let environment: HashMap<_, _> = command.as_std().get_envs().collect();
    assert_eq!(environment[OsStr::new("OPENCODE_SERVER_PASSWORD")], Some(OsStr::new("secret")));
}

#[test]
fn settings_of_the_shell_around_pilot_do_not_move_the_state_out_of_the_home() {
    let command = command(&opencode());
    let environment: HashMap<OsString, Option<OsString>> =
        command.as_std().get_envs().map(|(name, value)| (name.into(), value.map(Into::into))).collect();
    assert_eq!(environment[OsStr::new("HOME")], Some("/home/pilot".into()));
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "OPENCODE_DB", "OPENCODE_SERVER_USERNAME"] {
        assert_eq!(environment[OsStr::new(name)], None, "{name} is removed");
    }
}

#[test]
fn a_binary_that_is_not_there_is_named_with_its_code() {
    let error = io::Error::from(io::ErrorKind::NotFound);
    let Event::GaveUp { code, why } = cannot_start(&opencode(), &error) else {
        panic!("there is nothing to try again");
    };
    assert_eq!(code, ErrorCode::OpencodeMissing);
    assert!(why.contains("opencode_missing") && why.contains("opencode"), "{why}");
}

#[tokio::test]
async fn a_port_that_stays_taken_is_noticed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(!port_is_free(port).await);
    drop(listener);
    assert!(port_is_free(port).await);
}
