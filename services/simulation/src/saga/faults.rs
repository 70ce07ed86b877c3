//! What goes wrong where: every fault at every step of the saga, drawn by the seed and counted.

use super::World;
use crate::chance::Chance;

/// Faults happen until then, in ms.
pub(super) const STORM_MS: i64 = 150_000;
/// How much more often faults meet rare steps.
const RARE_TIMES: u64 = 5;

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $words:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// In words.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)+ }
            }
        }
    };
}

named! {
    /// A step of the saga: a call to another role, or a durable write.
    Step {
        /// A client places an order.
        PlaceOrder = "client places",
        /// A client pays.
        PayOrder = "client pays",
        /// A client cancels.
        CancelOrder = "client cancels",
        /// A client gives a ticket back.
        RefundTicket = "client gives back",
        /// A client changes tickets.
        ChangeTickets = "client changes",
        /// The gateway holds seats.
        Hold = "gateway holds",
        /// The gateway opens the order.
        OpenOrder = "gateway opens order",
        /// The gateway gives holds of a refused order back.
        GiveHoldBack = "gateway gives hold back",
        /// The row of a new order.
        RecordOrder = "order row written",
        /// The row after an event.
        RecordEvent = "order event written",
        /// The order claims its hold.
        OpenHold = "order claims hold",
        /// The order confirms its hold.
        Confirm = "order confirms",
        /// The order releases its hold.
        Release = "order releases",
        /// The order holds lost seats again.
        HoldAgain = "order holds again",
        /// The order holds the new seats of a change.
        HoldForChange = "order holds for change",
        /// The order frees the seats of refunded tickets.
        ReturnSeats = "order returns seats",
        /// The order opens a trade.
        CreateTrade = "order opens trade",
        /// The order asks about a trade.
        QueryTrade = "order asks about trade",
        /// The order has a trade closed.
        CloseTrade = "order closes trade",
        /// The order has money sent back.
        CreateRefund = "order sends refund",
        /// The order asks about a refund.
        QueryRefund = "order asks about refund",
        /// The row of a new trade.
        RecordTrade = "trade row written",
        /// A trade's outcome, its posting and its notice.
        RecordTradeEvent = "trade event written",
        /// The row of a refund with its posting.
        RecordRefund = "refund row written",
        /// A refund's arrival.
        RecordRefundEvent = "refund event written",
        /// Payment charges at the provider.
        Charge = "payment charges",
        /// Payment asks the provider about a charge.
        QueryCharge = "payment asks provider",
        /// Payment has the provider close a charge.
        CloseCharge = "payment closes charge",
        /// Payment has the provider pay back.
        Refund = "payment pays back",
        /// The provider calls back.
        Callback = "provider calls back",
        /// Payment tells the order.
        Tell = "payment tells order",
        /// The notice is crossed off.
        RecordTold = "notice crossed off",
    }
}

named! {
    /// What may go wrong at a step.
    Fault {
        /// The message never arrives.
        Lost = "lost",
        /// It arrives, and its answer is lost.
        AnswerLost = "answer lost",
        /// It arrives twice.
        Twice = "twice",
        /// It arrives late and out of order, perhaps after it was given up.
        Late = "late",
        /// The transaction is not committed.
        Failed = "not written",
        /// The transaction is committed, unheard of.
        Unknown = "written unheard",
        /// The process dies before.
        CrashBefore = "crash before",
        /// The process dies after.
        CrashAfter = "crash after",
    }
}

impl Step {
    /// Steps that few orders take: what goes wrong there goes wrong more often, so that every seed range meets it.
    const fn is_rare(self) -> bool {
        matches!(self, Self::GiveHoldBack | Self::HoldAgain | Self::CancelOrder | Self::CloseTrade | Self::CloseCharge)
    }

