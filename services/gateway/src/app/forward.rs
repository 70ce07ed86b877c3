//! Calls that another role answers: fields are checked here, the account is the token's.

use proto::gateway::v1 as wire;
use proto::order::v1 as order;
use proto::query::v1 as query;
use proto::waitlist::v1 as waitlist;
use rpc::identity::Identity;
use tonic::{Status, Streaming};

use super::App;
use crate::error::Error;
use crate::parse::{self, Waiting, run_out};

/// The most results of one search.
const JOURNEYS_MAX: u32 = 500;
/// The most stations of one look-up.
const STATIONS_MAX: u32 = 100;

impl App {
    pub async fn search_trains(
        &self,
        request: wire::SearchTrainsRequest,
    ) -> Result<query::SearchTrainsResponse, Error> {
        let search = request.query.ok_or_else(|| Error::field("query", "expected a search"))?;
        for (field, text) in
            [("query.from", &search.from), ("query.to", &search.to), ("query.page_token", &search.page_token)]
        {
            parse::text(field, text)?;
        }
        search.boarding_date.parse::<domain::BoardingDate>().map_err(Error::invalid("query.boarding_date"))?;
        if search.page_size > JOURNEYS_MAX {
            return Err(Error::field("query.page_size", format!("expected 1 to {JOURNEYS_MAX}, or 0 for 100")));
        }
        let found = self.queries().search_trains(search).await.map_err(|status| within("query", &status))?;
        Ok(found.into_inner())
    }

    pub async fn get_train(&self, request: wire::GetTrainRequest) -> Result<query::GetTrainResponse, Error> {
        let run = parse::run_in("run", request.run.as_ref())?;
        Ok(self.queries().get_train(query::GetTrainRequest { run: Some(run_out(run)) }).await?.into_inner())
    }

    pub async fn find_stations(
        &self,
        request: wire::FindStationsRequest,
    ) -> Result<query::FindStationsResponse, Error> {
        parse::text("text", &request.text)?;
        if request.limit > STATIONS_MAX {
            return Err(Error::field("limit", format!("expected 1 to {STATIONS_MAX}, or 0 for 20")));
        }
        let request = query::FindStationsRequest { text: request.text, limit: request.limit };
        Ok(self.queries().find_stations(request).await?.into_inner())
    }

    pub async fn get_order(&self, identity: &Identity, order_id: &str) -> Result<order::Order, Error> {
        let (account, order_id) = of_account(identity, parse::order_id(order_id)?);
        let found = self.orders().get_order(order::GetOrderRequest { account, order_id }).await?;
        found.into_inner().order.ok_or(Error::Nonsense("order service"))
    }

    pub async fn list_orders(
        &self,
        identity: &Identity,
        request: wire::ListOrdersRequest,
    ) -> Result<order::ListOrdersResponse, Error> {
        let wire::ListOrdersRequest { page_size, page_token } = request;
        parse::page_size(page_size, &page_token)?;
        let account = identity.account.to_string();
        Ok(self.orders().list_orders(order::ListOrdersRequest { account, page_size, page_token }).await?.into_inner())
    }

    pub async fn pay_order(&self, identity: &Identity, request: wire::PayOrderRequest) -> Result<order::Order, Error> {
        let (account, order_id) = of_account(identity, parse::order_id(&request.order_id)?);
        let payment_token = request.payment_token;
        if payment_token.is_empty() {
            return Err(Error::field("payment_token", "expected a token of the payment provider"));
        }
        parse::text("payment_token", &payment_token)?;
        let paid = self.orders().pay_order(order::PayOrderRequest { account, order_id, payment_token }).await?;
        paid.into_inner().order.ok_or(Error::Nonsense("order service"))
    }

    pub async fn cancel_order(&self, identity: &Identity, order_id: &str) -> Result<order::Order, Error> {
        let (account, order_id) = of_account(identity, parse::order_id(order_id)?);
        let cancelled = self.orders().cancel_order(order::CancelOrderRequest { account, order_id }).await?;
        cancelled.into_inner().order.ok_or(Error::Nonsense("order service"))
    }

