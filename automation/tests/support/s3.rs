//! A server of S3's protocol, for one test. It is a Go program of the engine host's module; Go keeps what it built.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

pub struct S3 {
    server: Child,
    address: String,
}

impl S3 {
    /// What whoever opens the bucket needs to have. Not every server keeps the checksums of replaced objects right.
    pub const ENV: [(&'static str, &'static str); 4] = [
        ("AWS_ACCESS_KEY_ID", "of-the-test"),
        ("AWS_SECRET_ACCESS_KEY", "of-the-test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required"),
    ];

    /// It ends with its standard input, also when this process is killed.
    pub fn start() -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/host");
        let built = tempfile::tempdir().unwrap();
        let program = built.path().join("s3");
        let go = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg("./s3server")
            .current_dir(folder)
            .status();
        assert!(go.expect("Go is installed").success());
        let mut server = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { server, address: address.trim().to_owned() }
    }

    /// Of a bucket that is there and empty.
    pub fn url(&self) -> String {
        format!("s3://states?region=us-east-1&s3ForcePathStyle=true&endpoint={}", self.address)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        let _ = self.server.wait();
    }
}
