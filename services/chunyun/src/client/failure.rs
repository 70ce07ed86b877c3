use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;

/// Why a command of the client failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token file cannot be read.
    #[error("cannot read the token file {path}")]
    TokenFile {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The token cannot be sent.
    #[error("the token has characters that no token has")]
    Token,
    /// The gateway's address is none.
    #[error("{gateway:?} is no address: expected http://HOST:PORT")]
    Address {
        /// What was given.
        gateway: String,
    },
    /// Nobody answers there.
    #[error("no gateway answers at {gateway}; start one with `chunyun serve`, or say where with --gateway")]
    Connect {
        /// The address.
        gateway: String,
        /// Why.
        source: tonic::transport::Error,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] domain::Invalid),
    /// The fleet refused or failed.
    #[error("{}", describe(.0))]
    Call(Status),
    /// The answer lacks what it must have.
    #[error("the gateway's answer lacks {0}")]
    Incomplete(&'static str),
}

// By hand: a source would be printed once more behind what `describe` says of it.
impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Call(status)
    }
}

impl ClientError {
    /// The error as JSON, for `--json`.
    pub fn json(&self) -> serde_json::Value {
        let Self::Call(status) = self else {
            return json!({ "error": { "message": self.to_string() } });
        };
        let details = status.get_error_details();
        let fields: Vec<_> = details
            .bad_request()
            .map(|bad| {
                bad.field_violations.iter().map(|v| json!({ "field": v.field, "allowed": v.description })).collect()
            })
            .unwrap_or_default();
        let info = details.error_info();
        json!({ "error": {
            "code": format!("{:?}", status.code()),
            "message": status.message(),
            "reason": info.map(|info| info.reason.clone()),
            "metadata": info.map(|info| info.metadata.clone()),
            "fields": fields,
            "retry_after_ms": retry_after_ms(status),
        }})
    }
}

/// When trying again may help, in ms.
pub fn retry_after_ms(status: &Status) -> Option<u64> {
    status.get_error_details().retry_info()?.retry_delay.map(|delay| delay.as_millis() as u64)
}

/// The stable reason of a refusal, or the code's name where the fleet gave none.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone())
}

fn describe(status: &Status) -> String {
    let mut text = format!("{} ({})", status.message(), reason(status));
    if let Some(bad) = status.get_error_details().bad_request() {
        for violation in &bad.field_violations {
            text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
        }
    }
    if let Some(wait) = retry_after_ms(status) {
        text.push_str(&format!("\n  try again in {wait} ms"));
    }
    text
}
