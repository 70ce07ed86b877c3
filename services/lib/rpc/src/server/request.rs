use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;
use tonic::body::Body;

use crate::{Failure, reason};

/// Bytes of a gRPC message's head: a compression flag and the length.
const HEAD_BYTES: usize = 5;

/// A request body that refuses messages over a limit before they are collected, and that ends when the server closes,
/// so that a handler of many requests can finish what it has.
pub(crate) struct BoundedRequest {
    inner: Body,
    message_bytes_max: u32,
    scan: Scan,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// Where in the stream of messages the next byte stands.
enum Scan {
    /// Within a head, of which so many bytes are read.
    Head { bytes: [u8; HEAD_BYTES], read: usize },
    /// Within a message, of which so many bytes are to come.
    Message { left: usize },
}

impl BoundedRequest {
    pub fn new(inner: Body, message_bytes_max: u32, closing: Option<WaitForCancellationFutureOwned>) -> Self {
        let scan = Scan::Head { bytes: [0; HEAD_BYTES], read: 0 };
        Self { inner, message_bytes_max, scan, closing: closing.map(Box::pin) }
    }

    fn check(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            match &mut self.scan {
                Scan::Head { bytes, read } => {
                    let taken = data.len().min(HEAD_BYTES - *read);
                    bytes[*read..*read + taken].copy_from_slice(&data[..taken]);
                    *read += taken;
                    data = &data[taken..];
                    if *read == HEAD_BYTES {
                        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                        if length > self.message_bytes_max {
                            return Err(too_large(length, self.message_bytes_max));
                        }
                        self.scan = match length {
                            0 => Scan::Head { bytes: [0; HEAD_BYTES], read: 0 },
                            length => Scan::Message { left: length as usize },
                        };
                    }
                }
                Scan::Message { left } => {
                    let taken = data.len().min(*left);
                    *left -= taken;
                    data = &data[taken..];
                    if *left == 0 {
                        self.scan = Scan::Head { bytes: [0; HEAD_BYTES], read: 0 };
                    }
                }
            }
        }
        Ok(())
    }
}

impl http_body::Body for BoundedRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(closing) = &mut self.closing
            && closing.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(status) = self.check(data)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn too_large(length: u32, limit: u32) -> Status {
    Failure::exhausted(reason::MESSAGE_TOO_LARGE, format!("a message of {length} bytes: at most {limit} are taken"))
        .with("limit_bytes", limit)
        .into()
}

/// Refuses metadata over a limit, all names and values counted.
pub(crate) fn check_metadata(headers: &HeaderMap, limit: u32) -> Result<(), Failure> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes <= limit as usize {
        return Ok(());
    }
    Err(Failure::exhausted(reason::METADATA_TOO_LARGE, format!("metadata is larger than {limit} bytes"))
        .with("limit_bytes", limit))
}
