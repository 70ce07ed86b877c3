use domain::OrderId;
use proto::gateway::v1 as wire;
use proto::order::v1 as order;
use rpc::identity::Identity;

use super::App;
use crate::error::Error;
use crate::parse::{self, Leg, run_out};

/// The most tickets of one request: every passenger of one train.
const TICKETS_MAX: usize = 16;

impl App {
    /// What a journey would cost, signed.
    pub async fn quote_order(&self, request: wire::QuoteOrderRequest) -> Result<order::QuoteOrderResponse, Error> {
        let legs = self.legs().read_all(&request.legs)?;
        let leg = |leg: &Leg| order::QuotedLeg {
            run: Some(run_out(leg.run)),
            seat_class: leg.class.code().into(),
            from_stop: leg.interval.from().into(),
            to_stop: leg.interval.to().into(),
        };
        let request = order::QuoteOrderRequest { legs: legs.iter().map(leg).collect(), kinds: request.kinds };
        Ok(self.orders().quote_order(request).await?.into_inner())
    }

    /// What exchanging tickets would cost now.
    pub async fn quote_change(
        &self,
        identity: &Identity,
        request: wire::QuoteChangeRequest,
    ) -> Result<order::QuoteChangeResponse, Error> {
        let leg = self.new_leg(request.leg)?;
        let order_id = parse::order_id(&request.order_id)?;
        let journey = Some(journey(identity, order_id, request.ticket_ids, &leg)?);
        Ok(self.orders().quote_change(order::QuoteChangeRequest { journey }).await?.into_inner())
    }

    /// Exchanges tickets: the order service holds the new seats and does the rest.
    pub async fn change_ticket(
        &self,
        identity: &Identity,
        request: wire::ChangeTicketRequest,
    ) -> Result<order::ChangeTicketsResponse, Error> {
        let change_id = parse::change_id(&request.change_id)?.to_string();
        if request.agreed_fen.is_some_and(|fen| fen < 0) {
            return Err(Error::field("agreed_fen", "expected an amount in fen, or nothing"));
        }
        parse::text("payment_token", &request.payment_token)?;
        let leg = self.new_leg(request.leg)?;
        let order_id = parse::order_id(&request.order_id)?;
        let journey = order::ChangedJourney {
            accept_standing: request.accept_standing,
            accept_seat_change: request.accept_seat_change,
            ..journey(identity, order_id, request.ticket_ids, &leg)?
        };
        let request = order::ChangeTicketsRequest {
            change_id,
            journey: Some(journey),
            agreed_fen: request.agreed_fen,
            payment_token: request.payment_token,
        };
        Ok(self.orders().change_tickets(request).await?.into_inner())
    }

    fn new_leg(&self, leg: Option<wire::LegRequest>) -> Result<Leg, Error> {
        let leg = leg.ok_or_else(|| Error::field("leg", "expected a train"))?;
        self.legs().read("leg", &leg)
    }
}

fn journey(
    identity: &Identity,
    order_id: OrderId,
    ticket_ids: Vec<String>,
    leg: &Leg,
) -> Result<order::ChangedJourney, Error> {
    if ticket_ids.is_empty() || ticket_ids.len() > TICKETS_MAX {
        return Err(Error::field("ticket_ids", format!("expected 1 to {TICKETS_MAX} tickets of the order")));
    }
    for id in &ticket_ids {
        parse::text("ticket_ids", id)?;
    }
    Ok(order::ChangedJourney {
        account: identity.account.to_string(),
        order_id: order_id.to_string(),
        ticket_ids,
        run: Some(run_out(leg.run)),
        seat_class: leg.class.code().into(),
        from_stop: leg.interval.from().into(),
        to_stop: leg.interval.to().into(),
        accept_standing: false,
        accept_seat_change: false,
    })
}
