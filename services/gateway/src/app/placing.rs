use std::sync::Arc;

use domain::{Document, HoldId};
use failpoints::Point;
use prost::Message;
use proto::common::v1::PassengerKind;
use proto::gateway::v1::PlaceOrderRequest;
use proto::inventory::v1::{GetHoldRequest, HoldPassenger, HoldRequest, HoldState, ReleaseRequest};
use proto::order::v1::{HeldLeg, OpenOrderRequest, Order};
use rpc::identity::Identity;
use rpc::{Failure, reason};
use tonic::{Code, Status};

use super::App;
use crate::error::Error;
use crate::parse::{Leg, Legs, Placing, run_out};

impl App {
    /// Places an order: holds the seats of every leg, then hands them to the order service. All or nothing.
    ///
    /// Every step is safe to repeat, because its id is the order's: a gateway or client that dies in between finds what it
    /// did by placing the same order again.
    pub async fn place_order(&self, identity: &Identity, request: PlaceOrderRequest) -> Result<Order, Error> {
        let content = xxhash_rust::xxh3::xxh3_64(&request.encode_to_vec());
        let placed = async {
            let placing = match self.read_for_sale(identity, &request) {
                Ok(placing) => Arc::new(placing),
                Err(refusal) => return self.answered_before(identity, request, refusal).await,
            };
            let work = || self.hold_and_open(identity, Arc::clone(&placing));
            self.fold.once(&identity.account, placing.order_id, content, work).await
        };
        placed.await.inspect_err(|error| crate::metrics::refused(reason_of(error)))
    }

    /// Reads an order that may be placed now.
    fn read_for_sale(&self, identity: &Identity, request: &PlaceOrderRequest) -> Result<Placing, Error> {
        let placing = Placing::read(request.clone(), &self.legs())?;
        self.check_selling(identity, placing.channel)?;
        Ok(placing)
    }

    /// What was answered to the same order when it could be placed; else why it cannot be now.
    async fn answered_before(
        &self,
        identity: &Identity,
        request: PlaceOrderRequest,
        refusal: Error,
    ) -> Result<Order, Error> {
        if !matches!(refusal, Error::SellingHours { .. } | Error::Horizon { .. }) {
            return Err(refusal);
        }
        let Ok(placing) = Placing::read(request, &Legs { any_date: true, ..self.legs() }) else { return Err(refusal) };
        let legs = placing.legs.iter().enumerate().map(|(index, leg)| held_leg(&placing, index, leg)).collect();
        let request = OpenOrderRequest { repeat_only: true, ..open_request(identity, &placing, legs) };
        match self.orders().open_order(request).await {
            Ok(opened) => opened.into_inner().order.ok_or(Error::Nonsense("order service")),
            Err(status) if is_refusal(&status) => Err(refusal),
            Err(status) => Err(status.into()),
        }
    }

    async fn hold_and_open(&self, identity: &Identity, placing: Arc<Placing>) -> Result<Order, Error> {
        failpoints::at(Point::GatewayBeforeHold).await?;
        let legs = self.hold_all(&placing).await?;
        failpoints::at(Point::GatewayAfterHold).await?;
        let request = open_request(identity, &placing, legs);
        let opened = self.orders().open_order(request).await;
        failpoints::at(Point::GatewayAfterOpen).await?;
        match opened {
            Ok(opened) => opened.into_inner().order.ok_or(Error::Nonsense("order service")),
            Err(status) => {
                if is_refusal(&status) {
                    self.give_back(&placing, placing.legs.len()).await;
                }
                Err(status.into())
            }
        }
    }

    /// Holds the legs one after the other, so that two parties who want the same two trains cannot block each other for
    /// longer than one of them takes; gives back what it has when a later leg is refused.
    async fn hold_all(&self, placing: &Placing) -> Result<Vec<HeldLeg>, Error> {
        let mut held = vec![HeldLeg::default(); placing.legs.len()];
        let mut by_run: Vec<(usize, &Leg)> = placing.legs.iter().enumerate().collect();
        by_run.sort_by_key(|(_, leg)| leg.run);
        for (index, leg) in &by_run {
            let request = self.hold_request(placing, *index, leg);
            match self.holds.hold(&leg.run, request).await {
                Ok(answer) => {
                    held[*index] = HeldLeg { places: answer.places, ..held_leg(placing, *index, leg) };
                }
                Err(status) => {
                    if is_refusal(&status) && placing.legs.len() > 1 {
                        self.give_back(placing, placing.legs.len()).await;
                    }
                    return Err(self.refused_leg(placing, *index, status));
                }
            }
        }
        Ok(held)
    }

