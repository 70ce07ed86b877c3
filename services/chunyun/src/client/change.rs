use domain::{BoardingDate, ChangeId, OrderId, SeatClass, TrainCode};
use proto::gateway::v1 as gateway;
use proto::order::v1::{Order, TicketChangeState, TicketSwap};
use serde_json::json;

use super::connect::within_deadline;
use super::{ClientError, Connection, Target, json as documents, orders, render};

/// Exchanges tickets for another train, date or class
///
/// The new seats are held before the old ones are given back; until then the old tickets are good. The change id makes this
/// safe to repeat: give the one that was printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    chunyun order change ORDER G79 2026-12-02 北京西 深圳北 --ticket ORDER-0-0 --quote\n  \
    chunyun order change ORDER G71 2026-12-01 北京西 深圳北 --ticket ORDER-0-0 --class first --at-most 300")]
pub struct Change {
    /// The order id
    order: OrderId,
    /// The new train's code
    train: TrainCode,
    /// The calendar date at the boarding station
    date: BoardingDate,
    /// Boarding station: name, pinyin or telecode
    from: String,
    /// Alighting station
    to: String,
    /// A ticket to exchange, as `order show` prints it; those who travel together go together
    #[arg(long = "ticket", required = true)]
    tickets: Vec<String>,
    /// The new class
    #[arg(long, default_value = "second")]
    class: SeatClass,
    /// A standing ticket will do when the seats are gone
    #[arg(long)]
    standing: bool,
    /// Changing seats on the way will do
    #[arg(long)]
    seat_change: bool,
    /// The most to pay, in whole yuan; refused if it is dearer
    #[arg(long)]
    at_most: Option<u32>,
    /// How to pay a difference
    #[arg(long, default_value = "sandbox-ok")]
    payment_token: String,
    /// The change id, to repeat a change whose answer was lost
    #[arg(long)]
    change: Option<ChangeId>,
    /// Only say what it would cost
    #[arg(long)]
    quote: bool,
}

/// `chunyun order change`: says what it costs, exchanges, and waits until the tickets are exchanged or stay as they were.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn change(target: &Target, connection: &Connection, command: &Change) -> Result<(), ClientError> {
    if command.quote {
        return quote(target, connection, command).await;
    }
    let id = command.change.unwrap_or_else(|| ChangeId::from_u128(uuid::Uuid::now_v7().as_u128())).to_string();
    if !target.json {
        crate::output::note(&format!("change {id}"));
    }
    let request = gateway::ChangeTicketRequest {
        change_id: id.clone(),
        order_id: command.order.to_string(),
        ticket_ids: command.tickets.clone(),
        leg: Some(leg(command)),
        accept_standing: command.standing,
        accept_seat_change: command.seat_change,
        agreed_fen: command.at_most.map(|yuan| i64::from(yuan) * 100),
        payment_token: command.payment_token.clone(),
    };
    let answer = connection.gateway().change_ticket(within_deadline(request)).await?.into_inner();
    let mut order = answer.order.ok_or(ClientError::Incomplete("order"))?;
    if is_under_way(&order, &id) {
        order = until_changed(connection, &command.order.to_string(), &id).await?;
    }
    orders::show(target, &order);
    Ok(())
}

fn leg(command: &Change) -> gateway::LegRequest {
    gateway::LegRequest {
        train_code: command.train.to_string(),
        boarding_date: command.date.to_string(),
        from_station: command.from.clone(),
        to_station: command.to.clone(),
        seat_class: i32::from(command.class.code()),
    }
}

async fn quote(target: &Target, connection: &Connection, command: &Change) -> Result<(), ClientError> {
    let request = gateway::QuoteChangeRequest {
        order_id: command.order.to_string(),
        ticket_ids: command.tickets.clone(),
        leg: Some(leg(command)),
    };
    let quote = connection.gateway().quote_change(within_deadline(request)).await?.into_inner();
    if target.json {
        crate::output::document(&json!({
            "swaps": quote.swaps.iter().map(documents::swap).collect::<Vec<_>>(),
            "due_fen": quote.due_fen, "refund_fen": quote.refund_fen, "fee_fen": quote.fee_fen,
        }));
    } else {
        crate::output::line(&swap_table(&quote.swaps));
    }
    Ok(())
}

fn swap_table(swaps: &[TicketSwap]) -> String {
    let mut table = render::table(["ticket", "new fare", "fee", "to pay", "comes back"]);
    for swap in swaps {
        table.add_row([
            swap.ticket_id.clone(),
            render::yuan(swap.fare_fen),
            render::yuan(swap.fee_fen),
            render::yuan(swap.pay_fen),
            render::yuan(swap.refund_fen),
        ]);
    }
    render::numbers(&mut table, 1..5);
    table.to_string()
}

/// Whether a change has neither exchanged the tickets nor come to nothing, and is not left for a payment.
fn is_under_way(order: &Order, id: &str) -> bool {
    let over = [TicketChangeState::Done, TicketChangeState::Failed];
    let change = order.changes.iter().find(|change| change.change_id == id);
    change.is_some_and(|change| !over.contains(&change.state()))
}

/// Watches an order until a change of its tickets is over.
async fn until_changed(connection: &Connection, order_id: &str, id: &str) -> Result<Order, ClientError> {
    let request = gateway::WatchOrderRequest { order_id: order_id.to_owned() };
    let mut changes = connection.gateway().watch_order(request).await?.into_inner();
    while let Some(change) = changes.message().await? {
        let order = change.order.ok_or(ClientError::Incomplete("order"))?;
        if !is_under_way(&order, id) {
            return Ok(order);
        }
    }
    Err(ClientError::Incomplete("change"))
}
