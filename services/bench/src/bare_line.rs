//! Many requests on one stream over a bare channel: what agencies do that stream, and the second hop of the echo.

use std::collections::HashMap;

use proto::inventory::v1::hold_stream_answer::Outcome;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{HoldStreamItem, HoldStreamRequest};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

/// Requests that wait to be sent.
const QUEUE_ITEMS_MAX: usize = 4_096;
/// Requests in one message: the wire contract's bound.
const MESSAGE_ITEMS_MAX: usize = 256;

type Answer = oneshot::Sender<Result<Outcome, Status>>;

/// The sending end of a stream. What comes while a message is on its way travels together in the next one.
#[derive(Clone)]
pub(crate) struct BareLine {
    queue: mpsc::Sender<(HoldStreamItem, Answer)>,
}

impl BareLine {
    /// Opens the stream, on the present runtime. It ends when every sender is gone.
    pub async fn open(mut client: InventoryServiceClient<Channel>) -> Result<Self, Status> {
        let (queue, waiting) = mpsc::channel(QUEUE_ITEMS_MAX);
        let (messages, outgoing) = mpsc::channel(1);
        let answers = client.hold_stream(ReceiverStream::new(outgoing)).await?.into_inner();
        tokio::spawn(drive(waiting, messages, answers));
        Ok(Self { queue })
    }

    /// Sends one request, and waits for its answer.
    pub async fn ask(&self, item: HoldStreamItem) -> Result<Outcome, Status> {
        let broken = || Status::unavailable("the stream broke");
        let (answer, answered) = oneshot::channel();
        self.queue.send((item, answer)).await.map_err(|_| broken())?;
        answered.await.map_err(|_| broken())?
    }
}

async fn drive(
    mut waiting: mpsc::Receiver<(HoldStreamItem, Answer)>,
    messages: mpsc::Sender<HoldStreamRequest>,
    mut answers: tonic::Streaming<proto::inventory::v1::HoldStreamResponse>,
) {
    let mut unanswered: HashMap<u64, Answer> = HashMap::new();
    let mut batch = Vec::with_capacity(MESSAGE_ITEMS_MAX);
    let mut last = 0;
    loop {
        tokio::select! {
            biased;
            message = answers.message() => {
                let Ok(Some(message)) = message else { return };
                for answer in message.answers {
                    let Some(waiter) = unanswered.remove(&answer.correlation) else { continue };
                    let outcome = match answer.outcome {
                        Some(Outcome::Status(status)) => Err(rpc::decode_status(&status)),
                        Some(outcome) => Ok(outcome),
                        None => Err(Status::unavailable("an answer without an outcome")),
                    };
                    // Whoever has stopped waiting needs no answer.
                    let _ = waiter.send(outcome);
                }
            }
            permit = async {
                let permit = messages.reserve().await.ok()?;
                if waiting.recv_many(&mut batch, MESSAGE_ITEMS_MAX).await == 0 { None } else { Some(permit) }
            } => {
                let Some(permit) = permit else { return };
                let number = |(mut item, answer): (HoldStreamItem, Answer)| {
                    last += 1;
                    item.correlation = last;
                    unanswered.insert(last, answer);
                    item
                };
                permit.send(HoldStreamRequest { items: batch.drain(..).map(number).collect() });
            }
        }
    }
}
