//! The price shown is the price charged.

use proto::common::v1::{self as common, SeatClass};
use proto::order::v1::{self as wire};
use rpc::reason;
use timetable::LoadOptions;
use tonic::Code;

use super::*;

async fn quote(world: &World, kinds: usize) -> wire::QuoteOrderResponse {
    let run = Some(common::Run { train_code: "G1".into(), service_date: "2026-12-20".into(), ordinal: 1 });
    let leg = wire::QuotedLeg { run, seat_class: SeatClass::Second.into(), from_stop: 0, to_stop: 2 };
    let kinds = vec![common::PassengerKind::Adult.into(); kinds];
    let request = wire::QuoteOrderRequest { legs: vec![leg], kinds };
    world.client.clone().quote_order(request).await.unwrap().into_inner()
}

fn with_quote(world: &World, quote: &str) -> wire::OpenOrderRequest {
    wire::OpenOrderRequest { quote: quote.into(), ..request(world, id(1)) }
}

/// The sample with G1 to Shanghai in second class at twice its price.
fn dearer() -> Timetable {
    let folder = tempfile::tempdir().unwrap();
    timetable::write_csv(&Timetable::sample(), folder.path()).unwrap();
    let fares = folder.path().join("fares.csv");
    let text = std::fs::read_to_string(&fares).unwrap();
    let lines = text
        .lines()
        .map(|line| if line.starts_with("G1,3,") { line.replace(",561,", ",1122,") } else { line.to_owned() });
    let changed: String = lines.map(|line| line + "\n").collect();
    assert!(changed.contains(",1122,"), "the fare stands there");
    std::fs::write(&fares, changed).unwrap();
    Timetable::load(folder.path(), LoadOptions::default(), &mut |_| {}).unwrap().0
}

#[tokio::test]
async fn a_quote_holds_although_the_fares_have_changed() {
    let policy = policy::Policy::default();
    let shown = World::by(sqlite().await, policy.clone()).await;
    let quoted = quote(&shown, 2).await;
    assert_eq!((quoted.total_fen, quoted.expires_at_ms), (2 * FARE_FEN, NOW.plus_millis(600_000).millis()));
    shown.stop().await;

    // A fleet of the same keys with new fares.
    let world = World::with(sqlite().await, policy, dearer()).await;
    assert_eq!(quote(&world, 2).await.total_fen, 4 * FARE_FEN);
    world.clock.advance_ms(599_999);
    let order = world.open(with_quote(&world, &quoted.quote)).await.unwrap();
    assert_eq!(order.total_fen, 2 * FARE_FEN, "the price shown is the price charged");
    let mut other = with_quote(&world, &quoted.quote);
    other.order_id = id(2).to_string();
    world.clock.advance_ms(1);
    let failure = world.open(other).await.unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::QUOTE_EXPIRED));
    assert_eq!(failure.value("expired_at_ms"), Some(&*quoted.expires_at_ms.to_string()));
    assert_eq!(world.open(with_quote(&world, &quoted.quote)).await.unwrap(), order, "a repeat answers the same");
    world.stop().await;
}

#[tokio::test]
async fn a_forged_quote_or_one_for_something_else_is_refused() {
    let world = World::new().await;
    let quoted = quote(&world, 2).await.quote;
    let (text, signature) = quoted.split_once('.').unwrap();
    let altered = format!("{}A.{signature}", &text[..text.len() - 1]);
    let for_one = quote(&world, 1).await.quote;
    let unsigned = format!("{text}.");
    let other = format!("{text}.{}", for_one.split_once('.').unwrap().1);
    for forged in [altered, for_one, unsigned, other, "x".into(), ".".into(), "非".into()] {
        let failure = world.open(with_quote(&world, &forged)).await.unwrap_err();
        assert_eq!((failure.code, failure.reason), (Code::FailedPrecondition, reason::QUOTE_INVALID), "{forged}");
    }
    let mut first_class = with_quote(&world, &quoted);
    first_class.legs[0].seat_class = SeatClass::First.into();
    assert_eq!(world.open(first_class).await.unwrap_err().reason, reason::QUOTE_INVALID);
    let long = with_quote(&world, &"x".repeat(8_193));
    assert_eq!(world.open(long).await.unwrap_err().fields[0].0, "quote");
    let request = wire::ListOrdersRequest { account: "li-lei".into(), ..Default::default() };
    assert_eq!(world.client.clone().list_orders(request).await.unwrap().into_inner().orders, []);
    world.stop().await;
}
