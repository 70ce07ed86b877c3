//! A party that exchanges a ticket: for another train of the same way.

use domain::ChangeId;
use proto::gateway::v1 as gateway;
use proto::order::v1::{Order, Ticket, TicketChangeState, TicketState};
use tonic::Status;

use super::{Party, TICKET_TIMEOUT, is_refusal, is_standing, reason, timed_request};
use crate::demo::tally::Call;

impl Party {
    /// Exchanges the first ticket of an order, where another train has a seat, and pays what is owed for it.
    pub(super) async fn change(&mut self, order: &Order) -> Result<(), Status> {
        let Some(ticket) = order.tickets.first() else { return Ok(()) };
        let present = order.legs.first().and_then(|leg| leg.run.as_ref()).map(|run| run.train_code.clone());
        let choices = self.search().await?;
        let other = choices.iter().find(|choice| choice.free > 0 && Some(&choice.train_code) != present.as_ref());
        let Some(choice) = other else { return Ok(()) };
        let request = gateway::ChangeTicketRequest {
            change_id: ChangeId::from_u128(self.order_id.as_u128()).to_string(),
            order_id: order.order_id.clone(),
            ticket_ids: vec![ticket.ticket_id.clone()],
            leg: Some(self.leg(choice)),
            accept_standing: false,
            accept_seat_change: true,
            agreed_fen: None,
            payment_token: "sandbox-ok".to_owned(),
        };
        let client = self.connection.gateway();
        let told =
            self.timed(Call::Change, async || client.clone().change_ticket(timed_request(request.clone())).await).await;
        let told = match told {
            Ok(told) => told,
            // The seats went to somebody else, or a rule says no: the old ticket stays good.
            Err(status) if is_refusal(&status) => {
                *self.tally.reasons.entry(reason(&status)).or_default() += 1;
                return Ok(());
            }
            Err(status) => return Err(status),
        };
        let order = match told.change.unwrap_or_default().state() {
            TicketChangeState::Done => told.order.unwrap_or_default(),
            _ => tokio::time::timeout(TICKET_TIMEOUT, self.until_confirmed(&order.order_id))
                .await
                .map_err(|_| Status::deadline_exceeded("a change came to no end within a minute"))??,
        };
        self.note_exchange(&order, ticket);
        Ok(())
    }

    /// Notes the exchange of a ticket, if it came to one.
    fn note_exchange(&mut self, order: &Order, old: &Ticket) {
        let new = order
            .tickets
            .iter()
            .find(|ticket| ticket.changed_from == old.ticket_id && ticket.state == TicketState::Issued as i32);
        let Some(new) = new else { return };
        let ways = self.stage.leg_of(order, old.leg).zip(self.stage.leg_of(order, new.leg));
        if let Some((from, to)) = ways {
            self.tally.exchanged((from.0, from.1, is_standing(old)), (to.0, to.1, is_standing(new)));
        }
    }
}
