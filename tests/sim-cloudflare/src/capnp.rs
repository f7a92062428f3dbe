//! workerd's configuration as text, for one script.

/// What a script is made of, on the disk beside the configuration.
pub struct Plan<'a> {
    pub compatibility_date: &'a str,
    pub compatibility_flags: &'a [String],
    /// The first is the main module.
    pub modules: Vec<Module<'a>>,
    pub bindings: Vec<Binding<'a>>,
    pub namespaces: Vec<Class<'a>>,
    pub storage: &'a str,
    pub container_socket: &'a str,
}

pub struct Module<'a> {
    pub name: &'a str,
    /// A member of workerd's union: `esModule`, `text`, `data`, `wasm`, `json`.
    pub kind: &'a str,
    pub file: String,
}

pub struct Binding<'a> {
    pub name: &'a str,
    pub value: Value<'a>,
}

pub enum Value<'a> {
    Text(&'a str),
    Json(String),
    Namespace(&'a str),
}

pub struct Class<'a> {
    pub name: &'a str,
    pub key: &'a str,
    pub sql: bool,
    pub container: bool,
}

impl Plan<'_> {
    pub fn text(&self) -> String {
        let mut text = String::from("using Workerd = import \"/workerd/workerd.capnp\";\n");
        let mut line = |words: String| text.extend([words.as_str(), "\n"]);
        line("const config :Workerd.Config = (".to_owned());
        line("  services = [".to_owned());
        line("    (name = \"main\", worker = .main),".to_owned());
        line(format!("    (name = \"objects\", disk = (path = {}, writable = true)),", quote(self.storage)));
        // Workers and containers of a test reach this machine and nothing else unless it asks for more.
        line("    (name = \"internet\", network = (allow = [\"public\", \"private\"])),".to_owned());
        line("  ],".to_owned());
        line(
            "  sockets = [(name = \"http\", address = \"127.0.0.1:0\", http = (), service = \"main\")],"
                .to_owned(),
        );
        line(");".to_owned());
        line("const main :Workerd.Worker = (".to_owned());
        line("  modules = [".to_owned());
        for module in &self.modules {
            let (name, file) = (quote(module.name), quote(&module.file));
            line(format!("    (name = {name}, {} = embed {file}),", module.kind));
        }
        line("  ],".to_owned());
        line(format!("  compatibilityDate = {},", quote(self.compatibility_date)));
        let flags: Vec<String> = self.compatibility_flags.iter().map(|flag| quote(flag)).collect();
        line(format!("  compatibilityFlags = [{}],", flags.join(", ")));
        line("  bindings = [".to_owned());
        for Binding { name, value } in &self.bindings {
            let value = match value {
                Value::Text(text) => format!("text = {}", quote(text)),
                Value::Json(json) => format!("json = {}", quote(json)),
                Value::Namespace(class) => format!("durableObjectNamespace = {}", quote(class)),
            };
            line(format!("    (name = {}, {value}),", quote(name)));
        }
        line("  ],".to_owned());
        line("  durableObjectNamespaces = [".to_owned());
        for class in &self.namespaces {
            // The image is decided by the application when the container starts.
            let container = if class.container { ", container = (imageName = \"application\")" } else { "" };
            let (name, key, sql) = (quote(class.name), quote(class.key), class.sql);
            line(format!("    (className = {name}, uniqueKey = {key}, enableSql = {sql}{container}),"));
        }
        line("  ],".to_owned());
        if !self.namespaces.is_empty() {
            line("  durableObjectStorage = (localDisk = \"objects\"),".to_owned());
        }
        let socket = quote(&format!("unix:{}", self.container_socket));
        line(format!("  containerEngine = (localDocker = (socketPath = {socket})),"));
        line(");".to_owned());
        text
    }
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_kind_stays_inside_its_quotes() {
        assert_eq!(quote("a\"b\\c\nd\u{fc}"), r#""a\"b\\c\x0ad\xc3\xbc""#);
    }
}
