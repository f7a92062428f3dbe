//! The init as a real process, where no OpenCode is needed: boots that fail, and the mock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails its test")]

use std::time::Duration;

use contracts::ErrorCode;
use contracts::assertion::Surface;
use contracts::identity::HealthStatus;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

#[path = "support/instance.rs"]
mod instance;
#[path = "support/signer.rs"]
mod signer;

use instance::{Instance, Setup, script};

const END: Duration = Duration::from_secs(8);

async fn stops_cleanly(mut instance: Instance) {
    instance.signal(Signal::TERM);
    let status = instance.wait_for_end(END).await.expect("it ends in time");
    assert_eq!(status.code(), Some(0), "log:\n{}", instance.log());
    assert_eq!(instance.labelled(), Vec::<i32>::new());
}

#[tokio::test]
async fn a_missing_opencode_is_told_by_health_and_by_every_request() {
    let instance = Setup::with("/nowhere/opencode").start();
    let health = instance.wait_for(HealthStatus::Failed).await;
    assert_eq!(health.code, Some(ErrorCode::OpencodeMissing));
    assert!(health.detail.unwrap().contains("/nowhere/opencode"));
    assert!(instance.log().contains("opencode_missing"));
    assert_eq!(health.identity.runtime_label, "demo");

    let (status, problem) = instance.api(Method::GET, "/api/session", Value::Null).await;
    assert_eq!((status, &problem["code"]), (503, &json!("opencode_missing")));
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn an_instance_boots_where_its_parents_session_has_no_number() {
    let instance = Setup { own_pid_namespace: true, ..Setup::with("/nowhere/opencode") }.start();
    let health = instance.wait_for(HealthStatus::Failed).await;
    assert_eq!(health.code, Some(ErrorCode::OpencodeMissing), "log:\n{}", instance.log());
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn a_taken_listen_port_ends_the_instance_with_its_code() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut instance = Setup { port: Some(port), ..Setup::with("/nowhere") }.start();
    let status = instance.wait_for_end(END).await.expect("it ends by itself");
    assert_eq!(status.code(), Some(3));
    assert!(instance.log().contains("port_in_use") && instance.log().contains(&port.to_string()));
}

#[tokio::test]
async fn a_repository_that_is_not_there_fails_the_boot_with_gits_words() {
    let instance = Setup::with("/nowhere").argument("--git-url=file:///nowhere/repo.git").start();
    let health = instance.wait_for(HealthStatus::Failed).await;
    assert_eq!(health.code, Some(ErrorCode::GitNotFound));
    assert!(health.detail.unwrap().contains("/nowhere/repo.git"));
    assert!(!instance.workspace().exists(), "nothing looks like a clone");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn a_slow_clone_is_seen_as_starting_and_can_be_stopped() {
    // Takes the connection into its backlog and stays silent.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("--git-url=http://{}/x.git", silent.local_addr().unwrap());
    let instance = Setup::with("/nowhere").argument(url).start();
    let cloning = instance::eventually("the clone", Duration::from_secs(10), async || {
        instance.health().await?.detail.filter(|detail| detail.contains("is being cloned"))
    });
    assert!(cloning.await.is_some(), "log:\n{}", instance.log());
    assert_eq!(instance.health().await.unwrap().status, HealthStatus::Starting);
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn an_opencode_that_cannot_live_is_given_up_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let binary = script(folder.path(), "echo 'the config is broken' >&2; exit 4");
    let instance = Setup::with(binary).start();
    let health = instance.wait_for(HealthStatus::Failed).await;
    assert_eq!(health.code, Some(ErrorCode::InstanceFailed));
    let detail = health.detail.unwrap();
    assert!(detail.contains("the config is broken") && detail.contains("exit status: 4"), "{detail}");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn detached_processes_are_ended_with_the_instance_even_if_they_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let binary =
        script(folder.path(), "(setsid sh -c 'trap : TERM; while :; do sleep 0.1; done' &)\nexec sleep 300");
    let instance = Setup::with(binary).start();
    let stubborn = instance::eventually("the tool", Duration::from_secs(10), async || {
        // Its leader, the stubborn shell, and the sleeps of both.
        (instance.labelled().len() >= 4).then_some(())
    });
    stubborn.await.expect("the script runs");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn programs_hear_of_a_hang_up_also_when_pilot_was_started_to_ignore_it() {
    let folder = tempfile::tempdir().unwrap();
    let binary = script(
        folder.path(),
        "grep SigIgn /proc/self/status > $HOME/new; mv $HOME/new $HOME/ignored; exec sleep 300",
    );
    let instance = Setup { nohup: true, ..Setup::with(binary) }.start();
    let told = instance.home.path().join("ignored");
    let ignored = instance::eventually("the script", Duration::from_secs(10), async || {
        std::fs::read_to_string(&told).ok()
    });
    let ignored = ignored.await.expect("the script runs");
    let bits = u64::from_str_radix(ignored.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(bits & 1, 0, "SIGHUP is ignored: {ignored}");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn ended_orphans_do_not_stay_as_zombies() {
    let folder = tempfile::tempdir().unwrap();
    let binary = script(folder.path(), "(sh -c 'sleep 0.2; touch $HOME/ended' &)\nexec sleep 300");
    let instance = Setup::with(binary).start();
    let zombies = || {
        let mine = format!(" {} ", instance.pid());
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
            .filter(|stat| {
                stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z") && rest.contains(&mine))
            })
            .count()
    };
    let ended = instance.home.path().join("ended");
    instance::eventually("the orphan's end", Duration::from_secs(10), async || ended.exists().then_some(()))
        .await
        .expect("the script runs");
    let none =
        instance::eventually("no zombie", Duration::from_secs(5), async || (zombies() == 0).then_some(()));
    none.await.expect("orphans are collected");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn without_a_key_the_instance_is_healthy_and_refuses_everyone() {
    let setup = Setup { without_key: true, ..Setup::with("unused") };
    let instance = setup.argument("--adapter=mock").start();
    instance.wait_for(HealthStatus::Ok).await;
    let (status, problem) = instance.api(Method::GET, "/api/session", Value::Null).await;
    assert_eq!((status, &problem["code"]), (401, &json!("unauthorized")));
    assert!(problem["detail"].as_str().unwrap().contains("gateway-key"), "{problem}");
}

#[tokio::test]
async fn the_mock_serves_both_surfaces_without_opencode() {
    let instance = Setup::with("unused").argument("--adapter=mock").start();
    instance.wait_for(HealthStatus::Ok).await;
    let (status, session) = instance.api(Method::POST, "/api/session", json!({"title": "t"})).await;
    assert_eq!((status, &session["title"]), (200, &json!("t")));
    let page = instance.request(Surface::Ui, Method::GET, "/").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    stops_cleanly(instance).await;
}

#[tokio::test]
async fn boot_files_from_the_environment_are_in_the_home_and_in_no_process() {
    use base64::Engine as _;
    let canary = "canary-of-the-boot-files";
    let content = base64::engine::general_purpose::STANDARD.encode(canary);
    let delivered = json!({".config/secret": content}).to_string();
    let folder = tempfile::tempdir().unwrap();
    let binary = script(folder.path(), "exec sleep 300");
    let environment = vec![("PILOT_BOOT_FILES".to_owned(), delivered)];
    let instance = Setup { environment, ..Setup::with(binary) }.start();
    instance.wait_for(HealthStatus::Starting).await;
    let started = instance::eventually("both run", Duration::from_secs(10), async || {
        (instance.labelled().len() >= 2).then_some(())
    });
    started.await.expect("the script runs");
    assert_eq!(std::fs::read_to_string(instance.home.path().join(".config/secret")).unwrap(), canary);
    for pid in instance.labelled() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        assert!(
            !environment.contains("PILOT_BOOT_FILES") && !environment.contains(&content),
            "process {pid}"
        );
    }
    stops_cleanly(instance).await;
}
