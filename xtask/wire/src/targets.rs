//! Which code is written from which files.

/// One file of code.
pub struct Target {
    /// Below `automation/`.
    pub file: &'static str,
    pub protos: &'static [&'static str],
    pub clients: &'static [&'static str],
    pub servers: &'static [&'static str],
    /// Servers that only the engine in memory has.
    pub fakes: &'static [&'static str],
    /// The module of deeper values than prost has.
    pub values: Option<&'static str>,
}

/// What is written, and from what.
pub const TARGETS: [Target; 2] = [
    Target {
        file: "src/wire/generated.rs",
        protos: &["callback.proto", "engine.proto", "events.proto", "language.proto", "resource.proto"],
        clients: &["Engine", "ResourceMonitor"],
        servers: &["Callbacks", "Events", "LanguageRuntime"],
        fakes: &["Engine", "ResourceMonitor"],
        values: Some("crate::wire"),
    },
    Target {
        file: "tests/support/cloud/rpc.rs",
        protos: &["provider.proto"],
        clients: &["ResourceMonitor"],
        servers: &["ResourceProvider"],
        fakes: &[],
        values: None,
    },
];
