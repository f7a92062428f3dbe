//! Two things, the second labelled with the address of the first.

use anyhow::Result;
use pulumi_gestalt_rust::{Context, pulumi_combine};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod cloud {
    pulumi_gestalt_rust::include_provider!("cloud");
}

use cloud::test::thing;

fn main() -> Result<()> {
    pulumi_gestalt_rust::run(program)
}

fn program(context: &Context) -> Result<()> {
    let first = thing::create(context, "first", thing::ThingArgs::builder().label("one").build_struct());
    let second = thing::create(
        context,
        "second",
        thing::ThingArgs::builder().label(first.address.clone()).size(2.0).build_struct(),
    );
    let both = pulumi_combine!(first.address, second.label);
    context.add_export("both", &both.map(|(address, label)| format!("{address}, {label}")));
    Ok(())
}
