use std::collections::VecDeque;

use crate::{Aggregate, Priority, Request, Uptime};

/// Requests of one slot that wait to be executed: first what settles a purchase, then holds, then reads; first come,
/// first served among equals.
pub(crate) struct Waiting<A: Aggregate, R> {
    settle: VecDeque<Request<A, R>>,
    hold: VecDeque<Request<A, R>>,
    read: VecDeque<Request<A, R>>,
}

impl<A: Aggregate, R> Waiting<A, R> {
    pub const fn new() -> Self {
        Self { settle: VecDeque::new(), hold: VecDeque::new(), read: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.settle.len() + self.hold.len() + self.read.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, request: Request<A, R>) {
        match request.priority {
            Priority::Settle => self.settle.push_back(request),
            Priority::Hold => self.hold.push_back(request),
            Priority::Read => self.read.push_back(request),
        }
    }

    pub fn pop(&mut self) -> Option<Request<A, R>> {
        self.settle.pop_front().or_else(|| self.hold.pop_front()).or_else(|| self.read.pop_front())
    }

    /// Gives up the youngest of the least important requests, if there is a less important one than `than`.
    pub fn displace(&mut self, than: Priority) -> Option<Request<A, R>> {
        if than > Priority::Read && !self.read.is_empty() {
            return self.read.pop_back();
        }
        if than > Priority::Hold { self.hold.pop_back() } else { None }
    }

    /// Takes out everything whose deadline has passed.
    pub fn take_expired(&mut self, now: Uptime) -> Vec<Request<A, R>> {
        let mut expired = Vec::new();
        for queue in [&mut self.settle, &mut self.hold, &mut self.read] {
            expired.extend(queue.extract_if_expired(now));
        }
        expired
    }

    pub fn take_all(&mut self) -> impl Iterator<Item = Request<A, R>> {
        let (settle, hold, read) =
            (std::mem::take(&mut self.settle), std::mem::take(&mut self.hold), std::mem::take(&mut self.read));
        settle.into_iter().chain(hold).chain(read)
    }
}

trait ExtractExpired<A: Aggregate, R> {
    fn extract_if_expired(&mut self, now: Uptime) -> Vec<Request<A, R>>;
}

impl<A: Aggregate, R> ExtractExpired<A, R> for VecDeque<Request<A, R>> {
    fn extract_if_expired(&mut self, now: Uptime) -> Vec<Request<A, R>> {
        if self.iter().all(|request| request.deadline >= now) {
            return Vec::new();
        }
        let (kept, expired): (Self, Self) = std::mem::take(self).into_iter().partition(|r| r.deadline >= now);
        *self = kept;
        expired.into()
    }
}
