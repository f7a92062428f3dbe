//! Bringing resources that exist already into a stack; `pulumi import`.

use std::io::Write as _;

use serde::Serialize;

use super::*;
use crate::setters::setters;

/// A resource that exists and is to be owned by the stack from now on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImportResource {
    /// `package:module:Type`
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its name in the program.
    pub name: String,
    /// The provider's id of it. A component has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The key of its parent or provider in [`ImportOptions::names`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The key of its provider in [`ImportOptions::names`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Of the provider's plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the provider's plugin is downloaded from.
    #[serde(rename = "pluginDownloadUrl", skip_serializing_if = "Option::is_none")]
    pub plugin_download_url: Option<String>,
    /// Its name in the URN, where that differs from `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_name: Option<String>,
    /// Only these properties of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    /// It is a component.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub component: bool,
    /// It is a component whose parts a provider makes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remote: bool,
}

setters!(ImportResource {
    id(Option<String>),
    parent(Option<String>),
    provider(Option<String>),
    version(Option<String>),
    plugin_download_url(Option<String>),
    logical_name(Option<String>),
    properties(Vec<String>),
    component(bool),
    remote(bool),
});

impl ImportResource {
    /// A resource of this type and name; its id is to be given yet, unless it is a component.
    pub fn new(resource_type: impl Into<String>, name: impl Into<String>) -> Self {
        Self { resource_type: resource_type.into(), name: name.into(), ..Self::default() }
    }
}

/// What an import does besides importing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportOptions {
    /// URNs by the names that [`ImportResource::parent`] and `provider` use.
    pub names: BTreeMap<String, String>,
    /// Protect what is imported from deletion; on by default, as with the CLI.
    pub protect: bool,
    /// Write code for the resources to [`Imported::code`]; needs the project's language.
    pub generate_code: bool,
    /// In place of the given resources: a converter such as `terraform`, and what it is to read.
    pub converter: Option<(String, Vec<String>)>,
}

setters!(ImportOptions {
    names(BTreeMap<String, String>),
    protect(bool),
    generate_code(bool),
    converter(Option<(String, Vec<String>)>),
});

impl Default for ImportOptions {
    fn default() -> Self {
        Self { names: BTreeMap::new(), protect: true, generate_code: false, converter: None }
    }
}

/// The result of [`Stack::import_resources`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// What was imported.
    pub summary: Summary,
    /// The program text for what was imported, when it was asked for.
    pub code: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportFile<'a> {
    name_table: &'a BTreeMap<String, String>,
    resources: &'a [ImportResource],
}

/// All that an import needs.
pub(super) struct Import {
    resources: Vec<ImportResource>,
    options: ImportOptions,
}

impl Stack {
    /// Takes resources that exist into the stack; `pulumi import`. [`Error::UpdateFailed`] when a
    /// provider does not find one.
    pub fn import_resources(
        &self,
        resources: &[ImportResource],
        import: &ImportOptions,
    ) -> Request<Imported> {
        self.import_request(OperationKind::Import, resources, import)
    }

    /// What [`Stack::import_resources`] would do; `pulumi import --preview-only`.
    pub fn preview_import(&self, resources: &[ImportResource], import: &ImportOptions) -> Request<Imported> {
        self.import_request(OperationKind::PreviewImport, resources, import)
    }

    fn import_request(
        &self,
        kind: OperationKind,
        resources: &[ImportResource],
        import: &ImportOptions,
    ) -> Request<Imported> {
        let work = Work::Import(Import { resources: resources.to_vec(), options: import.clone() });
        let finish = |_, finished, code| Imported { summary: summarize(finished), code };
        Request { stack: self.clone(), kind, work, options: Options::default(), finish }
    }
}

impl Import {
    /// Also returns the program text, if there is one.
    pub async fn run(
        self,
        stack: &Stack,
        kind: OperationKind,
        options: &Options,
    ) -> Result<(OperationResult, Option<String>)> {
        let import = &self.options;
        let folder = tempfile::tempdir().map_err(Error::io("make a folder for the import"))?;
        let code: PathBuf = folder.path().join("code");
        let out = import.generate_code.then(|| code.display().to_string());
        let own = Command::default()
            .option("protect", Some(import.protect))
            .option("generate-code", Some(import.generate_code))
            .option("out", out);
        let own = match &import.converter {
            Some((converter, rest)) => own.option("from", Some(converter.as_str())).args(rest),
            None => {
                let path = folder.path().join("import.json");
                write_file(&path, &ImportFile { name_table: &import.names, resources: &self.resources })?;
                own.option("file", Some(path.display().to_string()))
            }
        };
        let finished = stack.operate(kind, Source::Project, own, options).await?;
        Ok((finished, std::fs::read_to_string(&code).ok()))
    }
}

fn write_file(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(content)
        .map_err(|error| Error::Output { command: "import".to_owned(), message: error.to_string() })?;
    let mut file = std::fs::File::create(path).map_err(Error::io("write the import file"))?;
    file.write_all(&text).map_err(Error::io("write the import file"))
}
