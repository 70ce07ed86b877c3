use std::time::Duration;

use tokio::time::Instant;

/// Fewer requests than this are no convoy: they would gain less from two commits than these cost.
const CONVOY_MIN: usize = 8;
/// Where storage stands idle for longer than so many commits take, to shorten the time by one commit gains next to nothing.
const IDLE_COMMITS_MAX: u32 = 8;

/// Breaks the convoys of those who ask anew as soon as they are answered.
///
/// Whoever is answered by one commit asks again together with all the others of it: storage stands idle while they travel,
/// and they wait while it writes. Where it has stood idle for as long as a commit takes, half of those who come are decided
/// and written first: from then on two groups take turns, one of them travels while the other's commit is under way.
#[derive(Debug, Default)]
pub(super) struct Convoys {
    commits_under_way: usize,
    last: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Instant,
    took: Duration,
}

impl Convoys {
    pub fn commit_began(&mut self) {
        self.commits_under_way += 1;
    }

    pub fn commit_ended(&mut self, began: Instant, now: Instant) {
        self.commits_under_way -= 1;
        self.last = Some(Ended { at: now, took: now - began });
    }

    /// Whether storage has stood idle for so long that a convoy should be broken.
    pub fn may_break(&self, now: Instant) -> bool {
        self.commits_under_way == 0
            && self.last.is_some_and(|last| {
                let idle = now - last.at;
                idle >= last.took && idle <= last.took * IDLE_COMMITS_MAX
            })
    }

    /// How many of so many requests are decided before they are written.
    pub fn first_part(requests: usize) -> usize {
        if requests < CONVOY_MIN { requests } else { requests / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: Duration = Duration::from_millis(2);

    /// After a commit of that length, so long ago.
    fn idle_for(idle: Duration) -> bool {
        let began = Instant::now();
        let mut convoys = Convoys::default();
        convoys.commit_began();
        convoys.commit_ended(began, began + COMMIT);
        convoys.may_break(began + COMMIT + idle)
    }

    #[test]
    fn a_convoy_is_broken_where_storage_stood_idle_for_about_a_commit() {
        assert!(!idle_for(COMMIT / 2), "storage is busy already");
        assert!(idle_for(COMMIT));
        assert!(idle_for(COMMIT * 8));
        assert!(!idle_for(COMMIT * 9), "there is nothing to be gained");
    }

    #[test]
    fn nothing_is_broken_before_the_first_commit_nor_during_one() {
        let began = Instant::now();
        let mut convoys = Convoys::default();
        assert!(!convoys.may_break(began));
        convoys.commit_began();
        convoys.commit_began();
        convoys.commit_ended(began, began + COMMIT);
        assert!(!convoys.may_break(began + COMMIT * 2), "another one is under way");
    }

    #[test]
    fn a_few_requests_are_no_convoy() {
        assert_eq!([1, 7, 8, 64, 65].map(Convoys::first_part), [1, 7, 4, 32, 32]);
    }
}
