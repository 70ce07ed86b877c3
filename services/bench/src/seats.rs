use bytes::Bytes;
use domain::Run;
use futures::future::BoxFuture;
use proto::inventory::v1::{HoldRequest, HoldResponse, ReleaseRequest};
use rpc::{Failure, reason};
use tonic::Status;

use crate::workload;

/// Whoever sells seats, by whatever design.
pub trait Seats: Send + Sync + 'static {
    /// Holds a place.
    fn hold(&self, run: Run, request: HoldRequest) -> BoxFuture<'_, Result<HoldResponse, Status>>;

    /// Gives a place back.
    fn release(&self, run: Run, request: ReleaseRequest) -> BoxFuture<'_, Result<(), Status>>;
}

/// What sold out looks like, by whatever design.
pub(crate) fn sold_out() -> Status {
    Failure::refused(reason::SOLD_OUT, "no place is free on the whole interval").into()
}

pub(crate) fn is_sold_out(status: &Status) -> bool {
    status.code() == tonic::Code::FailedPrecondition
}

/// What a design says that has chosen a place by its number.
pub(crate) fn held(number: u32, request: &HoldRequest) -> HoldResponse {
    let (from, to) = interval(request);
    HoldResponse { places: vec![workload::place(number, from, to)], open_by_ms: 0, version: 0 }
}

/// The stops of a request, which the bench itself has made.
pub(crate) fn interval(request: &HoldRequest) -> (u8, u8) {
    (request.from_stop as u8, request.to_stop as u8)
}

/// What a design that remembers no holds is given back by: the place and its interval, in the bytes of a hold id.
pub(crate) struct PlaceId {
    pub number: u32,
    pub from: u8,
    pub to: u8,
}

impl PlaceId {
    pub fn write(&self) -> Bytes {
        let mut bytes = vec![0; 17];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        (bytes[4], bytes[5]) = (self.from, self.to);
        bytes.into()
    }

    pub fn read(bytes: &[u8]) -> Result<Self, Status> {
        match bytes {
            [a, b, c, d, from, to, ..] => {
                Ok(Self { number: u32::from_be_bytes([*a, *b, *c, *d]), from: *from, to: *to })
            }
            _ => Err(Failure::bad_field("hold_id", "not a place").into()),
        }
    }
}
