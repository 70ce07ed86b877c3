//! The boards of the shard's runs: what watchers are sent.
//!
//! [`Boards`] keeps the newest board of every run in the order of their last change. A watcher pulls from a position, so a
//! slow one gets the latest board of each run and nothing in between, and none can make the shard queue anything.
//! [`keeper`] recomputes boards of changed runs and proves that the others still hold.

pub mod keeper;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{Run, SLOTS, ServiceDate, SlotId, Time};
use parking_lot::Mutex;
use proto::inventory::v1::{Board, SaleState, SlotUse, WatchBoardsResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The most boards of one message, and about how many bytes they take.
const MESSAGE_BOARDS_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The newest board of every run of the shard that is on sale.
#[derive(Debug)]
pub struct Boards {
    state: Mutex<State>,
    published: watch::Sender<()>,
    /// Per slot, how many runs have somebody waiting in line.
    lines: Box<[AtomicU32]>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts up with every board and every slot that is left.
    sequence: u64,
    by_sequence: BTreeMap<u64, Run>,
    by_run: HashMap<Run, Kept>,
    /// The slots that were left and have no board since, with when.
    left: BTreeMap<SlotId, u64>,
    /// The sequence number that watchers were last told of.
    published: u64,
    verified_at: Option<Time>,
    caught_up: bool,
}

#[derive(Debug)]
struct Kept {
    sequence: u64,
    board: Arc<Board>,
    has_line: bool,
    /// Whether any place of the run is held or sold.
    is_sold: bool,
}

/// A watcher is sent something at least this often, so that it can tell a quiet shard from a dead one.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// One watcher's position.
#[derive(Debug)]
pub struct Watcher {
    boards: Arc<Boards>,
    published: watch::Receiver<()>,
    position: u64,
    interval: Duration,
    /// When the next message may go; none to send it at once.
    not_before: Option<Instant>,
}

impl Boards {
    /// No boards.
    pub fn new() -> Self {
        let lines = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self { state: Mutex::default(), published: watch::Sender::new(()), lines }
    }

    /// A watcher that has seen nothing yet, and is sent a message at most once per interval.
    pub fn watch(this: Arc<Self>, interval: Duration) -> Watcher {
        let published = this.published.subscribe();
        Watcher { boards: this, published, position: 0, interval, not_before: None }
    }

    /// Whether anybody waits in the line of a run of this slot, as far as boards tell.
    pub fn has_line(&self, slot: SlotId) -> bool {
        self.lines[usize::from(slot.number())].load(Ordering::Relaxed) > 0
    }

    /// What the slots that have boards are used for.
    pub fn use_of_slots(&self) -> BTreeMap<SlotId, SlotUse> {
        let mut slots: BTreeMap<SlotId, SlotUse> = BTreeMap::new();
        for (run, kept) in &self.state.lock().by_run {
            let of_slot = slots.entry(run.slot()).or_default();
            of_slot.slot = u32::from(run.slot().number());
            of_slot.train_dates += 1;
            of_slot.train_dates_sold += u32::from(kept.is_sold);
        }
        slots
    }

    /// Keeps a run's new board. Watchers hear of it at the next [`Self::publish`].
    fn put(&self, run: Run, board: Board, has_line: bool, is_sold: bool) {
        let mut state = self.state.lock();
        state.sequence += 1;
        let sequence = state.sequence;
        let before = state.by_run.insert(run, Kept { sequence, board: Arc::new(board), has_line, is_sold });
        if let Some(before) = &before {
            state.by_sequence.remove(&before.sequence);
        }
        state.by_sequence.insert(sequence, run);
        state.left.remove(&run.slot());
        self.count_line(run, before.is_some_and(|kept| kept.has_line), has_line);
    }

    /// Shows a run as not on sale, where it was shown before.
    fn withdraw(&self, run: Run) {
        let shown = self.state.lock().by_run.get(&run).map(|kept| kept.board.clone());
        if let Some(shown) = shown.filter(|board| board.sale() != SaleState::Closed) {
            let empty = Board { sale: SaleState::Closed.into(), stops: 0, classes: Vec::new(), ..Board::clone(&shown) };
            // Of one version, the board of a later time is the newer one.
            self.put(run, Board { as_of_ms: shown.as_of_ms + 1, line_open: false, ..empty }, false, true);
        }
    }

    /// Drops the boards of a slot that is no longer this shard's to vouch for.
    fn leave(&self, slot: SlotId) {
        let mut state = self.state.lock();
        self.drop_runs(&mut state, |run| run.slot() == slot);
        state.sequence += 1;
        let sequence = state.sequence;
        state.left.insert(slot, sequence);
    }

    /// Drops the boards of runs that left their origin before a date.
    fn forget_before(&self, date: ServiceDate) {
        self.drop_runs(&mut self.state.lock(), |run| run.date < date);
    }

    /// The runs of a slot that have a board.
    fn runs_of(&self, slot: SlotId) -> Vec<Run> {
        self.state.lock().by_run.keys().filter(|run| run.slot() == slot).copied().collect()
    }

    /// Tells watchers what was put since the last time, and when everything was last proved.
    fn publish(&self, verified_at: Option<Time>, caught_up: bool) {
        let mut state = self.state.lock();
        let caught_up = state.caught_up || caught_up;
        let news = (state.sequence, verified_at, caught_up);
        if (state.published, state.verified_at, state.caught_up) == news {
            return;
        }
        (state.published, state.verified_at, state.caught_up) = news;
        drop(state);
        self.published.send_replace(());
    }

    fn drop_runs(&self, state: &mut State, wanted: impl Fn(&Run) -> bool) {
        let State { by_sequence, by_run, .. } = state;
        by_run.retain(|run, kept| {
            let dropped = wanted(run);
            if dropped {
                by_sequence.remove(&kept.sequence);
                self.count_line(*run, kept.has_line, false);
            }
            !dropped
        });
    }

    fn count_line(&self, run: Run, before: bool, now: bool) {
        let count = &self.lines[usize::from(run.slot().number())];
        match (before, now) {
            (false, true) => _ = count.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = count.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl State {
    /// What a watcher at a position is told, its next position, and whether that is everything.
    fn message(&self, position: u64) -> (WatchBoardsResponse, u64, bool) {
        let mut boards = Vec::new();
        let mut bytes = 0;
        let mut reached = self.sequence;
        for (sequence, run) in self.by_sequence.range(position + 1..) {
            if boards.len() >= MESSAGE_BOARDS_MAX || bytes >= MESSAGE_BYTES_MAX {
                reached = sequence - 1;
                break;
            }
            let board = &self.by_run[run].board;
            bytes += size(board);
            boards.push(Board::clone(board));
        }
        let complete = reached == self.sequence;
        let left = self.left.iter().filter(|(_, sequence)| (position + 1..=reached).contains(sequence));
        let message = WatchBoardsResponse {
            boards,
            caught_up: complete && self.caught_up,
            // The proof covers everything, so it goes with the message that completes everything.
            verified_at_ms: self.verified_at.filter(|_| complete).map_or(0, Time::millis),
            left_slots: left.map(|(slot, _)| u32::from(slot.number())).collect(),
        };
        (message, reached, complete)
    }
}

/// About how many bytes a board takes on the wire: counts are mostly one or two bytes.
fn size(board: &Board) -> usize {
    let counts: usize = board.classes.iter().map(|class| class.seats.len() + class.standing.len()).sum();
    64 + 2 * counts
}

impl Watcher {
    /// The next message: boards that changed since the last one, a new proof, or only a sign of life.
    pub async fn next(&mut self) -> WatchBoardsResponse {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
            // Either something was published or it is time for a sign of life.
            let _ = tokio::time::timeout(SILENCE_MAX, self.published.changed()).await;
        }
        self.published.mark_unchanged();
        let (message, reached, complete) = self.boards.state.lock().message(self.position);
        self.position = reached;
        self.not_before = complete.then(|| Instant::now() + self.interval);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(train: &str) -> Run {
        format!("{train}@2026-12-01").parse().unwrap()
    }

    fn board(version: u64) -> Board {
        Board { version, ..Board::default() }
    }

    fn versions(message: &WatchBoardsResponse) -> Vec<u64> {
        message.boards.iter().map(|board| board.version).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_watcher_gets_the_latest_board_of_each_run_only() {
        let boards = Arc::new(Boards::new());
        boards.put(run("G1"), board(1), false, false);
        boards.put(run("G2"), board(1), false, false);
        boards.publish(None, false);
        let mut watcher = Boards::watch(boards.clone(), Duration::from_millis(100));
        assert_eq!(versions(&watcher.next().await), [1, 1]);
        for version in 2..=9 {
            boards.put(run("G1"), board(version), false, false);
            boards.publish(Some(Time::from_millis(version as i64)), true);
        }
        let message = watcher.next().await;
        assert_eq!((versions(&message), message.verified_at_ms, message.caught_up), (vec![9], 9, true));
    }

    #[tokio::test(start_paused = true)]
    async fn many_boards_come_in_bounded_messages_and_the_proof_with_the_last() {
        let boards = Arc::new(Boards::new());
        for number in 0..600 {
            boards.put(run(&format!("G{number}")), board(1), false, false);
        }
        boards.publish(Some(Time::from_millis(5)), true);
        let mut watcher = Boards::watch(boards.clone(), Duration::from_millis(100));
        let mut seen = Vec::new();
        for _ in 0..3 {
            let message = watcher.next().await;
            seen.push((message.boards.len(), message.verified_at_ms, message.caught_up));
        }
        assert_eq!(seen, [(256, 0, false), (256, 0, false), (88, 5, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_is_left_is_told_once_and_its_boards_are_gone() {
        let boards = Arc::new(Boards::new());
        let (stays, goes) = (run("G1"), run("G2"));
        assert_ne!(stays.slot(), goes.slot());
        boards.put(stays, board(1), true, false);
        boards.put(goes, board(1), true, false);
        boards.publish(None, false);
        let mut early = Boards::watch(boards.clone(), Duration::from_millis(100));
        early.next().await;
        boards.leave(goes.slot());
        boards.publish(None, false);
        assert_eq!(early.next().await.left_slots, [u32::from(goes.slot().number())]);
        assert!(boards.has_line(stays.slot()) && !boards.has_line(goes.slot()));
        let late = Boards::watch(boards.clone(), Duration::from_millis(100)).next().await;
        assert_eq!(late.boards.len(), 1);
        boards.put(goes, board(2), false, false);
        boards.publish(None, false);
        let message = early.next().await;
        assert_eq!((versions(&message), message.left_slots.len()), (vec![2], 0));
    }
}
