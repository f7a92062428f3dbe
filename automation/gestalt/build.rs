//! Writes the code for the package `cloud` from its schema, as any program with gestalt does.

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-changed=cloud.json");
    pulumi_gestalt_build::generate_from_schema(std::path::Path::new("cloud.json"))
}
