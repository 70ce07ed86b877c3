//! What other roles answer, through the gateway.

use proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use proto::gateway::v1::*;
use proto::order::v1::OrderState;
use proto::query::v1 as query;
use rpc::identity::Identity;
use rpc::{Failure, reason};
use tonic::Code;

use crate::fixture::*;

#[tokio::test]
async fn searching_needs_no_token_and_buying_does() {
    let gateway = gateway().await;
    let mut anybody = GatewayServiceClient::new(gateway.connection.clone());
    let search = query::SearchTrainsRequest {
        from: "北京".into(),
        to: "深圳".into(),
        boarding_date: "2026-12-01".into(),
        ..query::SearchTrainsRequest::default()
    };
    let found = anybody.search_trains(SearchTrainsRequest { query: Some(search.clone()) }).await.unwrap();
    assert_eq!(found.into_inner().result.unwrap().journeys.len(), 3);
    let stations = anybody.find_stations(FindStationsRequest { text: "bei".into(), limit: 0 }).await.unwrap();
    assert_eq!(stations.into_inner().stations[0].name, "北京西");
    let failure = Failure::from(anybody.place_order(order(1)).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::Unauthenticated, reason::TOKEN_MISSING));

    let nowhere = query::SearchTrainsRequest { from: "nowhere".into(), ..search };
    let failure = Failure::from(anybody.search_trains(SearchTrainsRequest { query: Some(nowhere) }).await.unwrap_err());
    assert_eq!(failure.fields[0].0, "query.from", "named as the caller of the gateway knows it");
}

#[tokio::test]
async fn an_order_is_its_accounts_alone() {
    let gateway = gateway().await;
    let (mut owner, other) = (gateway.passenger(), Identity::passenger("another".parse().unwrap()));
    owner.place_order(order(1)).await.unwrap();
    let get = GetOrderRequest { order_id: order_id(1) };
    assert_eq!(owner.get_order(get.clone()).await.unwrap().into_inner().order.unwrap().account, "somebody");
    let failure = Failure::from(gateway.client(&other).get_order(get).await.unwrap_err());
    assert_eq!((failure.code, failure.reason), (Code::NotFound, reason::ORDER_NOT_FOUND));
    let list = owner.list_orders(ListOrdersRequest::default()).await.unwrap().into_inner();
    assert_eq!((list.orders.len(), list.next_page_token.as_str()), (1, "more"));
}

#[tokio::test]
async fn paying_refunding_and_watching_pass_through() {
    let gateway = gateway().await;
    let mut client = gateway.passenger();
    client.place_order(order(1)).await.unwrap();
    let pay = PayOrderRequest { order_id: order_id(1), payment_token: "sandbox-ok".into() };
    client.pay_order(pay.clone()).await.unwrap();
    assert_eq!(gateway.orders.0.paid.lock()[0].account, "somebody");
    let no_token = PayOrderRequest { payment_token: String::new(), ..pay };
    assert_eq!(Failure::from(client.pay_order(no_token).await.unwrap_err()).fields[0].0, "payment_token");
    let refund = RefundTicketRequest { order_id: order_id(1), ticket_id: format!("{}-0-0", order_id(1)) };
    let refund = client.refund_ticket(refund).await.unwrap().into_inner();
    assert_eq!((refund.refund_fen, refund.fee_fen), (93_450, 200));
    let watch = WatchOrderRequest { order_id: order_id(1) };
    let mut changes = client.watch_order(watch).await.unwrap().into_inner();
    let mut states = Vec::new();
    while let Some(change) = changes.message().await.unwrap() {
        states.push(change.order.unwrap().state());
    }
    assert_eq!(states, [OrderState::Held, OrderState::Confirmed]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_waitlist_entry_is_lodged_in_inventorys_words() {
    let gateway = gateway().await;
    let join = JoinWaitlistRequest {
        entry_id: order_id(9),
        leg: Some(LegRequest { to_station: "武汉".into(), ..g71() }),
        passengers: vec![adult(DOCUMENTS[0])],
        accept_standing: true,
        ..JoinWaitlistRequest::default()
    };
    let mut client = gateway.passenger();
    let entry = client.join_waitlist(join).await.unwrap().into_inner().entry.unwrap();
    assert_eq!(entry.entry_id, order_id(9));
    let lodged = gateway.waitlist.0.lock().remove(0);
    assert_eq!((lodged.account.as_str(), lodged.from_stop, lodged.to_stop), ("somebody", 0, 10));
    assert!(lodged.accept_standing && lodged.run.unwrap().service_date == "2026-12-01");
    client.get_waitlist_entry(GetWaitlistEntryRequest { entry_id: order_id(9) }).await.unwrap();
    client.list_waitlist_entries(ListWaitlistEntriesRequest::default()).await.unwrap();
    client.leave_waitlist(LeaveWaitlistRequest { entry_id: order_id(9) }).await.unwrap();
}
