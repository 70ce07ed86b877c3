use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use super::stack::Ticket;
use super::wire_status;
use crate::{Failure, reason};

/// A reply's body: keeps the call counted until its end, ends streams in time, and lets no undocumented status out.
pub(crate) struct Reply {
    inner: Body,
    /// Ends a stream with the failure it gives; none for unary calls, which are bounded as a whole.
    end: Option<BoxFuture<'static, Failure>>,
    record: Option<Record>,
}

/// What is known of the call when its reply starts.
pub(crate) struct Record {
    pub method: &'static str,
    pub started: Instant,
    pub ticket: Ticket,
}

impl Record {
    pub fn finish(self, code: Code) {
        crate::metrics::record_call(self.method, code, self.started.elapsed());
    }
}

impl Reply {
    pub fn new(inner: Body, end: Option<BoxFuture<'static, Failure>>, record: Record) -> Self {
        Self { inner, end, record: Some(record) }
    }

    fn finish(&mut self, code: Code) {
        if let Some(record) = self.record.take() {
            record.finish(code);
        }
    }

    fn end_with(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.finish(failure.code);
        self.inner = Body::empty();
        self.end = None;
        let mut trailers = http::HeaderMap::new();
        match Status::from(failure).add_header(&mut trailers) {
            Ok(()) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Err(status) => Poll::Ready(Some(Err(status))),
        }
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.record.is_none() {
            return Poll::Ready(None);
        }
        if let Some(end) = &mut self.end
            && let Poll::Ready(failure) = end.as_mut().poll(context)
        {
            return self.end_with(failure);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.inner).poll_frame(context)));
        let Ok(polled) = polled else {
            tracing::error!("a stream's handler panicked");
            return self.end_with(panicked());
        };
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    let code = wire_status::make_documented(trailers).unwrap_or(Code::Ok);
                    self.finish(code);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => self.end_with(Failure::from_status(&status)),
            Poll::Ready(None) => {
                self.finish(Code::Ok);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // Dropped before its end: the caller went away.
        self.finish(Code::Cancelled);
    }
}

/// What a panic answers. The handler's state is suspect, its service is not: the next call may succeed.
pub(crate) fn panicked() -> Failure {
    Failure::unavailable(reason::UNEXPECTED, "the call could not be completed", 1_000)
}
