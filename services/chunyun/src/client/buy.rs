use domain::{BoardingDate, Channel, OrderId, SeatClass, TrainCode};
use proto::gateway::v1 as gateway;
use proto::order::v1::OrderState;

use super::connect::within_deadline;
use super::{ClientError, PassengerArgument, Target, json, render};

/// Buys seats: holds them, opens an order and pays it
///
/// The order id makes this safe to repeat: give the one that was printed, and nothing is bought twice.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun buy G71 2026-12-01 北京西 深圳北 --class second --passenger 张三:id:11010519491231002X\n  \
                  chunyun buy Z11 2026-12-01 beijing shenyang --class hard_sleeper --passenger 'Li Si:passport:E1234567' --no-pay"
)]
pub struct Buy {
    /// Train code, such as G71
    train: TrainCode,
    /// The calendar date at the boarding station
    date: BoardingDate,
    /// Boarding station: name, pinyin or telecode
    from: String,
    /// Alighting station
    to: String,
    /// The class
    #[arg(long, default_value = "second")]
    class: SeatClass,
    /// A passenger as NAME:DOCUMENT:NUMBER[:KIND]; up to five times
    #[arg(long = "passenger", required = true)]
    passengers: Vec<PassengerArgument>,
    /// The order id, to repeat a purchase whose answer was lost
    #[arg(long)]
    order: Option<OrderId>,
    /// Where the request is made
    #[arg(long, default_value = "online")]
    channel: Channel,
    /// A standing ticket will do when the seats are gone
    #[arg(long)]
    standing: bool,
    /// Changing seats on the way will do
    #[arg(long)]
    seat_change: bool,
    /// How to pay
    #[arg(long, default_value = "sandbox-ok")]
    payment_token: String,
    /// Leave the order unpaid
    #[arg(long)]
    no_pay: bool,
}

/// `chunyun buy`: places the order, pays it, and waits until it is confirmed or has ended.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn buy(target: &Target, command: &Buy) -> Result<(), ClientError> {
    let connection = target.connect().await?;
    let mut client = connection.gateway();
    let order_id = command.order.unwrap_or_else(|| OrderId::from_u128(uuid::Uuid::now_v7().as_u128())).to_string();
    let kinds = command.passengers.iter().map(|passenger| passenger.wire().kind).collect();
    let request = gateway::QuoteOrderRequest { legs: vec![leg(command)], kinds };
    let quote = client.quote_order(within_deadline(request)).await?.into_inner();
    let request = gateway::PlaceOrderRequest {
        order_id: order_id.clone(),
        legs: vec![leg(command)],
        passengers: command.passengers.iter().map(PassengerArgument::wire).collect(),
        channel: i32::from(command.channel.code()),
        accept_standing: command.standing,
        accept_seat_change: command.seat_change,
        quoted_fen: 0,
        quote: quote.quote,
    };
    if !target.json {
        let price = render::yuan(quote.total_fen);
        crate::output::note(&format!(
            "order {order_id}\nat most {price}, until {}",
            render::moment(quote.expires_at_ms)
        ));
    }
    let placed = client.place_order(within_deadline(request)).await?.into_inner();
    let mut order = placed.order.ok_or(ClientError::Incomplete("order"))?;
    if !command.no_pay {
        let pay = gateway::PayOrderRequest { order_id: order_id.clone(), payment_token: command.payment_token.clone() };
        client.pay_order(within_deadline(pay)).await?;
        order = until_settled(&connection, &order_id).await?;
    }
    if target.json {
        crate::output::document(&json::order(&order));
    } else {
        crate::output::line(&render::order(&order));
    }
    Ok(())
}

fn leg(command: &Buy) -> gateway::LegRequest {
    gateway::LegRequest {
        train_code: command.train.to_string(),
        boarding_date: command.date.to_string(),
        from_station: command.from.clone(),
        to_station: command.to.clone(),
        seat_class: i32::from(command.class.code()),
    }
}

/// Watches an order until it has tickets or has ended.
pub async fn until_settled(
    connection: &super::Connection,
    order_id: &str,
) -> Result<proto::order::v1::Order, ClientError> {
    let request = gateway::WatchOrderRequest { order_id: order_id.to_owned() };
    let mut changes = connection.gateway().watch_order(request).await?.into_inner();
    while let Some(change) = changes.message().await? {
        let order = change.order.ok_or(ClientError::Incomplete("order"))?;
        let waiting = [OrderState::Held, OrderState::Paying, OrderState::Captured, OrderState::Closing];
        if !waiting.iter().any(|state| *state as i32 == order.state) || payment_was_declined(&order) {
            return Ok(order);
        }
    }
    let request = gateway::GetOrderRequest { order_id: order_id.to_owned() };
    let answer = connection.gateway().get_order(within_deadline(request)).await?.into_inner();
    answer.order.ok_or(ClientError::Incomplete("order"))
}

/// After a decline the order stands unpaid again, and may be paid by other means.
fn payment_was_declined(order: &proto::order::v1::Order) -> bool {
    order.state == OrderState::Held as i32 && order.version > 2
}
