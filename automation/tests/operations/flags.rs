//! The table of flags against the engine's own.

use pulumi_auto::options::{DebugOptions, DisplayOptions, Pending, Plan, Policy, Select};
use pulumi_auto::{Engine, Operation, OperationKind, Options, Source};

use crate::support::world::World;

/// Every option that the operation has, set to something.
pub fn all(kind: OperationKind) -> Options {
    let (up, preview) = (kind == OperationKind::Up, kind == OperationKind::Preview);
    let (refresh, destroy) = (kind == OperationKind::Refresh, kind == OperationKind::Destroy);
    let (program, import) = (up || preview, kind == OperationKind::Import);
    let some = |wanted: bool| if wanted { vec!["x".to_owned()] } else { Vec::new() };
    Options {
        parallel: Some(2),
        message: Some("why".to_owned()),
        refresh: program || destroy,
        run_program: (!import).then_some(true),
        expect_no_changes: program || refresh,
        continue_on_error: up || destroy,
        remove: destroy,
        config_file: Some("file.yaml".into()),
        config: if import { Vec::new() } else { vec![("a".to_owned(), "b".to_owned())] },
        config_path: !import,
        skip_config_validation: !import,
        select: Select {
            targets: some(!import),
            target_dependents: !import,
            excludes: some(!import),
            exclude_dependents: program || refresh,
            replace: some(program),
            target_replace: some(program),
            exclude_protected: destroy,
        },
        plan: Plan {
            save: preview.then(|| "plan.json".into()),
            apply: up.then(|| "plan.json".into()),
            import_file: preview.then(|| "import.json".into()),
        },
        policy: Policy {
            packs: if program { vec!["pack".into()] } else { Vec::new() },
            configs: if program { vec!["config".into()] } else { Vec::new() },
        },
        pending: Pending {
            clear: refresh,
            skip: refresh,
            import: if refresh { vec![("urn".to_owned(), "id".to_owned())] } else { Vec::new() },
        },
        display: DisplayOptions {
            diff: true,
            color: Some("never".to_owned()),
            suppress_outputs: true,
            progress: false,
            suppress_permalink: true,
            show_sames: !import,
            show_replacement_steps: !import,
            show_reads: program,
            show_full_output: program || destroy,
            show_policy_remediations: program,
            show_config: program || destroy,
            show_secrets: program,
            show_urns: true,
            json: true,
        },
        debug: DebugOptions {
            log_to_stderr: true,
            verbosity: Some(1),
            log_flow: true,
            tracing: Some("file:trace".to_owned()),
            debug: true,
            disable_integrity_checking: true,
            attach_debugger: some(program),
            user_agent: Some("test".to_owned()),
            ..DebugOptions::default()
        },
        ..Options::default()
    }
}

#[tokio::test]
async fn the_engine_knows_every_flag_that_is_not_about_the_logs_of_a_process() {
    let world = World::new().await;
    for kind in [
        OperationKind::Up,
        OperationKind::Preview,
        OperationKind::Refresh,
        OperationKind::Destroy,
        OperationKind::Import,
    ] {
        let mut options = all(kind);
        let debug = DebugOptions { disable_integrity_checking: true, debug: true, ..DebugOptions::default() };
        options.debug = debug;
        let place = world.workspace.place();
        let operation = Operation::new(kind, "s", Source::Project, &options);
        // There is no such stack, and some flags do not go together; but each is one.
        let error = world.engine.operate(place, &operation).await.unwrap_err();
        assert!(!error.to_string().contains("unknown"), "{kind:?}: {error:?}");
    }
}
