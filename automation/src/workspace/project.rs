//! A project's folder: made from a template, and given what its program needs.

use super::*;
use crate::setters::setters;

/// What `pulumi install` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallOptions {
    /// Set up the language's own runtime with tools such as `mise` or `pyenv` first.
    pub use_language_version_tools: bool,
    /// Leave the plugins out.
    pub no_plugins: bool,
    /// Leave the program's own dependencies out.
    pub no_dependencies: bool,
    /// Install plugins again that are there.
    pub reinstall: bool,
    /// Installs at the same time; 4 when absent, no limit when 0.
    pub parallel: Option<u32>,
}

setters!(InstallOptions {
    use_language_version_tools(bool),
    no_plugins(bool),
    no_dependencies(bool),
    reinstall(bool),
    parallel(Option<u32>),
});

/// What `pulumi new` makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewOptions {
    /// A template's name, its URL, or its folder.
    pub template: Option<String>,
    /// The project's name.
    pub name: Option<String>,
    /// What the project is.
    pub description: Option<String>,
    /// Where to make it, seen from the workspace's folder; that folder itself when absent.
    pub dir: Option<PathBuf>,
    /// The stack to make, or to use.
    pub stack: Option<String>,
    /// The secrets provider of the stack.
    pub secrets_provider: Option<String>,
    /// `key=value` each. They are arguments of a process: no place for a secret.
    pub config: Vec<String>,
    /// The keys of `config` are paths.
    pub config_path: bool,
    /// `key=value` each, for the language's runtime.
    pub runtime_options: Vec<String>,
    /// Overwrite files.
    pub force: bool,
    /// Only write files: make no stack, install nothing.
    pub generate_only: bool,
    /// Use templates that are on this machine.
    pub offline: bool,
    /// Do not offer Pulumi AI.
    pub template_mode: bool,
    /// What Pulumi AI is asked for.
    pub ai: Option<String>,
    /// The language that Pulumi AI writes in, such as `TypeScript`.
    pub language: Option<String>,
    /// Print the names of the templates and make nothing.
    pub list_templates: bool,
    /// Keep the stack's configuration in Pulumi Cloud instead of a file.
    pub remote_stack_config: bool,
}

setters!(NewOptions {
    template(Option<String>),
    name(Option<String>),
    description(Option<String>),
    dir(Option<PathBuf>),
    stack(Option<String>),
    secrets_provider(Option<String>),
    config(Vec<String>),
    config_path(bool),
    runtime_options(Vec<String>),
    force(bool),
    generate_only(bool),
    offline(bool),
    template_mode(bool),
    ai(Option<String>),
    language(Option<String>),
    list_templates(bool),
    remote_stack_config(bool),
});

impl Workspace {
    /// Installs the plugins and dependencies of the project; `pulumi install`. Returns what it prints.
    pub async fn install(&self, options: &InstallOptions) -> Result<String> {
        let command = Command::new(["install"])
            .flag("use-language-version-tools", options.use_language_version_tools)
            .flag("no-plugins", options.no_plugins)
            .flag("no-dependencies", options.no_dependencies)
            .flag("reinstall", options.reinstall)
            .option("parallel", options.parallel);
        self.command(&command).await
    }

    /// Makes a project; `pulumi new --yes`. Returns what it prints. [`Workspace::local`] opens the result
    /// when it is in a folder of its own.
    pub async fn new_project(&self, options: &NewOptions) -> Result<String> {
        let command = Command::new(["new"])
            .flag("yes", true)
            .option("name", options.name.as_deref())
            .option("description", options.description.as_deref())
            .option("dir", options.dir.as_ref().map(|dir| dir.display().to_string()))
            .option("stack", options.stack.as_deref())
            .option("secrets-provider", options.secrets_provider.as_deref())
            .values("config", options.config.iter().cloned())
            .flag("config-path", options.config_path)
            .values("runtime-options", options.runtime_options.iter().cloned())
            .flag("force", options.force)
            .flag("generate-only", options.generate_only)
            .flag("offline", options.offline)
            .flag("template-mode", options.template_mode)
            .option("ai", options.ai.as_deref())
            .option("language", options.language.as_deref())
            .flag("list-templates", options.list_templates)
            .flag("remote-stack-config", options.remote_stack_config)
            .args(options.template.as_deref());
        self.command(&command).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn an_install_says_what_to_leave_out() {
        let recorder = Recorder::default();
        recorder.workspace().install(&InstallOptions::default()).await.unwrap();
        let all = InstallOptions {
            use_language_version_tools: true,
            no_plugins: true,
            no_dependencies: true,
            reinstall: true,
            parallel: Some(2),
        };
        recorder.workspace().install(&all).await.unwrap();
        let line =
            "install --no-dependencies --no-plugins --parallel=2 --reinstall --use-language-version-tools";
        assert_eq!(recorder.lines(), ["install", line]);
    }

    #[tokio::test]
    async fn a_new_project_has_every_option_of_the_cli() {
        let recorder = Recorder::default();
        let text = |text: &str| Some(text.to_owned());
        let options = NewOptions {
            template: text("yaml"),
            name: text("shop"),
            description: text("A shop"),
            dir: Some("sub".into()),
            stack: text("dev"),
            secrets_provider: text("passphrase"),
            config: vec!["a=1".to_owned(), "b=2".to_owned()],
            config_path: true,
            runtime_options: vec!["c=3".to_owned()],
            force: true,
            generate_only: true,
            offline: true,
            template_mode: true,
            ai: text("a shop"),
            language: text("YAML"),
            list_templates: true,
            remote_stack_config: true,
        };
        recorder.workspace().new_project(&options).await.unwrap();
        let expected = "new --ai=a shop --config=a=1 --config=b=2 --config-path --description=A shop --dir=sub \
            --force --generate-only --language=YAML --list-templates --name=shop --offline \
            --remote-stack-config --runtime-options=c=3 --secrets-provider=passphrase --stack=dev \
            --template-mode --yes -- yaml";
        assert_eq!(recorder.lines(), [expected]);
    }
}
