use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::reason;

/// The domain of every `google.rpc.ErrorInfo` of the fleet.
pub const ERROR_DOMAIN: &str = "chunyun";

/// Why a call failed, as the wire tells it: the one place where errors become `tonic::Status` and back.
///
/// Machines branch on `reason` (see [`reason`]), people read `message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC status code. Never `Internal`: an input must not be able to cause it.
    pub code: Code,
    /// A stable reason out of [`reason::ALL`].
    pub reason: &'static str,
    /// For people: lower case, no full stop, no internals, no personal data.
    pub message: String,
    /// The values that matter, by name.
    pub metadata: Vec<(String, String)>,
    /// The wrong fields and what is allowed there, by path such as `passengers[1].document_number`.
    pub fields: Vec<(String, String)>,
    /// When to try again at the earliest; none where trying again does not help.
    pub retry_after_ms: Option<u32>,
}

impl Failure {
    /// A failure with nothing but its code, reason and message.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), metadata: Vec::new(), fields: Vec::new(), retry_after_ms: None }
    }

    /// INVALID_ARGUMENT: one field is wrong. The path is the wire's, such as `legs[0].from_station`.
    pub fn invalid_field(field: impl Into<String>, invalid: &domain::Invalid) -> Self {
        Self::bad_field(field, invalid.to_string())
    }

    /// INVALID_ARGUMENT: one field is wrong, described by a sentence part such as `expected one to five passengers`.
    pub fn bad_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        Self {
            fields: vec![(field.clone(), description.clone())],
            ..Self::new(Code::InvalidArgument, reason::INVALID_FIELD, format!("{field}: {description}"))
        }
    }

    /// NOT_FOUND.
    pub fn not_found(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, reason, message)
    }

    /// UNAVAILABLE: the same request may succeed after a while.
    pub fn unavailable(reason: &'static str, message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(Code::Unavailable, reason, message) }
    }

    /// FAILED_PRECONDITION: an ordinary refusal by the rules, such as sold out.
    pub fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, reason, message)
    }

    /// ALREADY_EXISTS with [`reason::REQUEST_ID_REUSED`]: the id was used before with other content.
    pub fn request_id_reused(id: impl fmt::Display) -> Self {
        let message = format!("request id {id} was used before with other content");
        Self::new(Code::AlreadyExists, reason::REQUEST_ID_REUSED, message)
    }

    /// RESOURCE_EXHAUSTED: a limit of the caller's is reached.
    pub fn exhausted(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, reason, message)
    }

    /// UNAUTHENTICATED.
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// PERMISSION_DENIED.
    pub fn forbidden(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, reason, message)
    }

    /// The same failure with a value that matters.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.metadata.push((name.into(), value.to_string()));
        self
    }

    /// The same failure with when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u32) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// The value of that name, if it was given.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a status was given for this reason, without reading all that it says where it was not.
    pub fn is_for(status: &Status, reason: &'static str) -> bool {
        let (name, details) = (reason.as_bytes(), status.details());
        // Asked of every refusal, and mostly in vain: the first byte alone rules most places out.
        let begins = |first: &u8| memchr::memchr_iter(*first, details).any(|place| details[place..].starts_with(name));
        name.first().is_some_and(begins) && Self::from_status(status).reason == reason
    }

    /// What a status says. Statuses that carry no reason of ours get one that fits their code.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let mut metadata: Vec<_> = info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default();
        metadata.sort();
        Self {
            code: status.code(),
            reason: info.map_or_else(|| reason_of_code(status.code()), |info| reason::known(&info.reason)),
            message: status.message().to_owned(),
            metadata,
            fields: details.bad_request().map_or_else(Vec::new, |bad| {
                bad.field_violations.iter().map(|v| (v.field.clone(), v.description.clone())).collect()
            }),
            retry_after_ms: details
                .retry_info()
                .and_then(|info| info.retry_delay)
                .map(|delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)),
        }
    }
}

fn reason_of_code(code: Code) -> &'static str {
    match code {
        Code::DeadlineExceeded | Code::Cancelled => reason::DEADLINE_EXCEEDED,
        Code::Unavailable => reason::UNAVAILABLE,
        Code::Unimplemented => reason::METHOD_UNKNOWN,
        Code::InvalidArgument => reason::UNDECODABLE,
        _ => reason::UNEXPECTED,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut details = ErrorDetails::new();
        let metadata: HashMap<_, _> = failure.metadata.into_iter().collect();
        details.set_error_info(failure.reason, ERROR_DOMAIN, metadata);
        if !failure.fields.is_empty() {
            let violations =
                failure.fields.into_iter().map(|(field, description)| FieldViolation::new(field, description));
            details.set_bad_request(violations.collect::<Vec<_>>());
        }
        if let Some(millis) = failure.retry_after_ms {
            details.set_retry_info(Some(Duration::from_millis(millis.into())));
        }
        Self::with_error_details(failure.code, failure.message, details)
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        Self::from_status(status)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

/// An encoded `google.rpc.Status`, for answers that carry a status inside a message.
pub fn encode_status(status: &Status) -> Bytes {
    if !status.details().is_empty() {
        return Bytes::copy_from_slice(status.details());
    }
    let plain = tonic_types::pb::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    };
    plain.encode_to_vec().into()
}

/// The status of an encoded `google.rpc.Status`; `Unknown` where it cannot be read.
pub fn decode_status(encoded: &Bytes) -> Status {
    match StatusHead::decode(&encoded[..]) {
        Ok(head) => Status::with_details(Code::from_i32(head.code), head.message, encoded.clone()),
        Err(_) => Status::unknown("undecodable status inside a message"),
    }
}

/// A `google.rpc.Status` without its details, which whoever wants them reads from the bytes.
#[derive(Clone, PartialEq, Message)]
struct StatusHead {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        let failure = Failure {
            fields: vec![("legs[0].to_station".into(), "expected a station".into())],
            ..Failure::refused(reason::SOLD_OUT, "sold out between two stops").with("from", 3).retry_after_ms(1_500)
        };
        let status = Status::from(failure.clone());
        assert_eq!(Failure::from_status(&status), failure);
        assert_eq!(Failure::from_status(&decode_status(&encode_status(&status))), failure);
    }

    #[test]
    fn a_plain_status_gets_a_reason_that_fits() {
        let failure = Failure::from_status(&Status::unavailable("tcp connect error"));
        assert_eq!((failure.code, failure.reason), (Code::Unavailable, reason::UNAVAILABLE));
        assert!(Failure::is_for(&Failure::refused(reason::SOLD_OUT, "sold out").into(), reason::SOLD_OUT));
        assert!(!Failure::is_for(&Failure::refused(reason::SOLD_OUT, "not NOT_OWNER").into(), reason::NOT_OWNER));
        assert!(!Failure::is_for(&Status::unavailable("tcp connect error"), reason::NOT_OWNER));
        let decoded = decode_status(&encode_status(&Status::not_found("gone")));
        assert_eq!((decoded.code(), decoded.message()), (Code::NotFound, "gone"));
    }

    #[test]
    fn reasons_are_in_screaming_snake_case_and_unique() {
        let mut seen = std::collections::HashSet::new();
        for reason in reason::ALL {
            assert!(reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{reason}");
            assert!(seen.insert(reason), "{reason} twice");
        }
    }
}
