//! The program's ends of the engine's two services, and what the engine at the other end can do.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::ErrorKind;

use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::program_error::ProgramError;
use crate::value::Value;
use crate::wire as rpc;
use crate::wire::MAX_MESSAGE;
use rpc::ResourceMonitorFeature as Feature;
use rpc::engine_client::EngineClient;
use rpc::resource_monitor_client::ResourceMonitorClient;

pub(super) async fn monitor(address: &str) -> Result<ResourceMonitorClient<Channel>, ProgramError> {
    let channel = endpoint(address)?.connect().await.map_err(|error| unreachable(&error))?;
    Ok(ResourceMonitorClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE))
}

/// An engine that has gone has told why. Of what else keeps the program from reaching it, nobody knows.
pub(crate) fn unreachable(error: &(dyn std::error::Error + 'static)) -> ProgramError {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    match causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).last() {
        Some(cause) if cause.raw_os_error().is_some() && !is_gone(cause.kind()) => {
            ProgramError::Failed(format!("the engine cannot be reached: {cause}"))
        }
        _ => ProgramError::Ended,
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected)
}

/// Connected when it is first used: most programs never log.
pub(super) fn engine(address: &str) -> Result<EngineClient<Channel>, ProgramError> {
    let channel = endpoint(address)?.connect_lazy();
    Ok(EngineClient::new(channel).max_encoding_message_size(MAX_MESSAGE))
}

fn endpoint(address: &str) -> Result<Endpoint, ProgramError> {
    Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| ProgramError::Refused(format!("the engine's address is unusable: {error}")))
}

/// The abilities that a user can switch off or that are newer than the oldest supported version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Features {
    pub output_values: bool,
    pub resource_references: bool,
    pub byte_strings: bool,
}

impl Features {
    pub async fn ask(monitor: &ResourceMonitorClient<Channel>) -> Result<Self, ProgramError> {
        let info = monitor.clone().get_deployment_info(()).await.map_err(refused)?.into_inner();
        let has = |feature: Feature| info.supported_features.contains(&feature.into());
        Ok(Self {
            output_values: has(Feature::OutputValues),
            resource_references: has(Feature::ResourceReferences),
            byte_strings: has(Feature::ByteString),
        })
    }

    /// An error for a value that would reach this engine as something else.
    pub fn check(self, property: &str, value: &Value) -> Result<(), ProgramError> {
        match self.byte_strings || !value.has_bytes() {
            true => Ok(()),
            false => Err(ProgramError::BytesUnsupported { property: property.to_owned() }),
        }
    }

    pub fn check_all(self, properties: &BTreeMap<String, Value>) -> Result<(), ProgramError> {
        properties.iter().try_for_each(|(property, value)| self.check(property, value))
    }
}

pub(super) fn unreadable(error: prost::DecodeError) -> ProgramError {
    ProgramError::Refused(format!("the engine sent what cannot be read: {error}"))
}

/// The engine closes the monitor when a resource fails or the user cancels; the reason is in its own
/// diagnostics then. So it is when the connection itself breaks. A provider that is unavailable is another
/// matter: the engine passes its words on.
pub(super) fn refused(status: Status) -> ProgramError {
    let broken = status.source().is_some() || matches!(status.code(), Code::Cancelled | Code::Aborted);
    if broken || status.message().contains("resource monitor shut down") {
        return ProgramError::Ended;
    }
    ProgramError::Refused(status.message().to_owned())
}

/// Counts the requests under way, so that a run does not end before those of the program's own tasks.
pub(super) struct Requests(watch::Sender<usize>);

impl Requests {
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Under way until dropped.
    pub fn begin(&self) -> Underway<'_> {
        self.0.send_modify(|count| *count += 1);
        Underway(self)
    }

    pub async fn settled(&self) {
        // The sender lives as long as `self`, so this ends by the count alone.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

pub(super) struct Underway<'a>(&'a Requests);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_that_shuts_down_has_ended_the_program_and_a_refusal_has_not() {
        let ended = Status::new(Code::Unknown, "resource monitor shut down while waiting");
        assert!(matches!(refused(ended), ProgramError::Ended));
        assert!(matches!(refused(Status::cancelled("by the user")), ProgramError::Ended));
        assert!(matches!(refused(Status::unavailable("the cloud is down")), ProgramError::Refused(_)));
        assert!(matches!(refused(Status::unknown("no such type")), ProgramError::Refused(_)));
    }

    #[tokio::test]
    async fn an_engine_that_cannot_be_reached_is_told_from_one_that_is_gone() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert_eq!(monitor(&address).await.map(drop), Err(ProgramError::Ended));
        let many = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let ProgramError::Failed(message) = unreachable(&many) else { panic!("it is not gone") };
        assert!(message.contains("Too many open files"), "{message}");
    }

    #[tokio::test]
    async fn a_monitor_that_is_gone_has_ended_the_program() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut client = EngineClient::new(endpoint(&address).unwrap().connect_lazy());
        drop(listener);
        let status = client.log(rpc::LogRequest::default()).await.unwrap_err();
        assert!(matches!(refused(status), ProgramError::Ended));
    }

    #[tokio::test]
    async fn requests_are_settled_when_the_last_one_has_ended() {
        let requests = Requests::new();
        requests.settled().await;
        let underway = requests.begin();
        let settled = requests.settled();
        tokio::pin!(settled);
        tokio::select! {
            biased;
            () = &mut settled => panic!("one is still under way"),
            () = std::future::ready(()) => {}
        }
        drop(underway);
        settled.await;
    }
}
