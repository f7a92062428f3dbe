//! Whoever has the crate and Go has the engine host.

use pulumi_auto::host::{Host, HostInstall};
use pulumi_auto::{Engine as _, Outputs, Workspace, program, versions};

#[tokio::test]
async fn a_host_built_from_the_sources_of_the_crate_brings_a_stack_up() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::install(&HostInstall::new(folder.path())).await.unwrap();
    assert_eq!(host.version(), format!("v{}", versions::NEWEST));

    let workspace = Workspace::temporary(host, "shop").unwrap().with_empty_passphrase();
    let stack = workspace.stack("dev");
    stack.create().await.unwrap();
    let done =
        stack.up(program(|_| async { Ok(Outputs::from([("here".to_owned(), true.into())])) })).await.unwrap();
    assert_eq!(done.outputs["here"], true.into());
}
