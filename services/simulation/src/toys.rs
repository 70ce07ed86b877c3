//! Toys with one rule broken in each.

use crate::toy::ToyRules;

macro_rules! wrong {
    ($($(#[$doc:meta])* $name:ident { $rule:ident })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl ToyRules for $name {
                const $rule: bool = false;
            }
        )*
    };
}

wrong! {
    /// Forgets the ids of accepted requests.
    DropsIds { REMEMBER_IDS }
    /// Forgets them when it is snapshotted.
    SnapshotDropsIds { SNAPSHOT_KEEPS_IDS }
    /// Answers another question under the same id.
    IgnoresPayload { COMPARE_PAYLOADS }
    /// Leaves what is freed to the public until the next tick.
    PublicFirst { LINE_FIRST }
    /// Serves the line from its end.
    LineFromBehind { LINE_IN_ORDER }
    /// Lets a paid hold lapse.
    PaidLapses { PAID_STAYS }
    /// Changes its state when it refuses.
    RefusedLeavesSomething { REFUSED_LEAVES_NOTHING }
    /// Looks at the first segment only.
    FirstSegmentOnly { WHOLE_INTERVAL }
    /// Frees a seat once more that somebody else has by now.
    GivesBackTwice { GIVE_BACK_ONCE }
    /// Counts the line from the beginning again after a replay.
    SequenceNotReplayed { SEQUENCE_REPLAYED }
    /// Keeps the seat of an offer that has lapsed.
    LapsedOfferKeepsSeat { LAPSED_OFFER_FREES }
    /// Forgets the line when it is snapshotted.
    SnapshotDropsLine { SNAPSHOT_KEEPS_LINE }
}
