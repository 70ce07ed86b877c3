//! Runs the world's tasks: one at a time, in an order that the seed decides, with a clock that jumps to the next of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use domain::Time;

use super::World;
use super::faults::{Fault, Step};
use crate::chance::Chance;

/// When a world begins.
pub(super) const BEGINNING: Time = Time::from_millis(1_795_651_200_000);
/// A caller gives up after so long, in ms.
const CALL_TIMEOUT_MS: i64 = 3_000;
/// A late message is late by at most so much, in ms: it may arrive after its caller has given up.
const LATE_BY_MS: u64 = 12_000;
/// A crashed process is down for at most so long, in ms.
const DOWN_MS: u64 = 4_000;

/// Something that goes on by itself.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The processes that may die. Everything else is the world around them: clients, shards, the provider, the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Gateway,
    Order,
    Payment,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Order, Self::Payment];
}

#[derive(Debug, Default)]
struct Process {
    up: bool,
    /// Counts starts: tasks of an earlier life never go on.
    life: u64,
}

pub(super) struct Executor {
    now_ms: i64,
    sequence: u64,
    running: u64,
    wakes: BTreeMap<(i64, u64), u64>,
    tasks: BTreeMap<u64, (Option<(Role, u64)>, Work)>,
    processes: [Process; 3],
    /// How wrong the clock of each process is, in ms.
    clocks_off_ms: [i64; 3],
    chance: Chance,
    trace: bool,
    trace_hash: u64,
}

impl Executor {
    pub fn new(chance: Chance, seed: u64, trace: bool) -> Self {
        Self {
            now_ms: 0,
            sequence: 0,
            running: 0,
            wakes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            processes: Default::default(),
            clocks_off_ms: [0; 3],
            chance,
            trace,
            trace_hash: seed,
        }
    }

    fn wake_at(&mut self, at_ms: i64, task: u64) {
        self.sequence += 1;
        self.wakes.insert((at_ms, self.sequence), task);
    }
}

impl World {
    /// Milliseconds since the beginning.
    pub(super) fn now_ms(&self) -> i64 {
        self.executor.borrow().now_ms
    }

    /// The true time: that of the shards' journal, and of the provider.
    pub(super) fn time(&self) -> Time {
        BEGINNING.plus_millis(self.now_ms())
    }

    /// The time as a process sees it.
    pub(super) fn clock(&self, role: Role) -> Time {
        self.time().plus_millis(self.executor.borrow().clocks_off_ms[role as usize])
    }

    /// A process's clock jumps.
    pub(super) fn set_clock(&self, role: Role, off_ms: i64) {
        self.executor.borrow_mut().clocks_off_ms[role as usize] = off_ms;
        self.note("clock", role as u64, || format!("{role:?}'s clock is off by {off_ms} ms"));
    }