    pub async fn refund_ticket(
        &self,
        identity: &Identity,
        request: wire::RefundTicketRequest,
    ) -> Result<order::RefundTicketResponse, Error> {
        let (account, order_id) = of_account(identity, parse::order_id(&request.order_id)?);
        let ticket_id = request.ticket_id;
        if ticket_id.is_empty() {
            return Err(Error::field("ticket_id", "expected the id of a ticket of the order"));
        }
        parse::text("ticket_id", &ticket_id)?;
        let request = order::RefundTicketRequest { account, order_id, ticket_id };
        Ok(self.orders().refund_ticket(request).await?.into_inner())
    }

    pub async fn watch_order(
        &self,
        identity: &Identity,
        order_id: &str,
    ) -> Result<Streaming<order::WatchOrderResponse>, Error> {
        let (account, order_id) = of_account(identity, parse::order_id(order_id)?);
        Ok(self.orders().watch_order(order::WatchOrderRequest { account, order_id }).await?.into_inner())
    }

    pub async fn join_waitlist(
        &self,
        identity: &Identity,
        request: wire::JoinWaitlistRequest,
    ) -> Result<waitlist::Entry, Error> {
        let waiting = Waiting::read(request, &self.legs())?;
        self.check_selling(identity, waiting.channel)?;
        let request = waitlist::JoinWaitlistRequest {
            entry_id: waiting.entry_id.to_string(),
            account: identity.account.to_string(),
            channel: waiting.channel.code().into(),
            run: Some(run_out(waiting.leg.run)),
            seat_class: waiting.leg.class.code().into(),
            from_stop: waiting.leg.interval.from().into(),
            to_stop: waiting.leg.interval.to().into(),
            passengers: waiting.party.passengers,
            accept_standing: waiting.accept_standing,
            deadline_ms: waiting.deadline_ms,
        };
        self.entries().join_waitlist(request).await?.into_inner().entry.ok_or(Error::Nonsense("waitlist service"))
    }

    pub async fn get_entry(&self, identity: &Identity, entry_id: &str) -> Result<waitlist::Entry, Error> {
        let (account, entry_id) = of_account(identity, parse::entry_id(entry_id)?);
        let found = self.entries().get_entry(waitlist::GetEntryRequest { account, entry_id }).await?;
        found.into_inner().entry.ok_or(Error::Nonsense("waitlist service"))
    }

    pub async fn list_entries(
        &self,
        identity: &Identity,
        request: wire::ListWaitlistEntriesRequest,
    ) -> Result<waitlist::ListEntriesResponse, Error> {
        let wire::ListWaitlistEntriesRequest { page_size, page_token } = request;
        parse::page_size(page_size, &page_token)?;
        let account = identity.account.to_string();
        let request = waitlist::ListEntriesRequest { account, page_size, page_token };
        Ok(self.entries().list_entries(request).await?.into_inner())
    }

    pub async fn leave_waitlist(&self, identity: &Identity, entry_id: &str) -> Result<waitlist::Entry, Error> {
        let (account, entry_id) = of_account(identity, parse::entry_id(entry_id)?);
        let left = self.entries().leave_waitlist(waitlist::LeaveWaitlistRequest { account, entry_id }).await?;
        left.into_inner().entry.ok_or(Error::Nonsense("waitlist service"))
    }
}

fn of_account(identity: &Identity, id: impl ToString) -> (String, String) {
    (identity.account.to_string(), id.to_string())
}

/// The same failure with its fields named as the caller of the gateway knows them.
fn within(path: &str, status: &Status) -> Error {
    let mut failure = rpc::Failure::from_status(status);
    if failure.fields.is_empty() {
        return Error::Upstream(status.clone());
    }
    for (field, _) in &mut failure.fields {
        *field = format!("{path}.{field}");
    }
    Error::Upstream(failure.into())
}
