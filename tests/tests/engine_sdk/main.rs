//! The plain CLI and the real plugin. For programs in TypeScript, Python and Go the SDK is generated from
//! the plugin's own schema, built, and used by `pulumi up` from the first create to the destroy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// The helpers below are shared with the crate's own tests, which know it by its public name.
extern crate automation as pulumi_auto;

#[path = "../../../automation/tests/support/tools.rs"]
mod tools;
mod world;

use world::{Language, World};

#[test]
fn a_typescript_program_with_the_generated_sdk_makes_changes_and_removes_a_home() {
    let world = World::new(Language::NodeJs);
    let sdk = world.generate_sdk();
    let modules = world.languages.join("node_modules");
    let linked = world.program.join("node_modules");
    std::fs::create_dir_all(linked.join("@pilot")).unwrap();
    for package in ["@pulumi", "@types", "typescript"] {
        std::os::unix::fs::symlink(modules.join(package), linked.join(package)).unwrap();
    }
    world.run("node", &[modules.join("typescript/bin/tsc").to_str().unwrap(), "-p", sdk.to_str().unwrap()]);
    std::fs::copy(sdk.join("package.json"), sdk.join("bin/package.json")).unwrap();
    std::os::unix::fs::symlink(sdk.join("bin"), linked.join("@pilot/pulumi")).unwrap();
    world.whole_life();
}

#[test]
fn a_python_program_with_the_generated_sdk_makes_changes_and_removes_a_home() {
    let world = World::new(Language::Python);
    let sdk = world.generate_sdk();
    let target = world.site();
    world.run(
        "python3",
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "--target",
            target.to_str().unwrap(),
            sdk.to_str().unwrap(),
        ],
    );
    world.whole_life();
}

#[test]
fn a_go_program_with_the_generated_sdk_makes_changes_and_removes_a_home() {
    let world = World::new(Language::Go);
    let sdk = world.generate_sdk();
    std::fs::write(sdk.join("go.mod"), "module pilot/sdk/go/pilot\n\ngo 1.26.6\n").unwrap();
    // The versions are those of the language hosts, which `cargo xtask tools` has fetched.
    let pins = World::repository().join("engine/languages");
    std::fs::copy(pins.join("go.sum"), world.program.join("go.sum")).unwrap();
    let module = std::fs::read_to_string(pins.join("go.mod")).unwrap();
    let module = module.replacen("module pilot/engine/languages", "module pilot/program", 1);
    let sdk_of_test = "\nreplace pilot/sdk/go/pilot => ./sdk/go\n\nrequire pilot/sdk/go/pilot v0.0.0\n";
    std::fs::write(world.program.join("go.mod"), module + sdk_of_test).unwrap();
    world.whole_life();
}

#[test]
fn the_schema_of_the_plugin_is_one_that_the_cli_accepts() {
    let world = World::new(Language::Go);
    let schema = world.pulumi(&["package", "get-schema", world.plugin()]);
    let file = world.program.join("schema.json");
    std::fs::write(&file, &schema).unwrap();
    world.pulumi(&["schema", "check", file.to_str().unwrap()]);
    assert!(schema.contains("pilot:local:Directory"), "{schema}");
}

#[test]
fn a_setting_that_no_module_has_fails_the_update_before_anything_is_made() {
    let world = World::new(Language::Yaml);
    world.pulumi(&["stack", "init", "dev"]);
    world.pulumi(&["config", "set", "generation", "1"]);
    world.pulumi(&["config", "set", "pilot:flavour", "sweet"]);
    let said = world.refused(&["up", "--yes", "--skip-preview"]);
    assert!(said.contains("flavour") && said.contains("there is no such setting"), "{said}");
    assert!(!world.home().exists());
}

#[test]
fn what_is_there_is_imported_by_its_id_alone() {
    let world = World::new(Language::Yaml);
    world.pulumi(&["stack", "init", "dev"]);
    world.pulumi(&["config", "set", "generation", "1"]);
    world.pulumi(&["up", "--yes", "--skip-preview"]);
    world.pulumi(&["state", "delete", "--yes", "urn:pulumi:dev::pilot-sdk::pilot:local:Directory::home"]);
    let import = ["import", "pilot:local:Directory", "home", "rt-00000000000000aa"];
    let quietly = ["--yes", "--skip-preview", "--generate-code=false", "--protect=false"];
    world.pulumi(&[import.as_slice(), quietly.as_slice()].concat());
    world.pulumi(&["preview", "--expect-no-changes"]);
    world.pulumi(&["destroy", "--yes", "--skip-preview"]);
    assert!(!world.home().exists());
}
