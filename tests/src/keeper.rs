//! The containers that keep the rules of a Docker host, seen without any of Pilot's code.

use std::process::Command;

/// Of this installation; at most one for each host.
pub fn keepers(installation: &str) -> Vec<String> {
    let filter = format!("label=pilot.egress={installation}");
    let listed = docker(&["ps", "--all", "--quiet", "--filter", &filter]).unwrap_or_default();
    listed.lines().map(str::to_owned).collect()
}

/// With their rules: one that is told to takes them along.
pub fn remove_keepers(installation: &str) {
    for keeper in keepers(installation) {
        if docker(&["kill", "--signal", "USR1", &keeper]).is_some() {
            docker(&["wait", &keeper]);
        }
        docker(&["rm", "--force", &keeper]);
    }
}

fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
