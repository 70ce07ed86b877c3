//! What becomes of an entry: pure decisions, the same whether they are made by a client's call, the journal's feed, a
//! sweep after a restart, or twice.

use domain::Time;

use crate::entry::{Grant, LinePlace};

/// How long after its deadline an entry is looked at again: by then the run itself has sent it home.
pub const OVERDUE_GRACE_MS: i64 = 60_000;

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Recorded; whether the line has it is not known.
    Joining,
    /// In the line.
    Waiting,
    /// Seats are held for it and wait to be taken.
    Offered,
    /// The seats are taken; the order for them is not known to stand yet.
    Ordering(Grant),
    /// The order was refused; the seats are to be given back.
    Releasing {
        /// Why there is no order.
        reason: String,
        /// The seats.
        grant: Grant,
    },
    /// The order stands. What follows is the order's.
    Fulfilled,
    /// It is over for the account; the line may still have it.
    Leaving(End),
    /// It is over.
    Ended(End),
}

/// How an entry ended without an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Given up by its account.
    Left,
    /// Its deadline passed.
    Expired,
    /// The line ended, an offer ran out, or the order could not be made: a stable reason.
    Failed(String),
}

/// What there is to do for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Join the line of the run.
    JoinLine,
    /// Take the offer.
    AcceptOffer,
    /// Make the order.
    OpenOrder,
    /// Give the hold back.
    ReleaseHold,
    /// Leave the line; an offer or hold of the entry goes with it.
    LeaveLine,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The run recorded the entry in its line.
    Joined(LinePlace),
    /// The run refused the entry.
    JoinRefused(String),
    /// Seats are held for the entry.
    Offered,
    /// The offer was taken, and its seats are an open hold.
    OfferTaken(Grant),
    /// There is no offer to take any more: it ran out or was refused, and the entry is out of the line.
    OfferGone,
    /// The order stands.
    OrderOpened,
    /// There will be no order.
    OrderRefused(String),
    /// The hold is given back, or was gone already.
    HoldReleased,
    /// The line does not have the entry any more: because it left, or because its deadline passed there.
    OutOfLine {
        /// Whether its deadline passed.
        expired: bool,
    },
    /// Sale of the run has ended, and its line with it.
    SaleClosed,
    /// The account gives the entry up.
    GivenUp,
    /// The deadline is long past, and the run has not said so.
    Overdue,
}

/// The reason of an entry whose offer ran out before it was taken.
pub const OFFER_LAPSED: &str = "OFFER_LAPSED";
/// The reason of an entry whose run was closed.
pub const SALE_CLOSED: &str = "SALE_CLOSED";

/// The account may not give the entry up any more: seats came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLate;

impl Stage {
    /// What there is to do in this stage; none when it waits for something to happen.
    pub const fn effect(&self) -> Option<Effect> {
        match self {
            Self::Joining => Some(Effect::JoinLine),
            Self::Offered => Some(Effect::AcceptOffer),
            Self::Ordering(_) => Some(Effect::OpenOrder),
            Self::Releasing { .. } => Some(Effect::ReleaseHold),
            Self::Leaving(_) => Some(Effect::LeaveLine),
            Self::Waiting | Self::Fulfilled | Self::Ended(_) => None,
        }
    }