    const fn is_write(self) -> bool {
        matches!(
            self,
            Self::RecordOrder
                | Self::RecordEvent
                | Self::RecordTrade
                | Self::RecordTradeEvent
                | Self::RecordRefund
                | Self::RecordRefundEvent
                | Self::RecordTold
        )
    }

    /// Whether a fault can happen at a step at all: a client does not crash here, it gives up.
    pub const fn can_meet(self, fault: Fault) -> bool {
        let outside = matches!(
            self,
            Self::PlaceOrder
                | Self::PayOrder
                | Self::CancelOrder
                | Self::RefundTicket
                | Self::ChangeTickets
                | Self::Callback
        );
        match fault {
            Fault::Lost | Fault::AnswerLost | Fault::Twice | Fault::Late => !self.is_write(),
            Fault::Failed | Fault::Unknown => self.is_write(),
            Fault::CrashBefore | Fault::CrashAfter => !outside,
        }
    }
}

/// How often each fault met each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met([[u64; Fault::ALL.len()]; Step::ALL.len()]);

impl Default for Met {
    fn default() -> Self {
        Self([[0; Fault::ALL.len()]; Step::ALL.len()])
    }
}

impl Met {
    fn count(&mut self, step: Step, fault: Fault) {
        self.0[step as usize][fault as usize] += 1;
    }

    /// Adds another seed's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// How often a fault met a step; none where it cannot.
    pub fn times(&self, step: Step, fault: Fault) -> Option<u64> {
        step.can_meet(fault).then(|| self.0[step as usize][fault as usize])
    }

    /// The faults that never met a step that they can meet.
    pub fn missing(&self) -> Vec<(Step, Fault)> {
        let pairs = Step::ALL.iter().flat_map(|step| Fault::ALL.iter().map(move |fault| (*step, *fault)));
        pairs.filter(|(step, fault)| self.times(*step, *fault) == Some(0)).collect()
    }
}

/// How often what goes wrong in one world, in a thousand; drawn anew for each seed, so that some worlds are calm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    lost: u64,
    answer_lost: u64,
    twice: u64,
    late: u64,
    failed: u64,
    unknown: u64,
    crash: u64,
    /// A clock that is due to jump does so.
    pub clock_jumps: u64,
    /// Callbacks that are never sent.
    pub callbacks_dropped: u64,
}

impl Weather {
    pub fn draw(chance: &mut Chance) -> Self {
        let calm = chance.per_mille(100);
        let mut often = |choices: &[u64; 3]| if calm { 0 } else { chance.one_of(choices) };
        Self {
            lost: often(&[0, 30, 120]),
            answer_lost: often(&[0, 30, 120]),
            twice: often(&[0, 30, 120]),
            late: often(&[0, 30, 120]),
            failed: often(&[0, 15, 60]),
            unknown: often(&[0, 15, 60]),
            crash: often(&[0, 8, 30]),
            clock_jumps: often(&[0, 300, 1_000]),
            callbacks_dropped: often(&[0, 200, 1_000]),
        }
    }

    const fn often(&self, fault: Fault) -> u64 {
        match fault {
            Fault::Lost => self.lost,
            Fault::AnswerLost => self.answer_lost,
            Fault::Twice => self.twice,
            Fault::Late => self.late,
            Fault::Failed => self.failed,
            Fault::Unknown => self.unknown,
            Fault::CrashBefore | Fault::CrashAfter => self.crash,
        }
    }
}

impl World {
    /// Whether a fault happens now, at this step. After the storm none does.
    pub(super) fn meets(&self, step: Step, fault: Fault) -> bool {
        if self.now_ms() >= STORM_MS || !step.can_meet(fault) {
            return false;
        }
        let often = self.weather.often(fault) * if step.is_rare() { RARE_TIMES } else { 1 };
        let met = self.chance(|chance| chance.per_mille(often));
        if met {
            self.counts.borrow_mut().met.count(step, fault);
            self.note("fault", step as u64 * 8 + fault as u64, || format!("{}: {}", step.words(), fault.words()));
        }
        met
    }
}
