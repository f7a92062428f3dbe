//! A provider that makes nothing and says that it did, so that only Pulumi's own work is seen.

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::rpc;
use super::rpc::resource_provider_server::{ResourceProvider, ResourceProviderServer};

/// Serves until the process ends; the port on 127.0.0.1.
pub async fn serve() -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let router = tonic::transport::Server::builder().add_service(ResourceProviderServer::new(Noop));
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Ok(port)
}

struct Noop;

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

fn absent<T>() -> Answer<T> {
    Err(Status::unimplemented("a provider that does nothing"))
}

#[tonic::async_trait]
impl ResourceProvider for Noop {
    async fn handshake(
        &self,
        _: Request<rpc::ProviderHandshakeRequest>,
    ) -> Answer<rpc::ProviderHandshakeResponse> {
        answer(rpc::ProviderHandshakeResponse { accept_secrets: true, ..Default::default() })
    }

    async fn attach(&self, _: Request<rpc::PluginAttach>) -> Answer<()> {
        answer(())
    }

    async fn get_plugin_info(&self, _: Request<()>) -> Answer<rpc::PluginInfo> {
        answer(rpc::PluginInfo { version: "1.0.0".to_owned() })
    }

    async fn get_schema(&self, _: Request<rpc::GetSchemaRequest>) -> Answer<rpc::GetSchemaResponse> {
        answer(rpc::GetSchemaResponse { schema: r#"{"name":"noop","version":"1.0.0"}"#.to_owned() })
    }

    async fn check_config(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        answer(rpc::CheckResponse { inputs: request.into_inner().news, ..Default::default() })
    }

    async fn diff_config(&self, _: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        answer(rpc::DiffResponse::default())
    }

    async fn configure(&self, _: Request<rpc::ConfigureRequest>) -> Answer<rpc::ConfigureResponse> {
        answer(rpc::ConfigureResponse { accept_secrets: true, supports_preview: true, ..Default::default() })
    }

    async fn check(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        answer(rpc::CheckResponse { inputs: request.into_inner().news, ..Default::default() })
    }

    async fn diff(&self, _: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let changes = rpc::diff_response::DiffChanges::DiffNone.into();
        answer(rpc::DiffResponse { changes, ..Default::default() })
    }

    async fn create(&self, request: Request<rpc::CreateRequest>) -> Answer<rpc::CreateResponse> {
        let properties = request.into_inner().properties;
        answer(rpc::CreateResponse { id: "id".to_owned(), properties, ..Default::default() })
    }

    async fn delete(&self, _: Request<rpc::DeleteRequest>) -> Answer<()> {
        answer(())
    }

    async fn cancel(&self, _: Request<()>) -> Answer<()> {
        answer(())
    }

    async fn read(&self, _: Request<rpc::ReadRequest>) -> Answer<rpc::ReadResponse> {
        absent()
    }

    async fn update(&self, _: Request<rpc::UpdateRequest>) -> Answer<rpc::UpdateResponse> {
        absent()
    }

    async fn parameterize(&self, _: Request<rpc::ParameterizeRequest>) -> Answer<rpc::ParameterizeResponse> {
        absent()
    }

    async fn invoke(&self, _: Request<rpc::InvokeRequest>) -> Answer<rpc::InvokeResponse> {
        absent()
    }

    async fn call(&self, _: Request<rpc::CallRequest>) -> Answer<rpc::CallResponse> {
        absent()
    }

    async fn construct(&self, _: Request<rpc::ConstructRequest>) -> Answer<rpc::ConstructResponse> {
        absent()
    }

    async fn get_mapping(&self, _: Request<rpc::GetMappingRequest>) -> Answer<rpc::GetMappingResponse> {
        absent()
    }

    async fn get_mappings(&self, _: Request<rpc::GetMappingsRequest>) -> Answer<rpc::GetMappingsResponse> {
        absent()
    }
}
