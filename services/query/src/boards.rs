//! The boards of every run on sale, in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use domain::{Interval, Run, SLOTS, SeatClass, ServiceDate, SlotId, Time};
use parking_lot::RwLock;

use crate::board::{Board, Places, Stamp};

/// Boards by run, one lock per slot. Newer boards replace older ones, whatever the order they arrive in.
#[derive(Debug)]
pub struct Boards {
    slots: Box<[RwLock<HashMap<Run, Kept>>]>,
    count: AtomicUsize,
    boards_max: usize,
}

/// One subscription to one shard: every board it sent still holds at the moment it last proved to own its slots.
#[derive(Debug, Default)]
pub struct Source {
    verified_at: AtomicI64,
}

#[derive(Debug)]
struct Kept {
    board: Board,
    source: Arc<Source>,
}

/// What became of a board that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is shown from now on.
    Newer,
    /// A newer one, or this very one, is shown already.
    Known,
    /// There is no room for another run.
    Full,
}

/// A board as it is shown now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The last moment at which the counts are known to have been right, by the database's clock.
    pub as_of: Time,
    /// Which change of the run is shown.
    pub stamp: Stamp,
    /// Whether the run is on sale.
    pub on_sale: bool,
    /// Whether the line takes entries.
    pub line_open: bool,
}

impl Source {
    /// Notes that everything sent so far holds at `at`. Never moves back.
    pub fn verify(&self, at: Time) {
        self.verified_at.fetch_max(at.millis(), Ordering::Relaxed);
    }
}

impl Boards {
    /// No boards, and room for so many.
    pub fn new(boards_max: usize) -> Self {
        let slots = (0..SLOTS).map(|_| RwLock::default()).collect();
        Self { slots, count: AtomicUsize::new(0), boards_max }
    }

    /// Takes a board that a shard sent. The same board sent again moves to the new subscription, which vouches for it now.
    pub fn store(&self, run: Run, board: Board, source: &Arc<Source>) -> Stored {
        let mut slot = self.slot(run).write();
        match slot.get_mut(&run) {
            Some(kept) if kept.board.stamp > board.stamp => Stored::Known,
            Some(kept) => {
                let newer = kept.board.stamp < board.stamp || kept.board.as_of < board.as_of;
                *kept = Kept { board, source: source.clone() };
                if newer { Stored::Newer } else { Stored::Known }
            }
            None if self.count.load(Ordering::Relaxed) >= self.boards_max => Stored::Full,
            None => {
                slot.insert(run, Kept { board, source: source.clone() });
                self.count.fetch_add(1, Ordering::Relaxed);
                Stored::Newer
            }
        }
    }

    /// Looks at the board of a run: how it is stamped, and the places of some classes over an interval.
    ///
    /// `each` is called once per class, in the order asked, all from one state of the run; a class without counts has none.
    pub fn read(
        &self,
        run: Run,
        interval: Interval,
        classes: impl Iterator<Item = SeatClass>,
        mut each: impl FnMut(SeatClass, Places),
    ) -> Option<Shown> {
        let slot = self.slot(run).read();
        let Kept { board, source } = slot.get(&run)?;
        for class in classes {
            each(class, board.places(class, interval).unwrap_or_default());
        }
        let verified_at = Time::from_millis(source.verified_at.load(Ordering::Relaxed));
        Some(Shown {
            as_of: board.as_of.max(verified_at),
            stamp: board.stamp,
            on_sale: board.on_sale,
            line_open: board.line_open,
        })
    }

    /// The subscription does not vouch for a slot's boards any more: they keep the age they have until another one sends
    /// them.
    pub fn disown(&self, slot: SlotId, source: &Arc<Source>) {
        let mut slot = self.slots[usize::from(slot.number())].write();
        let frozen = Arc::new(Source { verified_at: AtomicI64::new(source.verified_at.load(Ordering::Relaxed)) });
        for kept in slot.values_mut().filter(|kept| Arc::ptr_eq(&kept.source, source)) {
            kept.source = frozen.clone();
        }
    }

