//! A module with one setting, one credential and one resource type, and a connection to it.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::updates::{Change, Updates};
use contracts::workspace::Size;
use provider_api::{
    CreateRequest, Created, Declared, DeleteRequest, Description, Lifecycle, Properties, Property,
    PropertyType, Provider, ReadRequest, ReadState, Resource, ResourceSchema, RuntimeSpec, Setting,
    UpdateRequest,
};
use provider_server::{Registry, Server};
use pulumi_gestalt_proto::pulumi::pulumirpc::resource_provider_client::ResourceProviderClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

pub type Engine = ResourceProviderClient<Channel>;

pub async fn engine(registry: Registry) -> (Server, Engine) {
    let server = Server::start(registry).await.unwrap();
    let engine = connect(&server).await;
    (server, engine)
}

/// One more connection, as each provider of a program has.
pub async fn connect(server: &Server) -> Engine {
    Engine::connect(format!("http://127.0.0.1:{}", server.port())).await.unwrap()
}

/// Settings come from the program too.
pub fn registry() -> Registry {
    fixed().configurable(|set| Ok(serve(&set["PILOT_TEST_CLOUD_URL"])))
}

/// Settings come from the process alone.
pub fn fixed() -> Registry {
    serve("https://default.example")
}

fn serve(url: &str) -> Registry {
    Registry::new(&[Arc::new(Module { url: url.to_owned() }) as Arc<dyn Provider>])
}

#[derive(Clone)]
struct Module {
    url: String,
}

#[async_trait]
impl Provider for Module {
    fn describe(&self) -> Description {
        Description {
            name: "test-cloud".parse().unwrap(),
            summary: "a cloud of these tests",
            isolation: "none",
            unisolated: true,
            regions: Vec::new(),
            sizes: vec![Size {
                name: "small".to_owned(),
                memory_mib: Some(256),
                cpu_millis: None,
                disk_mib: Some(512),
                hourly_micro_usd: Some(7),
            }],
            suspend: false,
            persistent_home: false,
            updates: Updates { image: Change::Fixed, size: Change::Fixed },
            settings: vec![
                Setting::required("token", "a token").secret(),
                Setting::optional("url", "where the cloud is").default("https://default.example"),
            ],
        }
    }

    fn declare(&self, _: &RuntimeSpec) -> provider_api::Result<Declared> {
        Ok(Declared::default())
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![Arc::new(self.clone())]
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        panic!("nothing here is started")
    }

    async fn ready(&self) -> provider_api::Result<()> {
        Ok(())
    }
}

/// What is called so is never done.
pub const ENDLESS: &str = "endless";

async fn take_time(inputs: &Properties) {
    if inputs["label"] == ENDLESS {
        std::future::pending::<()>().await;
    }
}

impl Module {
    fn outputs(&self, inputs: &Properties) -> Properties {
        let mut outputs = inputs.clone();
        outputs.insert("url".to_owned(), Value::from(self.url.clone()));
        outputs
    }
}

#[async_trait]
impl Resource for Module {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test-cloud:Thing",
            description: "A thing.",
            inputs: vec![
                Property::required("label", PropertyType::String, "Its name.").replaces(),
                Property::optional("size", PropertyType::Integer, "How large it is.").default("1"),
                Property::optional("key", PropertyType::String, "Opens it.").secret(),
            ],
            outputs: vec![Property::required("url", PropertyType::String, "Where it is.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> provider_api::Result<Created> {
        take_time(&request.inputs).await;
        let id = format!("id-of-{}", request.inputs["label"].as_str().unwrap());
        Ok(Created { id, outputs: self.outputs(&request.inputs) })
    }

    async fn read(&self, request: ReadRequest) -> provider_api::Result<Option<ReadState>> {
        let Some(label) = request.id.strip_prefix("id-of-") else { return Ok(None) };
        let inputs = json!({ "label": label, "key": format!("key-of-{label}") });
        let inputs = inputs.as_object().cloned().unwrap();
        let outputs = self.outputs(&inputs);
        Ok(Some(ReadState { id: request.id, inputs, outputs }))
    }

    async fn update(&self, request: UpdateRequest) -> provider_api::Result<Properties> {
        take_time(&request.new_inputs).await;
        Ok(self.outputs(&request.new_inputs))
    }

    async fn delete(&self, request: DeleteRequest) -> provider_api::Result<()> {
        take_time(&request.inputs).await;
        Ok(())
    }
}
