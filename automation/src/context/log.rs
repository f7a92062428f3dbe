//! Messages to the user through the engine.

use super::Context;
use super::connection::refused;
use crate::program_error::ProgramError;
use crate::wire as rpc;

/// How important a message is (Pulumi: *log severity*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// Shown only when asked for.
    Debug,
    /// Shown.
    Info,
    /// Shown, and marked.
    Warning,
    /// Shown, and the operation fails.
    Error,
}

impl Context {
    /// Tells the user something, about the resource with this URN or the whole stack. It arrives as a
    /// diagnostic event. [`ProgramError::Ended`] when the engine has gone.
    pub async fn log(
        &self,
        severity: Severity,
        urn: Option<&str>,
        message: impl Into<String>,
    ) -> Result<(), ProgramError> {
        let severity = match severity {
            Severity::Debug => rpc::LogSeverity::Debug,
            Severity::Info => rpc::LogSeverity::Info,
            Severity::Warning => rpc::LogSeverity::Warning,
            Severity::Error => rpc::LogSeverity::Error,
        };
        let request = rpc::LogRequest {
            severity: severity.into(),
            message: message.into(),
            urn: urn.unwrap_or_default().to_owned(),
            ..Default::default()
        };
        self.inner.engine.clone().log(request).await.map_err(refused)?;
        Ok(())
    }
}
