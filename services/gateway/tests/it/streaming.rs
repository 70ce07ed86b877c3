//! Many orders over one connection.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use gateway::Options;
use proto::gateway::v1::place_orders_response::Outcome;
use proto::gateway::v1::{LegRequest, PlaceOrderRequest, PlaceOrdersRequest};
use rpc::reason;
use tonic::Code;

use crate::fixture::*;

#[tokio::test]
async fn every_order_of_a_stream_is_answered_and_no_more_than_allowed_are_worked_on() {
    let gateway = gateway_with(Options { stream_orders_max: 8, ..Options::default() }).await;
    let at_window = |number| PlaceOrderRequest { channel: 2, ..order(number) };
    let mut orders: Vec<_> = (1..=100).map(at_window).collect();
    orders[10].passengers.clear();
    orders[20].legs = vec![LegRequest { train_code: "G9999".into(), ..g71() }];
    orders[30].quoted_fen = 1;
    let requests = orders.into_iter().map(|order| PlaceOrdersRequest { order: Some(order) });
    let answers = gateway.window().place_orders(futures::stream::iter(requests)).await.unwrap().into_inner();
    let answers: HashMap<_, _> =
        answers.map(|answer| answer.unwrap()).map(|answer| (answer.order_id, answer.outcome.unwrap())).collect().await;
    assert_eq!(answers.len(), 100);
    for number in 1..=100 {
        let refused = match &answers[&order_id(number)] {
            Outcome::Order(order) => {
                assert_eq!(order.order_id, order_id(number));
                None
            }
            Outcome::Refusal(refusal) => Some((Code::from_i32(refusal.code), refusal.reason.as_str())),
        };
        let expected = match number {
            11 | 21 => Some((Code::InvalidArgument, reason::INVALID_FIELD)),
            31 => Some((Code::FailedPrecondition, reason::PRICE_CHANGED)),
            _ => None,
        };
        assert_eq!(refused, expected, "order {number}");
    }
    assert!(gateway.orders.0.most_in_work.load(Ordering::SeqCst) <= 8);
    gateway.stop().await;
}

#[tokio::test]
async fn an_empty_request_is_refused_like_any_other() {
    let gateway = gateway().await;
    let requests = futures::stream::iter([PlaceOrdersRequest { order: None }]);
    let mut answers = gateway.window().place_orders(requests).await.unwrap().into_inner();
    let Some(Outcome::Refusal(refusal)) = answers.message().await.unwrap().unwrap().outcome else { panic!("placed") };
    assert_eq!((refusal.reason.as_str(), refusal.message.contains("order_id")), (reason::INVALID_FIELD, true));
    assert!(answers.message().await.unwrap().is_none());
}