    /// Forgets the runs that left their origin before a date.
    pub fn forget_before(&self, date: ServiceDate) {
        for slot in &self.slots {
            let mut slot = slot.write();
            let before = slot.len();
            slot.retain(|run, _| run.date >= date);
            self.count.fetch_sub(before - slot.len(), Ordering::Relaxed);
        }
    }

    /// How many runs have a board.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn slot(&self, run: Run) -> &RwLock<HashMap<Run, Kept>> {
        &self.slots[usize::from(run.slot().number())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::ClassCounts;

    const INTERVAL: fn() -> Interval = || Interval::new(0, 1).unwrap();

    fn board(epoch: u64, version: u64, as_of: i64, seats: u32) -> Board {
        Board::empty(Stamp { epoch, version }, Time::from_millis(as_of), 2)
            .with_counts(&[ClassCounts { class: SeatClass::Second, seats: &[seats], standing: &[] }])
            .unwrap()
    }

    fn shown(boards: &Boards, run: Run) -> (u16, i64) {
        let mut seats = 0;
        let shown = boards.read(run, INTERVAL(), [SeatClass::Second].into_iter(), |_, places| seats = places.seats);
        (seats, shown.unwrap().as_of.millis())
    }

    fn run(text: &str) -> Run {
        text.parse().unwrap()
    }

    #[test]
    fn a_newer_board_wins_in_whatever_order_they_arrive() {
        let (boards, source) = (Boards::new(10), Arc::default());
        let g71 = run("G71@2026-12-01");
        assert_eq!(boards.store(g71, board(1, 5, 100, 50), &source), Stored::Newer);
        assert_eq!(boards.store(g71, board(1, 4, 90, 60), &source), Stored::Known);
        assert_eq!(shown(&boards, g71), (50, 100));
        assert_eq!(boards.store(g71, board(2, 5, 120, 49), &source), Stored::Newer, "a new owner's board");
        assert_eq!(boards.store(g71, board(1, 6, 130, 48), &source), Stored::Known, "the old owner's last board");
        assert_eq!(shown(&boards, g71), (49, 120));
    }

    #[test]
    fn a_board_is_as_old_as_its_subscription_last_proved() {
        let (boards, old, new): (_, Arc<Source>, Arc<Source>) = (Boards::new(10), Arc::default(), Arc::default());
        let g71 = run("G71@2026-12-01");
        boards.store(g71, board(1, 5, 100, 50), &old);
        old.verify(Time::from_millis(900));
        old.verify(Time::from_millis(800));
        assert_eq!(shown(&boards, g71), (50, 900), "proof never moves back");
        new.verify(Time::from_millis(5_000));
        assert_eq!(shown(&boards, g71), (50, 900), "another subscription says nothing about it");
        assert_eq!(boards.store(g71, board(1, 5, 100, 50), &new), Stored::Known);
        assert_eq!(shown(&boards, g71), (50, 5_000), "sent again by the new one");
    }

    #[test]
    fn a_slot_that_is_left_keeps_its_age() {
        let (boards, source): (_, Arc<Source>) = (Boards::new(10), Arc::default());
        let (left, kept) = (run("G71@2026-12-01"), run("G72@2026-12-01"));
        assert_ne!(left.slot(), kept.slot());
        boards.store(left, board(1, 5, 100, 50), &source);
        boards.store(kept, board(1, 5, 100, 50), &source);
        source.verify(Time::from_millis(900));
        boards.disown(left.slot(), &source);
        source.verify(Time::from_millis(2_000));
        assert_eq!((shown(&boards, left).1, shown(&boards, kept).1), (900, 2_000));
    }

    #[test]
    fn room_is_bounded_and_past_dates_make_room() {
        let (boards, source) = (Boards::new(1), Arc::default());
        let (old, new) = (run("G71@2026-12-01"), run("G71@2026-12-02"));
        assert_eq!(boards.store(old, board(1, 1, 0, 1), &source), Stored::Newer);
        assert_eq!(boards.store(new, board(1, 1, 0, 1), &source), Stored::Full);
        boards.forget_before(new.date);
        assert_eq!(boards.len(), 0);
        assert_eq!(boards.store(new, board(1, 1, 0, 1), &source), Stored::Newer);
        assert_eq!(boards.len(), 1);
    }
}
