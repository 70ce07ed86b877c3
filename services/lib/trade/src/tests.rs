use proptest::prelude::*;

use super::*;

const EXPIRY: Time = Time::from_millis(900_000);

fn trade() -> Trade {
    Trade {
        trade_id: "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d-0".into(),
        order_id: "0192f0c1-2d3e-7a4b-8c5d-6e7f8a9b0c1d".into(),
        amount: Money::yuan(100),
        payment_token: "sandbox-ok".into(),
        expires_at: EXPIRY,
        state: TradeState::Pending,
        submitted: false,
        closing: false,
        refunded: Money::ZERO,
        fees: Money::ZERO,
        provider_charge_id: None,
        checks: 0,
    }
}

fn said(state: ChargeState) -> TradeEvent {
    TradeEvent::ProviderSaid { state, amount: Some(Money::yuan(100)), provider_charge_id: Some("ch_1".into()) }
}

fn refund(amount: Money, fee: Money) -> Refund {
    Refund {
        refund_id: "r".into(),
        trade_id: trade().trade_id,
        order_id: trade().order_id,
        amount,
        fee,
        state: RefundState::Pending,
        checks: 0,
    }
}

#[test]
fn a_capture_posts_and_tells_once() {
    let (captured, effects) = step_trade(&trade(), &said(ChargeState::Succeeded)).unwrap();
    assert_eq!(captured.captured(), Money::yuan(100));
    assert_eq!(effects.len(), 2);
    assert_eq!(effects[1], Effect::NoteTrade(TradeState::Captured));
    assert_eq!(step_trade(&captured, &said(ChargeState::Succeeded)), Ok((captured.clone(), Vec::new())));
}

#[test]
fn no_answer_is_neither_success_nor_failure() {
    let (asked, effects) = step_trade(&trade(), &TradeEvent::NoAnswer).unwrap();
    assert_eq!((asked.state, effects), (TradeState::Pending, Vec::new()));
    assert_eq!(next_call(&asked, Time::from_millis(0)), Some(Call::Charge));
    let (known, _) = step_trade(&asked, &said(ChargeState::Pending)).unwrap();
    assert_eq!(next_call(&known, Time::from_millis(0)), Some(Call::Query));
}

#[test]
fn a_trade_is_closed_when_asked_or_when_its_time_is_over() {
    let (closing, _) = step_trade(&trade(), &TradeEvent::CloseAsked).unwrap();
    assert_eq!(next_call(&closing, Time::from_millis(0)), Some(Call::Close));
    assert_eq!(next_call(&trade(), Time::from_millis(899_999)), Some(Call::Charge));
    assert_eq!(next_call(&trade(), EXPIRY), Some(Call::Close));
    let (closed, effects) = step_trade(&closing, &said(ChargeState::Closed)).unwrap();
    assert_eq!((closed.state, effects), (TradeState::Closed, vec![Effect::NoteTrade(TradeState::Closed)]));
    assert_eq!(next_call(&closed, EXPIRY), None);
}

#[test]
fn a_capture_wins_against_a_close_and_comes_through_late() {
    let (closing, _) = step_trade(&trade(), &TradeEvent::CloseAsked).unwrap();
    let (captured, _) = step_trade(&closing, &said(ChargeState::Succeeded)).unwrap();
    assert_eq!(captured.state, TradeState::Captured);
    assert_eq!(step_trade(&captured, &said(ChargeState::Closed)), Err(Refusal::Captured));
    let (closed, _) = step_trade(&closing, &said(ChargeState::Closed)).unwrap();
    let (late, effects) = step_trade(&closed, &said(ChargeState::Succeeded)).unwrap();
    assert_eq!((late.state, effects.len()), (TradeState::Captured, 2));
}

#[test]
fn another_amount_or_another_charge_is_refused() {
    let wrong = TradeEvent::ProviderSaid {
        state: ChargeState::Succeeded,
        amount: Some(Money::fen(9_999)),
        provider_charge_id: None,
    };
    assert_eq!(step_trade(&trade(), &wrong), Err(Refusal::Amount));
    let (known, _) = step_trade(&trade(), &said(ChargeState::Pending)).unwrap();
    let other = TradeEvent::ProviderSaid {
        state: ChargeState::Succeeded,
        amount: Some(Money::yuan(100)),
        provider_charge_id: Some("ch_2".into()),
    };
    assert_eq!(step_trade(&known, &other), Err(Refusal::Charge));
}

#[test]
fn refunds_and_fees_never_exceed_what_was_captured() {
    assert_eq!(begin_refund(&trade(), refund(Money::yuan(1), Money::ZERO)), Err(RefundRefusal::NotCaptured));
    let (captured, _) = step_trade(&trade(), &said(ChargeState::Succeeded)).unwrap();
    let (after, pending, effects) = begin_refund(&captured, refund(Money::yuan(76), Money::yuan(4))).unwrap();
    assert_eq!((after.refunded, after.fees, pending.state), (Money::yuan(76), Money::yuan(4), RefundState::Pending));
    assert_eq!(effects.len(), 1);
    let more = begin_refund(&after, refund(Money::yuan(20), Money::fen(1)));
    assert_eq!(more, Err(RefundRefusal::ExceedsCapture));
    assert!(begin_refund(&after, refund(Money::yuan(20), Money::ZERO)).is_ok());
}

#[test]
fn a_refund_that_is_all_fee_is_complete_at_once() {
    let (captured, _) = step_trade(&trade(), &said(ChargeState::Succeeded)).unwrap();
    let (_, refund, effects) = begin_refund(&captured, refund(Money::ZERO, Money::yuan(2))).unwrap();
    assert_eq!(refund.state, RefundState::Succeeded);
    assert_eq!(effects[1], Effect::NoteRefund);
}

#[test]
fn waits_double_up_to_their_bound() {
    let waits: Vec<_> = [0, 1, 2, 5, 63].into_iter().map(|checks| backoff_ms(checks, 1_000, 30_000)).collect();
    assert_eq!(waits, [1_000, 2_000, 4_000, 30_000, 30_000]);
}

fn any_event() -> impl Strategy<Value = TradeEvent> {
    let states = [ChargeState::Pending, ChargeState::Succeeded, ChargeState::Declined, ChargeState::Closed];
    prop_oneof![
        (0..4usize).prop_map(move |state| said(states[state])),
        Just(TradeEvent::NotKnown),
        Just(TradeEvent::NoAnswer),
        Just(TradeEvent::CloseAsked),
    ]
}

proptest! {
    /// Whatever comes in whatever order and however often: at most one capture is posted, the postings sum to zero, and
    /// money that is there stays there.
    #[test]
    fn any_history_captures_at_most_once(events in prop::collection::vec(any_event(), 0..40)) {
        let mut trade = trade();
        let mut postings = Vec::new();
        for event in &events {
            let before = trade.state;
            if let Ok((next, effects)) = step_trade(&trade, event) {
                trade = next;
                postings.extend(effects.into_iter().filter_map(|effect| match effect {
                    Effect::Post(posting) => Some(posting),
                    _ => None,
                }));
            }
            prop_assert!(before != TradeState::Captured || trade.state == TradeState::Captured);
            prop_assert!(before == TradeState::Pending || trade.state != TradeState::Pending);
        }
        prop_assert_eq!(postings.len(), usize::from(trade.state == TradeState::Captured));
        prop_assert_eq!(trade.state == TradeState::Captured, events.contains(&said(ChargeState::Succeeded)));
        for posting in postings {
            let sum = posting.provider + posting.sales + posting.fees + posting.refunds_due;
            prop_assert_eq!(sum, Money::ZERO);
        }
    }
}
