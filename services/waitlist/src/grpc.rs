//! The face: `chunyun.waitlist.v1` to the entries of [`App`] and back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{AccountId, EntryId, Time};
use proto::waitlist::v1 as wire;
use proto::waitlist::v1::waitlist_service_server::WaitlistService;
use tonic::{Request, Response, Status};

use crate::app::{self, App};
use crate::convert;
use crate::entry::{Entry, Wish};
use crate::error::Error;
use crate::state::{End, Stage};

const ENTRIES_DEFAULT: u32 = 20;
const ENTRIES_MAX: u32 = 100;

/// The waitlist service.
#[derive(Clone, Debug)]
pub struct Face {
    app: Arc<App>,
}

impl Face {
    /// Asks this application.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn list(&self, request: &wire::ListEntriesRequest) -> Result<wire::ListEntriesResponse, Error> {
        let account = account(&request.account)?;
        let size = match request.page_size {
            0 => ENTRIES_DEFAULT,
            size if size <= ENTRIES_MAX => size,
            _ => return Err(not_allowed("page_size", "0 to 100")),
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(page_end(token).ok_or_else(|| not_allowed("page_token", "a next_page_token, or nothing"))?),
        };
        // One more than asked for tells whether there is another page.
        let mut entries = self.app.entries(&account, after, size + 1).await?;
        let more = entries.len() > size as usize;
        entries.truncate(size as usize);
        let next_page_token = entries.last().filter(|_| more).map_or_else(String::new, page_token);
        Ok(wire::ListEntriesResponse { entries: entries.iter().map(entry_out).collect(), next_page_token })
    }
}

#[tonic::async_trait]
impl WaitlistService for Face {
    async fn join_waitlist(
        &self,
        request: Request<wire::JoinWaitlistRequest>,
    ) -> Result<Response<wire::JoinWaitlistResponse>, Status> {
        let entry = self.app.join(request_in(request.get_ref())?).await?;
        Ok(Response::new(wire::JoinWaitlistResponse { entry: Some(entry_out(&entry)) }))
    }

    async fn get_entry(
        &self,
        request: Request<wire::GetEntryRequest>,
    ) -> Result<Response<wire::GetEntryResponse>, Status> {
        let request = request.get_ref();
        let entry = self.app.entry(&account(&request.account)?, entry_id(&request.entry_id)?).await?;
        Ok(Response::new(wire::GetEntryResponse { entry: Some(entry_out(&entry)) }))
    }

    async fn list_entries(
        &self,
        request: Request<wire::ListEntriesRequest>,
    ) -> Result<Response<wire::ListEntriesResponse>, Status> {
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn leave_waitlist(
        &self,
        request: Request<wire::LeaveWaitlistRequest>,
    ) -> Result<Response<wire::LeaveWaitlistResponse>, Status> {
        let request = request.get_ref();
        let entry = self.app.leave(&account(&request.account)?, entry_id(&request.entry_id)?).await?;
        Ok(Response::new(wire::LeaveWaitlistResponse { entry: Some(entry_out(&entry)) }))
    }
}

fn request_in(request: &wire::JoinWaitlistRequest) -> Result<app::Request, Error> {
    let passengers = request.passengers.iter().enumerate();
    let travellers: Vec<_> =
        passengers.map(|(position, passenger)| convert::traveller_in(position, passenger)).collect::<Result<_, _>>()?;
    let deadline = match request.deadline_ms {
        0 => None,
        millis => Some(Time::from_millis(millis)),
    };
    Ok(app::Request {
        id: entry_id(&request.entry_id)?,
        account: account(&request.account)?,
        wish: Wish {
            run: convert::run_in(request.run.as_ref())?,
            class: convert::class_in(request.seat_class)?,
            interval: convert::interval_in(request.from_stop, request.to_stop)?,
            passengers: u8::try_from(travellers.len()).unwrap_or(u8::MAX),
            standing: request.accept_standing,
            channel: convert::channel_in(request.channel)?,
            deadline: Time::default(),
        },
        deadline,
        travellers,
    })
}

fn entry_out(entry: &Entry) -> wire::Entry {
    let (state, end_reason) = state_out(&entry.stage);
    let wish = &entry.wish;
    wire::Entry {
        entry_id: entry.id.to_string(),
        account: entry.account.to_string(),
        state: state.into(),
        run: Some(convert::run_out(wish.run)),
        seat_class: wish.class.code().into(),
        from_stop: wish.interval.from().into(),
        to_stop: wish.interval.to().into(),
        passengers: wish.passengers.into(),
        sequence: entry.place.map_or(0, |place| place.sequence),
        deadline_ms: wish.deadline.millis(),
        order_id: if entry.stage == Stage::Fulfilled { entry.id.to_string() } else { String::new() },
        ahead_at_join: entry.place.and_then(|place| place.ahead).unwrap_or(0),
        end_reason: end_reason.to_owned(),
    }
}

/// What an account is shown: the steps between an offer and its order are not its concern.
fn state_out(stage: &Stage) -> (wire::EntryState, &str) {
    match stage {
        Stage::Joining => (wire::EntryState::Joining, ""),
        Stage::Waiting | Stage::Offered | Stage::Ordering(_) => (wire::EntryState::Waiting, ""),
        Stage::Fulfilled => (wire::EntryState::Fulfilled, ""),
        Stage::Releasing { reason, .. } => (wire::EntryState::Failed, reason),
        Stage::Leaving(end) | Stage::Ended(end) => match end {
            End::Left => (wire::EntryState::Left, ""),
            End::Expired => (wire::EntryState::Expired, ""),
            End::Failed(reason) => (wire::EntryState::Failed, reason),
        },
    }
}

fn account(text: &str) -> Result<AccountId, Error> {
    text.parse().map_err(|invalid| Error::field("account", invalid))
}

fn entry_id(text: &str) -> Result<EntryId, Error> {
    text.parse().map_err(|invalid| Error::field("entry_id", invalid))
}

fn not_allowed(field: &str, message: &str) -> Error {
    Error::NotAllowed { field: field.to_owned(), message: message.to_owned() }
}

/// Where a page ended: when the entry was lodged, and its id.
fn page_token(last: &Entry) -> String {
    let mut bytes = last.created_at.millis().to_be_bytes().to_vec();
    bytes.extend(last.id.bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn page_end(token: &str) -> Option<(Time, EntryId)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (millis, id) = bytes.split_first_chunk()?;
    let id = u128::from_be_bytes(id.try_into().ok()?);
    Some((Time::from_millis(i64::from_be_bytes(*millis)), EntryId::from_u128(id)))
}