    fn hold_request(&self, placing: &Placing, index: usize, leg: &Leg) -> HoldRequest {
        let passengers = placing.party.documents.iter().zip(&placing.party.passengers);
        HoldRequest {
            run: Some(run_out(leg.run)),
            hold_id: hold_id(placing, index),
            channel: placing.channel.code().into(),
            seat_class: leg.class.code().into(),
            from_stop: leg.interval.from().into(),
            to_stop: leg.interval.to().into(),
            passengers: passengers
                .filter(|(_, passenger)| passenger.kind() != PassengerKind::Infant)
                .map(|(document, passenger)| HoldPassenger {
                    person: self.person_tokens.token(leg.run.date, document).0.to_vec().into(),
                    preference: passenger.preference,
                    elderly: self.is_elderly(document, leg),
                })
                .collect(),
            accept_standing: placing.accept_standing,
            accept_seat_change: placing.accept_seat_change,
        }
    }

    /// Whether the passenger is of the age that gets a lower berth on the day of boarding.
    fn is_elderly(&self, document: &Document, leg: &Leg) -> bool {
        let Some(birth) = document.birth_date() else { return false };
        let day = leg.boarding_date.date();
        let had_birthday = (day.month(), day.day()) >= (birth.month(), birth.day());
        let age = i32::from(day.year()) - i32::from(birth.year()) - i32::from(!had_birthday);
        u32::try_from(age).is_ok_and(|age| age >= self.policy.sale.lower_berth_age)
    }

    /// A shard names its own fields; the caller knows them by other paths.
    fn refused_leg(&self, placing: &Placing, index: usize, status: Status) -> Error {
        let failure = Failure::from_status(&status);
        if failure.reason == reason::REQUEST_ID_REUSED {
            return Error::IdReused(placing.order_id);
        }
        if placing.legs.len() == 1 || failure.code != Code::FailedPrecondition {
            return Error::Upstream(status);
        }
        Error::Upstream(failure.with("leg", index).into())
    }

    /// Gives holds back that no order has claimed. A hold that an order opened stays: the same id may have been placed
    /// before with success. Failing is harmless: unclaimed holds lapse within seconds.
    async fn give_back(&self, placing: &Placing, legs: usize) {
        if failpoints::at(Point::GatewayBeforeGiveBack).await.is_err() {
            return;
        }
        for (index, leg) in placing.legs.iter().enumerate().take(legs) {
            let (run, hold_id) = (Some(run_out(leg.run)), hold_id(placing, index));
            let asked = GetHoldRequest { run: run.clone(), hold_id: hold_id.clone() };
            let found = self.shards.call(&leg.run, |mut client| {
                let asked = asked.clone();
                async move { client.get_hold(asked).await }
            });
            if found.await.is_ok_and(|hold| hold.state() == HoldState::Held) {
                let release = ReleaseRequest { run, hold_id };
                let released = self.shards.call(&leg.run, |mut client| {
                    let release = release.clone();
                    async move { client.release(release).await }
                });
                if let Err(status) = released.await {
                    tracing::debug!(%status, "a hold was left to lapse");
                }
            }
        }
    }
}

fn open_request(identity: &Identity, placing: &Placing, legs: Vec<HeldLeg>) -> OpenOrderRequest {
    OpenOrderRequest {
        order_id: placing.order_id.to_string(),
        account: identity.account.to_string(),
        channel: placing.channel.code().into(),
        legs,
        passengers: placing.party.passengers.clone(),
        quoted_fen: placing.quoted_fen,
        repeat_only: false,
        quote: placing.quote.clone(),
    }
}

fn held_leg(placing: &Placing, index: usize, leg: &Leg) -> HeldLeg {
    HeldLeg {
        run: Some(run_out(leg.run)),
        seat_class: leg.class.code().into(),
        from_stop: leg.interval.from().into(),
        to_stop: leg.interval.to().into(),
        hold_id: hold_id(placing, index),
        ..HeldLeg::default()
    }
}

fn hold_id(placing: &Placing, leg: usize) -> prost::bytes::Bytes {
    // The policy file allows two legs at most.
    HoldId::of_order(placing.order_id, leg as u8).bytes().to_vec().into()
}

/// Whether a role said no for good, rather than nothing at all: then nothing it may still do depends on the seats. A
/// reused id is somebody's order, whose seats stay.
fn is_refusal(status: &Status) -> bool {
    let decided = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::ResourceExhausted
            | Code::PermissionDenied
    );
    decided && Failure::from_status(status).reason != reason::REQUEST_ID_REUSED
}

fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::Upstream(status) => Failure::from_status(status).reason,
        Error::Invalid { .. } | Error::Field { .. } => reason::INVALID_FIELD,
        Error::Horizon { .. } => reason::PRESALE_HORIZON,
        Error::SellingHours { .. } => reason::SELLING_HOURS,
        Error::TokenMissing => reason::TOKEN_MISSING,
        Error::ChannelNotAllowed(_) => reason::CHANNEL_NOT_ALLOWED,
        Error::RoleMissing(_) => reason::ROLE_MISSING,
        Error::RateLimited { .. } | Error::InFlight => reason::RATE_LIMITED,
        Error::IdReused(_) => reason::REQUEST_ID_REUSED,
        Error::Nonsense(_) | Error::NotAllOpened { .. } | Error::Ring(_) | Error::RingUnsettled => reason::UNEXPECTED,
    }
}
