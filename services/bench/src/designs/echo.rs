use std::sync::Arc;

use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use tonic::Status;

use super::Hop;
use crate::bare_line::BareLine;
use crate::edge::{StreamedCalls, UnaryCalls, connect as connect_bare};
use crate::{BenchError, Seats, seats};

/// Answers at once, with an answer as large as a real one.
pub(crate) struct Echo;

impl Seats for Echo {
    fn hold(&self, _: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>> {
        Box::pin(std::future::ready(Ok(seats::held(0, &request))))
    }

    fn release(&self, _: Run, _: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The way to an echo, with nothing around it.
pub(crate) async fn connect(address: &str, hop: Hop) -> Result<Arc<dyn Seats>, BenchError> {
    let client = connect_bare(address).await?;
    Ok(match hop {
        Hop::Unary => Arc::new(UnaryCalls(client)),
        Hop::Streamed => {
            let line = BareLine::open(client).await.map_err(BenchError::because("a stream could not be opened"))?;
            Arc::new(StreamedCalls(line))
        }
    })
}