    pub(super) fn chance<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.executor.borrow_mut().chance)
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.executor.borrow().trace_hash
    }

    /// Remembers that something happened: in the hash always, in words when the story is wanted.
    pub(super) fn note(&self, what: &str, number: u64, words: impl FnOnce() -> String) {
        let mut executor = self.executor.borrow_mut();
        let mixed = [executor.trace_hash, executor.now_ms.cast_unsigned(), number].map(u64::to_le_bytes).concat();
        executor.trace_hash = xxhash_rust::xxh3::xxh3_64_with_seed(what.as_bytes(), xxhash_rust::xxh3::xxh3_64(&mixed));
        if executor.trace {
            eprintln!("{:>8} ms  {what}: {}", executor.now_ms, words());
        }
    }

    /// Begins a task: of a process, with which it dies, or of the world around.
    pub(super) fn spawn(&self, process: Option<Role>, work: impl Future<Output = ()> + 'static) {
        let mut executor = self.executor.borrow_mut();
        let owner = process.map(|role| (role, executor.processes[role as usize].life));
        executor.sequence += 1;
        let task = executor.sequence;
        executor.tasks.insert(task, (owner, Box::pin(work)));
        let now_ms = executor.now_ms;
        executor.wake_at(now_ms, task);
    }

    /// Lets the next task go on; false when the end has come.
    pub(super) fn go_on(&self, end_ms: i64) -> bool {
        let (task, owner, mut work) = {
            let mut executor = self.executor.borrow_mut();
            let Some(next) = executor.wakes.first_entry().filter(|next| next.key().0 <= end_ms) else { return false };
            let ((at_ms, _), task) = next.remove_entry();
            executor.now_ms = at_ms;
            let Some((owner, work)) = executor.tasks.remove(&task) else { return true };
            executor.running = task;
            (task, owner, work)
        };
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut executor = self.executor.borrow_mut();
        let lives = owner.is_none_or(|(role, life)| executor.processes[role as usize].life == life);
        if polled == Poll::Pending && lives {
            executor.tasks.insert(task, (owner, work));
        }
        true
    }

    /// Forgets every task: they hold the world, and the world holds them.
    pub(super) fn stop(&self) {
        let tasks = std::mem::take(&mut self.executor.borrow_mut().tasks);
        drop(tasks);
    }

    pub(super) fn is_up(&self, role: Role) -> bool {
        self.executor.borrow().processes[role as usize].up
    }

    pub(super) async fn sleep(&self, ms: i64) {
        self.until(self.now_ms() + ms.max(0), || None::<()>).await;
    }

    /// Waits until there is a value, or the moment has come.
    async fn until<T>(&self, at_ms: i64, mut value: impl FnMut() -> Option<T>) -> Option<T> {
        {
            let mut executor = self.executor.borrow_mut();
            let task = executor.running;
            executor.wake_at(at_ms, task);
        }
        poll_fn(|_| match value() {
            Some(value) => Poll::Ready(Some(value)),
            None if self.now_ms() >= at_ms => Poll::Ready(None),
            None => Poll::Pending,
        })
        .await
    }

    /// Starts a process.
    pub(super) fn start(self: &Rc<Self>, role: Role) {
        self.executor.borrow_mut().processes[role as usize].up = true;
        match role {
            Role::Gateway => {}
            Role::Order => super::orders::start(self),
            Role::Payment => super::payments::start(self),
        }
    }

    /// A process dies, with everything it was about to do, and is started again after a while.
    fn crash(self: &Rc<Self>, role: Role) {
        let dead = {
            let mut executor = self.executor.borrow_mut();
            let process = &mut executor.processes[role as usize];
            process.up = false;
            process.life += 1;
            let tasks = std::mem::take(&mut executor.tasks);
            let (dead, living) = tasks.into_iter().partition(|(_, (of, _))| of.is_some_and(|(other, _)| other == role));
            executor.tasks = living;
            dead
        };
        drop::<BTreeMap<_, _>>(dead);
        self.note("crash", role as u64, || format!("{role:?} dies"));
        let (world, down_ms) = (Rc::clone(self), self.chance(|chance| chance.below(DOWN_MS)));
        self.spawn(None, async move {
            world.sleep(down_ms.cast_signed()).await;
            world.start(role);
        });
    }

    /// Dies here, if the seed wants it: then nothing after it happens.
    async fn may_crash(self: &Rc<Self>, step: Step, fault: Fault, process: Option<Role>) {
        let Some(role) = process.filter(|_| self.meets(step, fault)) else { return };
        self.crash(role);
        std::future::pending::<()>().await;
    }

    /// Calls the other side, which may be a process, and waits for its answer. `None`: nothing is known about what it did.
    pub(super) async fn call<T: 'static, F: Future<Output = T> + 'static>(
        self: &Rc<Self>,
        step: Step,
        caller: Option<Role>,
        callee: Option<Role>,
        handle: impl Fn(Rc<Self>) -> F + 'static,
    ) -> Option<T> {
        self.may_crash(step, Fault::CrashBefore, caller).await;
        let lost = self.meets(step, Fault::Lost);
        let copies = if lost { 0 } else { 1 + usize::from(self.meets(step, Fault::Twice)) };
        let answer_lost = !lost && self.meets(step, Fault::AnswerLost);
        let answer = Rc::new(RefCell::new(None));
        let (task, handle) = (self.executor.borrow().running, Rc::new(handle));
        for _ in 0..copies {
            let (world, answer, handle) = (Rc::clone(self), Rc::clone(&answer), Rc::clone(&handle));
            let late = self.meets(step, Fault::Late);
            let delay_ms = self.chance(|chance| if late { chance.below(LATE_BY_MS) } else { chance.between(1, 5) });
            self.spawn(None, async move {
                world.sleep(delay_ms.cast_signed()).await;
                if callee.is_some_and(|role| !world.is_up(role)) {
                    return;
                }
                let inner = Rc::clone(&world);
                world.spawn(callee, async move {
                    let answered = handle(Rc::clone(&inner)).await;
                    inner.sleep(inner.chance(|chance| chance.between(1, 5)).cast_signed()).await;
                    if !answer_lost {
                        answer.borrow_mut().get_or_insert(answered);
                        let mut executor = inner.executor.borrow_mut();
                        let now_ms = executor.now_ms;
                        executor.wake_at(now_ms, task);
                    }
                });
            });
        }
        let heard = self.until(self.now_ms() + CALL_TIMEOUT_MS, || answer.borrow_mut().take()).await;
        self.may_crash(step, Fault::CrashAfter, caller).await;
        heard
    }

    /// Commits a transaction of a process. It may not happen, or happen unheard of.
    pub(super) async fn commit<T, E: From<Unknown>>(
        self: &Rc<Self>,
        step: Step,
        process: Role,
        transaction: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.may_crash(step, Fault::CrashBefore, Some(process)).await;
        self.sleep(self.chance(|chance| chance.between(1, 6)).cast_signed()).await;
        if self.meets(step, Fault::Failed) {
            return Err(Unknown.into());
        }
        let committed = transaction(self);
        self.may_crash(step, Fault::CrashAfter, Some(process)).await;
        if self.meets(step, Fault::Unknown) {
            return Err(Unknown.into());
        }
        committed
    }
}

/// Whether a transaction was committed is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unknown;
