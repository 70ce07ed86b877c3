//! An unpaid order by the second: what happens at each of its deadlines, and in which order.

use super::*;

const SECOND: i64 = 1_000;

fn paying(legs: u8) -> Order {
    step(&held(legs), Event::Pay { token: "t".into() }, START, &TERMS).unwrap().0
}

fn at(order: &Order, ms: i64, event: Event) -> (Order, Vec<Effect>) {
    step(order, event, START.plus_millis(ms), &TERMS).unwrap()
}

#[test]
fn nothing_is_given_up_before_fifteen_minutes() {
    for order in [held(2), paying(2)] {
        assert_eq!(next_deadline(&order), Some(START.plus_millis(15 * MINUTE)));
        for early_ms in [15 * MINUTE - SECOND, 15 * MINUTE - 1] {
            assert_eq!(at(&order, early_ms, Event::Tick).0, order, "{early_ms} ms");
        }
        for due_ms in [15 * MINUTE, 15 * MINUTE + SECOND] {
            assert_eq!(at(&order, due_ms, Event::Tick).0.phase, Phase::Closing(EndReason::Lapsed), "{due_ms} ms");
        }
    }
}

#[test]
fn at_fifteen_minutes_the_trade_is_closed_and_asked_about_and_only_then_the_seats_go() {
    let due_ms = 15 * MINUTE;
    let (closing, effects) = at(&paying(2), due_ms, Event::Tick);
    assert_eq!(effects, [Effect::CloseTrade { attempt: 0 }]);
    // Payment does not know yet what became of it: it is asked again, and the seats stay.
    let (closing, effects) = at(&closing, due_ms + SECOND, news(0, TradeState::Open, Money::ZERO));
    assert_eq!(effects, [Effect::CloseTrade { attempt: 0 }]);
    let (closing, effects) = at(&closing, due_ms + 2 * SECOND, news(0, TradeState::Closed, Money::ZERO));
    assert_eq!(effects, [Effect::Release { leg: 0 }, Effect::Release { leg: 1 }]);
    let (closing, effects) = at(&closing, due_ms + 3 * SECOND, Event::LegReleased { leg: 0 });
    assert_eq!((closing.phase, effects), (Phase::Closing(EndReason::Lapsed), vec![Effect::Release { leg: 1 }]));
    let (released, effects) = at(&closing, due_ms + 4 * SECOND, Event::LegReleased { leg: 1 });
    assert_eq!((released.phase, effects), (Phase::Released(EndReason::Lapsed), vec![]));
    assert!(released.tickets.iter().all(|ticket| ticket.state == TicketState::Void));
}

#[test]
fn money_that_was_on_its_way_at_fifteen_minutes_buys_the_seats_that_still_stand() {
    let (closing, _) = at(&paying(1), 15 * MINUTE, Event::Tick);
    let (captured, effects) = at(&closing, 15 * MINUTE + SECOND, news(0, TradeState::Captured, Money::yuan(200)));
    assert_eq!((captured.phase, effects), (Phase::Captured, vec![Effect::Confirm { leg: 0 }]));
}

#[test]
fn at_the_hard_limit_the_seats_are_gone_whatever_payment_says_and_late_money_goes_back() {
    // The shard freed them at 20 minutes; payment has been silent since before 15.
    let (closing, _) = at(&paying(1), 15 * MINUTE, Event::Tick);
    let (lost, effects) = at(&closing, 20 * MINUTE, Event::HoldLost { leg: 0 });
    assert_eq!((lost.phase, lost.legs[0].seats), (Phase::Closing(EndReason::Lapsed), Seats::Ended));
    assert_eq!(effects, [Effect::CloseTrade { attempt: 0 }]);
    // The money came after all, and somebody else sits there now: every fen of it goes back.
    let (again, effects) = at(&lost, 20 * MINUTE + SECOND, news(0, TradeState::Captured, Money::yuan(200)));
    assert_eq!((again.phase, effects), (Phase::Captured, vec![Effect::HoldAgain { leg: 0 }]));
    let (refunding, effects) = at(&again, 20 * MINUTE + 2 * SECOND, Event::HoldAgainRefused { leg: 0 });
    let id = format!("{}-all", refunding.id);
    // A hold whose answer was lost may stand all the same.
    assert_eq!(effects, [Effect::Release { leg: 0 }, Effect::CreateRefund { id: id.clone() }]);
    assert_eq!((refunding.refunds[0].amount, refunding.refunds[0].fee), (Money::yuan(200), Money::ZERO));
    let (refunding, _) = at(&refunding, 20 * MINUTE + 3 * SECOND, Event::LegReleased { leg: 0 });
    let (refunded, effects) = at(&refunding, 20 * MINUTE + 4 * SECOND, Event::Refund { id, arrived: true });
    assert_eq!((refunded.phase, effects), (Phase::Refunded(Some(EndReason::SeatsLost)), vec![]));
}

#[test]
fn money_for_an_order_that_was_released_long_ago_goes_back_where_it_may_not_be_revived() {
    let (closing, _) = at(&paying(1), 15 * MINUTE, Event::Tick);
    let (closing, _) = at(&closing, 15 * MINUTE, news(0, TradeState::Closed, Money::ZERO));
    let (released, _) = at(&closing, 15 * MINUTE, Event::LegReleased { leg: 0 });
    let late = TradeNews {
        attempt: Some(0),
        id: "trade-0".into(),
        state: TradeState::Captured,
        captured: Money::yuan(200),
        revive: false,
    };
    let (refunding, effects) = at(&released, 60 * MINUTE, Event::Trade(late));
    assert_eq!(effects, [Effect::CreateRefund { id: format!("{}-all", refunding.id) }]);
    assert_eq!(refunding.refunds[0].amount, Money::yuan(200));
}
