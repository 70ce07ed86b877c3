//! Every point, with its name and what it stands before or after.

macro_rules! points {
    ($($variant:ident = $name:literal: $what:literal,)+) => {
        /// A place in the saga where a process can be told to die, to wait or to fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $(#[doc = $what] $variant,)+
        }

        impl Point {
            /// Every point, in the order of the saga.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name: the role, a dot, and where.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it stands before or after.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)+ }
            }
        }
    };
}

points! {
    GatewayBeforeHold = "gateway.before_hold": "Before the gateway holds seats.",
    GatewayAfterHold = "gateway.after_hold": "After the seats are held, before the order is opened.",
    GatewayAfterOpen = "gateway.after_open": "After the order is opened, before the client is told.",
    GatewayBeforeGiveBack = "gateway.before_give_back": "Before holds of a refused order are given back.",
    OrderBeforeOpenRecorded = "order.before_open_recorded": "Before the row of a new order.",
    OrderAfterOpenRecorded = "order.after_open_recorded": "After the row of a new order.",
    OrderBeforeEventRecorded = "order.before_event_recorded": "Before an event of an order is written.",
    OrderAfterEventRecorded = "order.after_event_recorded": "After an event of an order is written, before it is acted on.",
    OrderBeforeOpenHold = "order.before_open_hold": "Before an order claims its hold.",
    OrderAfterOpenHold = "order.after_open_hold": "After an order claims its hold, before that is written.",
    OrderBeforeConfirm = "order.before_confirm": "Before an order confirms its hold.",
    OrderAfterConfirm = "order.after_confirm": "After an order confirms its hold, before that is written.",
    OrderBeforeRelease = "order.before_release": "Before an order releases its hold.",
    OrderAfterRelease = "order.after_release": "After an order releases its hold, before that is written.",
    OrderBeforeHoldAgain = "order.before_hold_again": "Before an order holds lost seats again.",
    OrderAfterHoldAgain = "order.after_hold_again": "After an order holds lost seats again, before that is written.",
    OrderBeforeChangeRecorded = "order.before_change_recorded": "Before the intent of a change is written.",
    OrderAfterChangeRecorded = "order.after_change_recorded": "After the intent of a change is written, before its seats are held.",
    OrderBeforeHoldForChange = "order.before_hold_for_change": "Before the new seats of a change are held.",
    OrderAfterHoldForChange = "order.after_hold_for_change": "After the new seats of a change are held, before that is written.",
    OrderBeforeCreateDifference = "order.before_create_difference": "Before an order opens the trade of a change's difference.",
    OrderAfterCreateDifference = "order.after_create_difference": "After an order opens the trade of a change's difference, before that is written.",
    OrderBeforeConfirmChange = "order.before_confirm_change": "Before the new seats of a change are confirmed.",
    OrderAfterConfirmChange = "order.after_confirm_change": "After the new seats of a change are confirmed, before the tickets are exchanged.",
    OrderBeforeReturnChanged = "order.before_return_changed": "Before the seats of exchanged tickets are freed.",
    OrderAfterReturnChanged = "order.after_return_changed": "After the seats of exchanged tickets are freed, before that is written.",
    OrderBeforeReturnSeats = "order.before_return_seats": "Before an order frees the seats of refunded tickets.",
    OrderAfterReturnSeats = "order.after_return_seats": "After an order frees the seats of refunded tickets, before that is written.",
    OrderBeforeCreateTrade = "order.before_create_trade": "Before an order opens its trade.",
    OrderAfterCreateTrade = "order.after_create_trade": "After an order opens its trade, before that is written.",
    OrderBeforeQueryTrade = "order.before_query_trade": "Before an order asks about its trade.",
    OrderAfterQueryTrade = "order.after_query_trade": "After an order asks about its trade, before that is written.",
    OrderBeforeCloseTrade = "order.before_close_trade": "Before an order has its trade closed.",
    OrderAfterCloseTrade = "order.after_close_trade": "After an order has its trade closed, before that is written.",
    OrderBeforeCreateRefund = "order.before_create_refund": "Before an order has money sent back.",
    OrderAfterCreateRefund = "order.after_create_refund": "After an order has money sent back, before that is written.",
    OrderBeforeQueryRefund = "order.before_query_refund": "Before an order asks about a refund.",
    OrderAfterQueryRefund = "order.after_query_refund": "After an order asks about a refund, before that is written.",
    PaymentBeforeTradeRecorded = "payment.before_trade_recorded": "Before the row of a new trade.",
    PaymentAfterTradeRecorded = "payment.after_trade_recorded": "After the row of a new trade, before the provider is asked.",
    PaymentBeforeCharge = "payment.before_charge": "Before the provider is asked for money.",
    PaymentAfterCharge = "payment.after_charge": "After the provider was asked for money, before its answer is written.",
    PaymentBeforeQuery = "payment.before_query": "Before the provider is asked about a charge.",
    PaymentAfterQuery = "payment.after_query": "After the provider was asked about a charge, before its answer is written.",
    PaymentBeforeClose = "payment.before_close": "Before the provider is asked to close a charge.",
    PaymentAfterClose = "payment.after_close": "After the provider was asked to close a charge, before its answer is written.",
    PaymentBeforeTradeEventRecorded = "payment.before_trade_event_recorded": "Before the outcome of a trade is written, with its posting and its notice.",
    PaymentAfterTradeEventRecorded = "payment.after_trade_event_recorded": "After the outcome of a trade is written.",
    PaymentBeforeCallback = "payment.before_callback": "Before a callback is looked at.",
    PaymentAfterCallback = "payment.after_callback": "After a callback was taken, before the provider is told so.",
    PaymentBeforeRefundRecorded = "payment.before_refund_recorded": "Before the row of a new refund, with its posting.",
    PaymentAfterRefundRecorded = "payment.after_refund_recorded": "After the row of a new refund, before the provider is asked.",
    PaymentBeforeRefund = "payment.before_refund": "Before the provider is asked to pay back.",
    PaymentAfterRefund = "payment.after_refund": "After the provider was asked to pay back, before its answer is written.",
    PaymentBeforeRefundEventRecorded = "payment.before_refund_event_recorded": "Before the arrival of a refund is written.",
    PaymentAfterRefundEventRecorded = "payment.after_refund_event_recorded": "After the arrival of a refund is written.",
    PaymentBeforeTold = "payment.before_told": "Before an order is told what it must know.",
    PaymentAfterTold = "payment.after_told": "After an order was told, before the notice is crossed off.",
    PaymentAfterNoticeCrossedOff = "payment.after_notice_crossed_off": "After a notice is crossed off.",
    ShardBeforeAppend = "shard.before_append": "Before a batch is appended to the journal.",
    ShardAfterAppend = "shard.after_append": "After a batch was appended, before anybody is answered.",
}

impl Point {
    /// The point of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|point| point.name() == name).copied()
    }

    /// The role whose process meets it.
    pub fn role(self) -> &'static str {
        self.name().split_once('.').map_or("", |(role, _)| role)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_unique_and_says_its_role_and_what_it_stands_for() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        for point in Point::ALL {
            assert!(["gateway", "order", "payment", "shard"].contains(&point.role()), "{}", point.name());
            assert!(point.what().ends_with('.') && point.what().len() > 20, "{}", point.name());
            assert_eq!(Point::of_name(point.name()), Some(*point));
        }
    }
}