    /// Whether the entry counts among its account's open ones.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Joining | Self::Waiting | Self::Offered | Self::Ordering(_))
    }

    /// When the entry must be looked at by itself, if nothing happens before.
    pub fn due(&self, deadline: Time, now: Time) -> Option<Time> {
        match self {
            Self::Waiting => Some(deadline.plus_millis(OVERDUE_GRACE_MS)),
            _ => self.effect().map(|_| now),
        }
    }

    /// The stage after something happened; none where it changes nothing. Whatever comes late, twice or out of order
    /// changes nothing or leads to the same end.
    pub fn after(&self, happened: Happened) -> Option<Self> {
        match happened {
            Happened::Joined(_) => self.after_joined(),
            Happened::JoinRefused(reason) => matches!(self, Self::Joining).then_some(Self::Ended(End::Failed(reason))),
            Happened::Offered => self.after_offered(),
            Happened::OfferTaken(grant) => match self {
                Self::Offered => Some(Self::Ordering(grant)),
                // Given up while the offer was being taken: the hold must not stand until its payment deadline.
                _ => None,
            },
            Happened::OfferGone => {
                matches!(self, Self::Offered).then(|| Self::Ended(End::Failed(OFFER_LAPSED.to_owned())))
            }
            Happened::OrderOpened => matches!(self, Self::Ordering(_)).then_some(Self::Fulfilled),
            Happened::OrderRefused(reason) => match self {
                Self::Ordering(grant) => Some(Self::Releasing { reason, grant: grant.clone() }),
                _ => None,
            },
            Happened::HoldReleased => match self {
                Self::Releasing { reason, .. } => Some(Self::Ended(End::Failed(reason.clone()))),
                _ => None,
            },
            Happened::OutOfLine { expired: true } => self.sent_home(End::Expired),
            Happened::OutOfLine { expired: false } => self.sent_home(End::Failed(SALE_CLOSED.to_owned())),
            Happened::SaleClosed => match self {
                // An offer outlives the line: taking it decides.
                Self::Offered => None,
                _ => self.sent_home(End::Failed(SALE_CLOSED.to_owned())),
            },
            Happened::GivenUp => self.is_in_line().then_some(Self::Leaving(End::Left)),
            Happened::Overdue => self.is_in_line().then_some(Self::Leaving(End::Expired)),
        }
    }

    /// The stage after its account gave it up; none where it is over already.
    ///
    /// # Errors
    /// Seats came before: the order is what can be cancelled now.
    pub fn given_up(&self) -> Result<Option<Self>, TooLate> {
        match self {
            Self::Ordering(_) | Self::Fulfilled => Err(TooLate),
            _ => Ok(self.after(Happened::GivenUp)),
        }
    }

    fn is_in_line(&self) -> bool {
        matches!(self, Self::Joining | Self::Waiting | Self::Offered)
    }

    fn after_joined(&self) -> Option<Self> {
        match self {
            Self::Joining => Some(Self::Waiting),
            // A join that was on its way when the entry ended: the line must not keep it.
            Self::Ended(end) => Some(Self::Leaving(end.clone())),
            _ => None,
        }
    }

    fn after_offered(&self) -> Option<Self> {
        match self {
            Self::Joining | Self::Waiting => Some(Self::Offered),
            // Seats held for nobody: they go to the next as soon as the entry leaves.
            Self::Ended(end) => Some(Self::Leaving(end.clone())),
            _ => None,
        }
    }

    /// The line does not have the entry any more, and no offer stands for it.
    fn sent_home(&self, end: End) -> Option<Self> {
        match self {
            Self::Joining | Self::Waiting | Self::Offered => Some(Self::Ended(end)),
            Self::Leaving(wanted) => Some(Self::Ended(wanted.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant(vec![1])
    }

    fn place() -> LinePlace {
        LinePlace { sequence: 1, ahead: None }
    }

    fn every_stage() -> Vec<Stage> {
        vec![
            Stage::Joining,
            Stage::Waiting,
            Stage::Offered,
            Stage::Ordering(grant()),
            Stage::Releasing { reason: "R".into(), grant: grant() },
            Stage::Fulfilled,
            Stage::Leaving(End::Left),
            Stage::Ended(End::Expired),
        ]
    }

    fn everything_that_happens() -> Vec<Happened> {
        vec![
            Happened::Joined(place()),
            Happened::JoinRefused("R".into()),
            Happened::Offered,
            Happened::OfferTaken(grant()),
            Happened::OfferGone,
            Happened::OrderOpened,
            Happened::OrderRefused("R".into()),
            Happened::HoldReleased,
            Happened::OutOfLine { expired: true },
            Happened::OutOfLine { expired: false },
            Happened::SaleClosed,
            Happened::GivenUp,
            Happened::Overdue,
        ]
    }

    #[test]
    fn the_way_of_an_entry_that_is_served() {
        let mut stage = Stage::Joining;
        for (happened, effect) in [
            (Happened::Joined(place()), None),
            (Happened::Offered, Some(Effect::AcceptOffer)),
            (Happened::OfferTaken(grant()), Some(Effect::OpenOrder)),
            (Happened::OrderOpened, None),
        ] {
            stage = stage.after(happened).unwrap();
            assert_eq!(stage.effect(), effect, "{stage:?}");
        }
        assert_eq!(stage, Stage::Fulfilled);
    }

    #[test]
    fn whatever_happens_twice_changes_nothing_the_second_time() {
        for stage in every_stage() {
            for happened in everything_that_happens() {
                // A join or offer heard of after the end leads back to leaving, once.
                let after = stage.after(happened.clone()).unwrap_or_else(|| stage.clone());
                let twice = after.after(happened.clone());
                assert!(twice.is_none(), "{stage:?} {happened:?} {after:?} {twice:?}");
            }
        }
    }

    #[test]
    fn a_fulfilled_entry_stays_fulfilled_and_seats_taken_are_never_forgotten() {
        for happened in everything_that_happens() {
            assert_eq!(Stage::Fulfilled.after(happened.clone()), None, "{happened:?}");
            let after = Stage::Ordering(grant()).after(happened.clone());
            let kept = matches!(after, None | Some(Stage::Fulfilled | Stage::Releasing { .. }));
            assert!(kept, "{happened:?}: {after:?}");
        }
    }

    #[test]
    fn an_end_once_reached_stays_the_same_end() {
        for happened in everything_that_happens() {
            let mut stage = Stage::Ended(End::Expired);
            for _ in 0..3 {
                stage = stage.after(happened.clone()).unwrap_or(stage);
            }
            assert!(
                matches!(stage, Stage::Ended(End::Expired) | Stage::Leaving(End::Expired)),
                "{happened:?}: {stage:?}"
            );
        }
    }

    #[test]
    fn everything_but_waiting_and_the_ends_has_something_to_do() {
        for stage in every_stage() {
            let rests = matches!(stage, Stage::Waiting | Stage::Fulfilled | Stage::Ended(_));
            assert_eq!(stage.effect().is_none(), rests, "{stage:?}");
            let due = stage.due(Time::from_millis(1_000), Time::from_millis(5));
            let expected = match stage {
                Stage::Waiting => Some(Time::from_millis(61_000)),
                Stage::Fulfilled | Stage::Ended(_) => None,
                _ => Some(Time::from_millis(5)),
            };
            assert_eq!(due, expected, "{stage:?}");
        }
    }

    #[test]
    fn an_entry_can_be_given_up_until_its_seats_are_taken() {
        assert_eq!(Stage::Offered.given_up(), Ok(Some(Stage::Leaving(End::Left))));
        assert_eq!(Stage::Ended(End::Expired).given_up(), Ok(None));
        assert_eq!(Stage::Ordering(grant()).given_up(), Err(TooLate));
        assert_eq!(Stage::Fulfilled.given_up(), Err(TooLate));
    }
}
