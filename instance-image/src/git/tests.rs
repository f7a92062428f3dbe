use super::*;

fn source(url: &str, reference: Option<&str>) -> Source {
    Source { url: url.to_owned(), reference: reference.map(str::to_owned), timeout: Duration::from_secs(30) }
}

/// A repository with one file on `main` and one more on `other`.
fn repository(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "git {arguments:?}");
    };
    git(&["init", "-b", "main"]);
    std::fs::write(folder.join("hello.txt"), "hello").unwrap();
    git(&["add", "."]);
    git(&["commit", "-m", "first"]);
    git(&["checkout", "-b", "other"]);
    std::fs::write(folder.join("other.txt"), "other").unwrap();
    git(&["add", "."]);
    git(&["commit", "-m", "second"]);
    git(&["checkout", "main"]);
    format!("file://{}", folder.display())
}

#[tokio::test]
async fn a_clone_fills_an_absent_and_an_empty_workspace_and_leaves_nothing_beside_it() {
    let (origin, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = repository(origin.path());
    for name in ["absent", "empty"] {
        let workspace = place.path().join(name);
        if name == "empty" {
            std::fs::create_dir(&workspace).unwrap();
        }
        clone(&source(&url, None), &workspace, &Children::default()).await.unwrap();
        assert!(workspace.join("hello.txt").exists());
        assert!(!workspace.join("other.txt").exists());
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_branch_is_checked_out_when_it_is_named() {
    let (origin, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let workspace = place.path().join("w");
    let source = source(&repository(origin.path()), Some("other"));
    clone(&source, &workspace, &Children::default()).await.unwrap();
    assert!(workspace.join("other.txt").exists());
}

#[tokio::test]
async fn what_an_interrupted_clone_left_is_removed_by_the_next() {
    let (origin, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let workspace = place.path().join("w");
    let left = unfinished(&workspace);
    std::fs::create_dir_all(left.join("half")).unwrap();
    assert!(is_empty(&workspace), "half a clone does not look like a workspace");
    clone(&source(&repository(origin.path()), None), &workspace, &Children::default()).await.unwrap();
    assert!(workspace.join("hello.txt").exists() && !left.exists());
}

#[tokio::test]
async fn a_missing_repository_and_a_missing_branch_are_not_found() {
    let (origin, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = repository(origin.path());
    let workspace = place.path().join("w");
    for source in [source("file:///nowhere/at/all", None), source(&url, Some("nope"))] {
        let error = clone(&source, &workspace, &Children::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::GitNotFound, "{error}");
        assert!(error.to_string().contains("fatal:"), "git's own words are kept: {error}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_host_that_refuses_the_connection_is_unreachable() {
    let place = tempfile::tempdir().unwrap();
    // Bound and dropped: nothing listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = source(&format!("http://127.0.0.1:{port}/x.git"), None);
    let error = clone(&source, &place.path().join("w"), &Children::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::GitUnreachable, "{error}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up_and_git_is_ended() {
    let place = tempfile::tempdir().unwrap();
    // Takes the connection into its backlog and stays silent.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut source = source(&format!("http://{}/x.git", silent.local_addr().unwrap()), None);
    source.timeout = Duration::from_millis(400);
    let error = clone(&source, &place.path().join("w"), &Children::default()).await.unwrap_err();
    assert!(matches!(error, CloneError::TooSlow { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::GitUnreachable);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_url_that_git_would_take_as_an_option_or_a_command_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let workspace = place.path().join("w");
    for url in ["--upload-pack=touch x", "ext::sh -c touch% x", "ext://x", "/etc", "", "-"] {
        let error = clone(&source(url, None), &workspace, &Children::default()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidGitUrl, "{url}");
    }
    let error =
        clone(&source("file:///x", Some("--help")), &workspace, &Children::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidGitUrl);
}
