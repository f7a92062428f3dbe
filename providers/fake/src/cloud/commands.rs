//! The few programs that are on a machine of this cloud.

use provider_api::Executed;

use super::Files;

const HOME: &str = "/home/pilot/";

pub(crate) async fn run(command: &[String], home: &Files) -> Executed {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["true"] => left(0, "", ""),
        ["false"] => left(1, "", ""),
        ["echo", rest @ ..] => left(0, &format!("{}\n", rest.join(" ")), ""),
        ["cat", path] => match home.get(path.strip_prefix(HOME).unwrap_or(path)) {
            Some(content) => Executed { stdout: content.into(), ..left(0, "", "") },
            None => left(1, "", &format!("cat: {path}: No such file or directory\n")),
        },
        ["sleep", seconds] => match seconds.parse() {
            Ok(seconds) => {
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
                left(0, "", "")
            }
            Err(_) => left(1, "", &format!("sleep: invalid time interval {seconds}\n")),
        },
        _ => left(127, "", &format!("there is no program {}\n", words.first().unwrap_or(&""))),
    }
}

fn left(exit_code: i32, stdout: &str, stderr: &str) -> Executed {
    Executed { exit_code, stdout: stdout.into(), stderr: stderr.into() }
}
