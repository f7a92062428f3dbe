//! Which sides of a service are written.

use prost_build::{Service, ServiceGenerator};

use crate::targets::Target;

/// Writes for each service only the sides that are spoken.
pub struct Sides {
    client: Box<dyn ServiceGenerator>,
    server: Box<dyn ServiceGenerator>,
    fake: Box<dyn ServiceGenerator>,
    target: &'static Target,
}

impl Sides {
    pub fn of(target: &'static Target) -> Self {
        let server = || tonic_prost_build::configure().build_client(false);
        let fake = server().server_mod_attribute("pulumirpc", "#[cfg(feature = \"fake\")]");
        Self {
            client: tonic_prost_build::configure().build_server(false).service_generator(),
            server: server().service_generator(),
            fake: fake.service_generator(),
            target,
        }
    }
}

impl ServiceGenerator for Sides {
    fn generate(&mut self, service: Service, code: &mut String) {
        let name = service.proto_name.as_str();
        if self.target.clients.contains(&name) {
            self.client.generate(service.clone(), code);
        }
        if self.target.servers.contains(&name) {
            self.server.generate(service.clone(), code);
        }
        if self.target.fakes.contains(&name) {
            self.fake.generate(service, code);
        }
    }

    fn finalize(&mut self, code: &mut String) {
        self.client.finalize(code);
        self.server.finalize(code);
        self.fake.finalize(code);
    }
}
