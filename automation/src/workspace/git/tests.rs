use std::process::Command as Process;

use super::*;
use crate::recorder::Recorder;

/// A bare repository: `main` with a second commit, `old` and the tag `v1` at the first, another project in
/// `sub`.
struct Repository {
    folder: tempfile::TempDir,
    first: String,
    second: String,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        std::fs::create_dir_all(work.join("sub")).unwrap();
        let git = |args: &[&str]| run(&work, args);
        git(&["init", "--quiet", "--initial-branch=main"]);
        let commit = |name: &str| {
            std::fs::write(work.join("Pulumi.yaml"), format!("name: {name}\nruntime: yaml\n")).unwrap();
            std::fs::write(work.join("sub/Pulumi.yaml"), format!("name: sub-{name}\nruntime: yaml\n"))
                .unwrap();
            git(&["add", "."]);
            git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", name]);
            git(&["rev-parse", "HEAD"])
        };
        let first = commit("first");
        git(&["branch", "old"]);
        git(&["tag", "v1"]);
        let second = commit("second");
        run(folder.path(), &["clone", "--quiet", "--bare", "work", "bare.git"]);
        Self { folder, first, second }
    }

    fn source(&self) -> GitSource {
        GitSource { url: format!("file://{}/bare.git", self.folder.path().display()), ..GitSource::default() }
    }

    async fn open(&self, source: &GitSource) -> Result<Workspace> {
        let state = Backend::Folder(self.folder.path().join("state"));
        Workspace::git(Recorder::default(), source, self.folder.path().join("home"), state).await
    }
}

fn run(folder: &Path, args: &[&str]) -> String {
    let output = Process::new("git").args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn branches_tags_commits_and_remote_refs_are_checked_out() {
    let repository = Repository::new();
    let (branch, commit) =
        (|name: &str| (Some(name.to_owned()), None), |id: &str| (None, Some(id.to_owned())));
    for ((branch, commit), project) in [
        ((None, None), "second"),
        (branch("main"), "second"),
        (branch("old"), "first"),
        (branch("refs/heads/old"), "first"),
        (branch("refs/remotes/origin/old"), "first"),
        (branch("refs/tags/v1"), "first"),
        (commit(&repository.first), "first"),
        (commit(&repository.first[..10]), "first"),
        (commit(&repository.second), "second"),
    ] {
        for shallow in [false, true] {
            let source =
                GitSource { branch: branch.clone(), commit: commit.clone(), shallow, ..repository.source() };
            let workspace = repository.open(&source).await.unwrap_or_else(|e| panic!("{source:?}: {e}"));
            assert_eq!(workspace.project(), project, "{source:?}");
        }
    }
}

#[tokio::test]
async fn a_shallow_fetch_has_one_commit_and_a_full_one_has_the_history() {
    let repository = Repository::new();
    for (shallow, count) in [(true, "1"), (false, "2")] {
        let source = GitSource { shallow, branch: Some("main".to_owned()), ..repository.source() };
        let workspace = repository.open(&source).await.unwrap();
        assert_eq!(run(workspace.directory(), &["rev-list", "--count", "HEAD"]), count);
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_typed_error() {
    let repository = Repository::new();
    let missing = "0123456789012345678901234567890123456789".to_owned();
    for source in [
        GitSource { branch: Some("nowhere".to_owned()), ..repository.source() },
        // A plain name is a branch, never a tag.
        GitSource { branch: Some("v1".to_owned()), ..repository.source() },
        GitSource { commit: Some(missing), ..repository.source() },
        GitSource { url: "file:///nonexistent/r.git".to_owned(), ..GitSource::default() },
        GitSource { url: "--upload-pack=touch /tmp/x".to_owned(), ..GitSource::default() },
    ] {
        let error = repository.open(&source).await.unwrap_err();
        assert!(matches!(error, Error::Git { .. }), "{source:?}: {error}");
    }
    let empty = GitSource { project_path: Some("nothing".to_owned()), ..repository.source() };
    assert!(matches!(repository.open(&empty).await, Err(Error::Settings { .. })));
    let both = GitSource {
        branch: Some("main".to_owned()),
        commit: Some(repository.first.clone()),
        ..repository.source()
    };
    assert!(matches!(repository.open(&both).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn a_temporary_clone_lives_as_long_as_its_workspace_and_a_given_folder_stays() {
    let repository = Repository::new();
    let sub = GitSource { project_path: Some("sub".to_owned()), ..repository.source() };
    let workspace = repository.open(&sub).await.unwrap();
    assert_eq!(workspace.project(), "sub-second");
    let (stack, folder) = (workspace.stack("dev"), workspace.directory().to_owned());
    drop(workspace);
    assert!(folder.exists(), "a stack keeps it");
    drop(stack);
    assert!(!folder.exists());
    let given = repository.folder.path().join("given");
    let source = GitSource { folder: Some(given.clone()), ..repository.source() };
    drop(repository.open(&source).await.unwrap());
    assert!(given.join("Pulumi.yaml").exists());
    assert!(matches!(repository.open(&source).await, Err(Error::Invalid { .. })), "it is not empty any more");
}

#[tokio::test]
async fn a_setup_sees_the_project_and_its_error_ends_the_opening() {
    let repository = Repository::new();
    let (home, state) = (repository.folder.path().join("home"), repository.folder.path().join("state"));
    let open = async |fails: bool| {
        Workspace::git_with_setup(
            Recorder::default(),
            &repository.source(),
            &home,
            Backend::Folder(state.clone()),
            move |workspace| async move {
                std::fs::write(workspace.directory().join("installed"), "").unwrap();
                if fails { Err(Error::NoChangesExpected) } else { Ok(()) }
            },
        )
        .await
    };
    assert!(open(false).await.unwrap().directory().join("installed").exists());
    assert!(matches!(open(true).await, Err(Error::NoChangesExpected)));
}
