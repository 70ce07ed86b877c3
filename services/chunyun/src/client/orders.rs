use domain::OrderId;
use proto::gateway::v1 as gateway;
use proto::order::v1::Order;
use serde_json::json;

use super::connect::within_deadline;
use super::{ClientError, Target, json as documents, render};

/// Shows and changes the caller's orders
#[derive(Debug, clap::Subcommand)]
pub enum OrderCommand {
    /// One order
    Show {
        /// The order id
        order: OrderId,
    },
    /// The newest orders
    List,
    /// Pays an order
    Pay {
        /// The order id
        order: OrderId,
        /// How to pay
        #[arg(long, default_value = "sandbox-ok")]
        payment_token: String,
    },
    /// Gives an unpaid order up
    Cancel {
        /// The order id
        order: OrderId,
    },
    /// Gives one ticket back
    Refund {
        /// The order id
        order: OrderId,
        /// The ticket id, as `order show` prints it
        ticket: String,
    },
    /// Exchanges tickets for another train, date or class
    Change(super::change::Change),
    /// Prints an order at every change until it ends
    Watch {
        /// The order id
        order: OrderId,
    },
}

/// `chunyun order`: shows or changes an order.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn order(target: &Target, command: &OrderCommand) -> Result<(), ClientError> {
    let connection = target.connect().await?;
    let mut client = connection.gateway();
    let order = match command {
        OrderCommand::List => return list(target, client).await,
        OrderCommand::Change(command) => return super::change::change(target, &connection, command).await,
        OrderCommand::Watch { order } => return watch(target, client, order).await,
        OrderCommand::Show { order } => {
            let request = gateway::GetOrderRequest { order_id: order.to_string() };
            client.get_order(within_deadline(request)).await?.into_inner().order
        }
        OrderCommand::Pay { order, payment_token } => {
            let order_id = order.to_string();
            let request = gateway::PayOrderRequest { order_id: order_id.clone(), payment_token: payment_token.clone() };
            client.pay_order(within_deadline(request)).await?;
            Some(super::buy::until_settled(&connection, &order_id).await?)
        }
        OrderCommand::Cancel { order } => {
            let request = gateway::CancelOrderRequest { order_id: order.to_string() };
            client.cancel_order(within_deadline(request)).await?.into_inner().order
        }
        OrderCommand::Refund { order, ticket } => {
            let request = gateway::RefundTicketRequest { order_id: order.to_string(), ticket_id: ticket.clone() };
            let answer = client.refund_ticket(within_deadline(request)).await?.into_inner();
            if !target.json {
                let (back, kept) = (render::yuan(answer.refund_fen), render::yuan(answer.fee_fen));
                crate::output::line(&format!("{back} comes back, {kept} is kept as the fee"));
            }
            answer.order
        }
    };
    show(target, &order.ok_or(ClientError::Incomplete("order"))?);
    Ok(())
}

/// Prints an order as it was asked for.
pub fn show(target: &Target, order: &Order) {
    if target.json {
        crate::output::document(&documents::order(order));
    } else {
        crate::output::line(&render::order(order));
    }
}

type Client = proto::gateway::v1::gateway_service_client::GatewayServiceClient<
    tonic::service::interceptor::InterceptedService<tonic::transport::Channel, super::connect::Bearer>,
>;

async fn list(target: &Target, mut client: Client) -> Result<(), ClientError> {
    let orders = client.list_orders(within_deadline(gateway::ListOrdersRequest::default())).await?.into_inner().orders;
    if target.json {
        crate::output::document(&json!({ "orders": orders.iter().map(documents::order).collect::<Vec<_>>() }));
        return Ok(());
    }
    let mut table = render::table(["order", "placed", "state", "train", "from", "to", "departure", "tickets", "total"]);
    for order in orders {
        let leg = order.legs.first().cloned().unwrap_or_default();
        table.add_row([
            order.order_id,
            render::moment(order.created_at_ms),
            render::order_state(order.state).to_owned(),
            leg.run.unwrap_or_default().train_code,
            leg.from_station,
            leg.to_station,
            leg.departure.replace('T', " "),
            order.tickets.len().to_string(),
            render::yuan(order.total_fen),
        ]);
    }
    render::numbers(&mut table, [7, 8]);
    crate::output::line(&table.to_string());
    Ok(())
}

async fn watch(target: &Target, mut client: Client, order: &OrderId) -> Result<(), ClientError> {
    let request = gateway::WatchOrderRequest { order_id: order.to_string() };
    let mut changes = client.watch_order(request).await?.into_inner();
    while let Some(change) = changes.message().await? {
        show(target, &change.order.ok_or(ClientError::Incomplete("order"))?);
    }
    Ok(())
}
