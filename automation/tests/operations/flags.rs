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
    let select = Select::default()
        .targets(some(!import))
        .target_dependents(!import)
        .excludes(some(!import))
        .exclude_dependents(program || refresh)
        .replace(some(program))
        .target_replace(some(program))
        .exclude_protected(destroy);
    let plan = match kind {
        OperationKind::Up => Plan::default().apply("plan.json"),
        OperationKind::Preview => Plan::default().save("plan.json").import_file("import.json"),
        _ => Plan::default(),
    };
    let policy = Policy::default().packs(some(program)).configs(some(program));
    let settled = refresh.then(|| ("urn".to_owned(), "id".to_owned()));
    let pending = Pending::default().clear(refresh).skip(refresh).import(settled);
    let display = DisplayOptions::default()
        .diff(true)
        .color("never")
        .suppress_outputs(true)
        .suppress_permalink(true)
        .show_sames(!import)
        .show_replacement_steps(!import)
        .show_reads(program)
        .show_full_output(program || destroy)
        .show_policy_remediations(program)
        .show_config(program || destroy)
        .show_secrets(program)
        .show_urns(true)
        .json(true);
    let debug = DebugOptions::default()
        .log_to_stderr(true)
        .verbosity(1)
        .log_flow(true)
        .tracing("file:trace")
        .debug(true)
        .disable_integrity_checking(true)
        .attach_debugger(some(program))
        .user_agent("test");
    let options = Options::default()
        .parallel(2)
        .message("why")
        .refresh(program || destroy)
        .run_program((!import).then_some(true))
        .expect_no_changes(program || refresh)
        .continue_on_error(up || destroy)
        .remove(destroy)
        .config_file("file.yaml")
        .config_path(!import)
        .skip_config_validation(!import)
        .select(select)
        .plan(plan)
        .policy(policy)
        .pending(pending)
        .display(display)
        .debug(debug);
    if import { options } else { options.config("a", "b") }
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
        let debug = DebugOptions::default().disable_integrity_checking(true).debug(true);
        options.debug = debug;
        let place = world.workspace.place();
        let operation = Operation::new(kind, "s", Source::Project, &options);
        // There is no such stack, and some flags do not go together; but each is one.
        let error = world.engine.operate(place, &operation).await.unwrap_err();
        assert!(!error.to_string().contains("unknown"), "{kind:?}: {error:?}");
    }
}
