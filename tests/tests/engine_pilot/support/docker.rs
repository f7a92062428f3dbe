//! Docker as a user types it, and images of a test's own.

use std::process::Command;

/// What a command of Docker's says.
pub fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An image of this test's own: Pilot's, and what the lines add to it. Removed with it.
pub struct TestImage(pub String);

impl TestImage {
    pub fn build(name: &str, lines: &str) -> Self {
        let image = Self(format!("pilot-update-test:{name}-{}", std::process::id()));
        let usual = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), format!("FROM {usual}\n{lines}\n")).unwrap();
        let mut build = Command::new("docker");
        build.args(["build", "--quiet", "--tag", &image.0]).arg(folder.path()).env("DOCKER_BUILDKIT", "0");
        let built = build.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        image
    }

    pub fn id(&self) -> String {
        docker(&["image", "inspect", "--format", "{{.Id}}", &self.0])
    }
}

impl Drop for TestImage {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
    }
}
