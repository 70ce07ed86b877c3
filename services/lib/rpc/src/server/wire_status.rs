use http::HeaderMap;
use tonic::{Code, Status};

use crate::{Failure, reason};

const STATUS_HEADERS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// The code in headers or trailers, if they carry one.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS_HEADERS[0]).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Replaces statuses that no caller may see. tonic answers INTERNAL for what a caller sent wrong, and OUT_OF_RANGE for
/// what is too large; handlers may let an UNKNOWN of a library slip through.
pub(crate) fn make_documented(headers: &mut HeaderMap) -> Option<Code> {
    let code = code_in(headers)?;
    if !matches!(code, Code::Internal | Code::Unknown | Code::OutOfRange | Code::DataLoss) {
        return Some(code);
    }
    let status = Status::from_header_map(headers)?;
    let documented = Status::from(document(&status));
    for name in STATUS_HEADERS {
        headers.remove(name);
    }
    // Only a message that cannot be a header value fails here, and ours are plain text.
    let written = documented.add_header(headers);
    debug_assert!(written.is_ok(), "a documented status is always writable");
    Some(documented.code())
}

fn document(status: &Status) -> Failure {
    let message = status.message();
    // The texts of tonic 0.14 and prost 0.14; a test sends each of these over a socket.
    const UNDECODABLE: [&str; 6] = [
        "failed to decode Protobuf message",
        "protocol error: received message",
        "Unexpected EOF decoding stream",
        "Missing request message",
        "Error decompressing",
        "protocol error:",
    ];
    const TOO_LARGE: [&str; 2] = ["Error, decoded message length too large", "Error decompressing: size limit"];
    if TOO_LARGE.iter().any(|start| message.starts_with(start)) {
        return Failure::exhausted(reason::MESSAGE_TOO_LARGE, "the message is larger than this server takes");
    }
    if status.code() == Code::Internal && UNDECODABLE.iter().any(|start| message.starts_with(start)) {
        return Failure::new(Code::InvalidArgument, reason::UNDECODABLE, "the message cannot be decoded");
    }
    tracing::error!(code = ?status.code(), message, "a handler answered with an undocumented status");
    Failure::unavailable(reason::UNEXPECTED, "the call could not be completed", 1_000)
}
