//! Clients: they ask, lose patience, ask again, and remember what they were promised.

use domain::{Run, SlotId};
use ownership::{Epoch, Failure, Input, Outcome, Priority, Protocol, Reply, Request, Version, Work};

use super::{Event, Heard, STORM_US, World};
use crate::subject::{Decoded, Subject};

/// How long a client waits for an answer, in ms.
const PATIENCE_MS: u64 = 1_500;
/// How often a client asks the same.
const ATTEMPTS_MAX: u32 = 5;

/// Something a client wants.
pub(super) struct Op<S: Subject> {
    pub run: Run,
    /// None to have a look.
    pub command: Option<S::Command>,
    /// What it was promised.
    pub promised: Option<u64>,
    pub attempts: u32,
    /// How many messages of it have been under way, each of which may have been executed.
    pub messages: u32,
    /// It was refused, and asked no more.
    pub refused: bool,
    /// It must be answered by the end of the world.
    pub is_probe: bool,
    pub answered: bool,
    /// An attempt to use an id for something else: never to be accepted.
    pub is_forgery: bool,
}

/// One message of an op to a node.
#[derive(Clone, Copy)]
pub(super) struct Delivery {
    pub op: usize,
    /// When the node took it in, in µs.
    pub submitted_at: u64,
    /// The client has heard of it: it need not lose patience.
    pub heard: bool,
}

/// A refusal or view that left a node, to be judged when everything is known.
pub(super) struct Answered<S: Subject> {
    pub op: usize,
    pub run: Run,
    pub epoch: Epoch,
    pub version: Version,
    pub submitted_at: u64,
    pub said: Said<S>,
}

pub(super) enum Said<S: Subject> {
    Refused(S::Refusal),
    Viewed(u64),
}

impl<S: Subject, P: Protocol> World<S, P> {
    pub(super) fn open_runs(&mut self) {
        for run in S::runs() {
            let id = self.ops.len() as u64;
            if let Some(command) = S::opening(id) {
                let op = self.new_op(*run, Some(command));
                self.ops[op].attempts = 0;
                self.after(100_000, Event::AskAgain { op });
            }
        }
    }

    /// A client thinks of something new, or of something it has asked before.
    pub(super) fn think(&mut self) {
        if !self.is_storm() {
            return;
        }
        let every = self.weather.request_every_ms * 1_000;
        let delay = self.chance.between(every / 4, every * 2);
        self.after(delay, Event::Think);
        let run = self.chance.one_of(S::runs());
        let id = self.ops.len() as u64;
        let op = match self.chance.below(100) {
            0..15 => self.new_op(run, None),
            15..22 => {
                self.repeat_something();
                return;
            }
            22..25 => {
                self.forge_something();
                return;
            }
            _ => {
                let command = S::random_command(&mut self.chance, id);
                self.new_op(run, Some(command))
            }
        };
        self.ask(op);
    }

    pub(super) fn new_op(&mut self, run: Run, command: Option<S::Command>) -> usize {
        self.ops.push(Op {
            run,
            command,
            promised: None,
            attempts: 0,
            messages: 0,
            refused: false,
            is_probe: false,
            answered: false,
            is_forgery: false,
        });
        self.ops.len() - 1
    }

    /// Asks again for something that was promised: the answer must be the same.
    fn repeat_something(&mut self) {
        let op = self.chance.below(self.ops.len() as u64 + 1) as usize;
        if self.ops.get(op).is_some_and(|op| op.promised.is_some()) {
            self.ops[op].attempts = 0;
            self.ask(op);
        }
    }

    /// Asks for something else under an id that was promised something: it must be refused.
    fn forge_something(&mut self) {
        let victim = self.chance.below(self.ops.len() as u64 + 1) as usize;
        let Some(op) = self.ops.get(victim).filter(|op| op.promised.is_some()) else { return };
        let (run, command) = (op.run, op.command.as_ref().and_then(S::with_other_payload));
        if let Some(command) = command {
            let forged = self.new_op(run, Some(command));
            self.ops[forged].is_forgery = true;
            self.ask(forged);
        }
    }

    pub(super) fn ask(&mut self, op: usize) {
        if self.ops[op].attempts >= ATTEMPTS_MAX && !self.ops[op].is_probe {
            return;
        }
        self.ops[op].attempts += 1;
        let slot = self.ops[op].run.slot();
        let node = self.route(slot);
        let delivery = self.deliveries.len() as u64;
        self.deliveries.push(Delivery { op, submitted_at: 0, heard: false });
        self.after(PATIENCE_MS * 1_000, Event::Hear { delivery, heard: Heard::Nothing });
        if self.mishap(self.weather.message_lost) {
            return;
        }
        let times = 1 + u8::from(self.mishap(self.weather.message_twice));
        for copy in 0..times {
            let delay = self.delay();
            let delivery = if copy == 0 { delivery } else { self.deliveries.len() as u64 };
            if copy > 0 {
                self.deliveries.push(Delivery { op, submitted_at: 0, heard: false });
            }
            self.ops[op].messages += 1;
            self.after(delay, Event::Request { node, delivery });
        }
    }

    /// Mostly the node that is meant to own the slot; sometimes any.
    fn route(&mut self, slot: SlotId) -> usize {
        let known = self.routes.get(&slot).copied().unwrap_or_default();
        if self.mishap(150) { self.chance.below(self.nodes.len() as u64) as usize } else { known }
    }

    pub(super) fn request(&mut self, node: usize, delivery: u64) {
        let incarnation = self.nodes[node].incarnation;
        if self.awake(node, incarnation, Event::Request { node, delivery }).is_none() {
            return;
        }
        let it = &mut self.deliveries[delivery as usize];
        it.submitted_at = self.now;
        let op = &self.ops[it.op];
        let run = op.run;
        let (work, priority) = match &op.command {
            Some(command) => (Work::Command(command.clone()), Priority::Hold),
            None => (Work::Query(S::query()), Priority::Read),
        };
        let deadline = self.uptime_of(node).plus_millis(PATIENCE_MS);
        let request = Request { run, work, reply_to: delivery, deadline, priority };
        self.say(20, node as u64, delivery, || format!("request {delivery} reaches node {node}"));
        self.tell_now(node, Input::Submit(request));
    }

    /// An answer leaves a node: here everything that can be known at once is checked.
    pub(super) fn replied(&mut self, node: usize, to: u64, result: Result<Reply<S>, Failure>) {
        let Delivery { op, submitted_at, .. } = self.deliveries[to as usize];
        let run = self.ops[op].run;
        // As the shell does: an answer that was delayed past its proof on the way out is withheld.
        let now = self.uptime_of(node);
        let result = result.and_then(|reply| match reply.valid_until {
            Some(until) if now > until => Err(Failure::Unavailable { retry_after_ms: 1 }),
            _ => Ok(reply),
        });
        let heard = match result {
            Err(failure) => {
                self.counts.failed += 1;
                self.say(21, node as u64, to, || format!("node {node} has no answer to {to}: {failure}"));
                Heard::No
            }
            Ok(reply) => {
                self.say(22, node as u64, to, || {
                    format!("node {node} answers {to} from version {} epoch {}", reply.version, reply.epoch)
                });
                self.check_not_given_up(node, run.slot(), reply.epoch, "answered");
                self.check_proof(node, &run, &reply);
                self.check_durable(&run, &reply);
                let Reply { outcome, epoch, version, .. } = reply;
                let later = |said| Answered { op, run, epoch, version, submitted_at, said };
                match outcome {
                    Outcome::Accepted(answer) => {
                        self.counts.accepted += 1;
                        self.promise(op, &answer, Some(version));
                        Heard::Yes(answer)
                    }
                    Outcome::Repeated(answer) => {
                        self.counts.repeated += 1;
                        self.promise(op, &answer, None);
                        Heard::Yes(answer)
                    }
                    Outcome::Refused(refusal) => {
                        self.counts.refused += 1;
                        self.ops[op].refused = true;
                        self.answered.push(later(Said::Refused(refusal)));
                        self.ops[op].answered = true;
                        Heard::Nothing
                    }
                    Outcome::Viewed(view) => {
                        self.counts.viewed += 1;
                        self.answered.push(later(Said::Viewed(S::view_digest(view))));
                        self.ops[op].answered = true;
                        Heard::Nothing
                    }
                }
            }
        };
        if matches!(heard, Heard::Nothing) {
            return;
        }
        if !self.mishap(self.weather.message_lost) {
            let delay = self.delay();
            self.after(delay, Event::Hear { delivery: to, heard });
        }
    }

    /// An acceptance has left a node: it must be in the journal, once, and the same as ever.
    fn promise(&mut self, op: usize, answer: &S::Answer, version: Option<Version>) {
        self.ops[op].answered = true;
        let Some(command) = &self.ops[op].command else { return };
        if !S::has_own_id(command) {
            return;
        }
        let (id, run, digest) = (S::id_of(command), self.ops[op].run, S::answer_digest(answer));
        if self.ops[op].is_forgery {
            self.breaks(format!("I5: id {id} accepted with another payload"));
        }
        match self.accepted.get(&(run, id)).copied() {
            None => self.breaks(format!("I7: request {id} was accepted and is not in the journal")),
            Some((_, held)) if held != digest => {
                self.breaks(format!("I5: request {id} was answered otherwise than the journal says"));
            }
            Some((held, _)) if version.is_some_and(|version| version != held) => {
                self.breaks(format!("I7: request {id} was accepted with a version that does not hold it"));
            }
            Some(_) => {}
        }
        if self.ops[op].promised.is_some_and(|promised| promised != digest) {
            self.breaks(format!("I5: request {id} was answered differently before"));
        }
        self.ops[op].promised = Some(digest);
    }

    /// What a batch that has just become durable accepted.
    pub(super) fn index(&mut self, slot: SlotId, version: Version) {
        let Some(batch) = self.journal.streams.get(&slot).and_then(|stream| stream.batches.get(&version)) else {
            return;
        };
        let (payload, runs) = (batch.payload.clone(), batch.runs.clone());
        for run in runs {
            let records: Vec<Decoded<S>> = match S::decode(&run, &payload) {
                Ok(records) => records,
                Err(error) => return self.breaks(format!("version {version} of slot {slot}: {error}")),
            };
            for record in records {
                let Some(id) = record.id else { continue };
                if let Some((before, _)) = self.accepted.insert((run, id), (version, record.answer)) {
                    self.breaks(format!("I5: request {id} was accepted at version {before} and again at {version}"));
                }
            }
        }
    }

    /// A client hears an answer, or that there is none.
    pub(super) fn hear(&mut self, delivery: u64, heard: Heard<S>) {
        let Delivery { op, heard: before, .. } = self.deliveries[delivery as usize];
        self.deliveries[delivery as usize].heard = true;
        if before {
            return;
        }
        match heard {
            Heard::Yes(answer) => self.go_on(op, &answer),
            Heard::No | Heard::Nothing => {
                if !self.ops[op].answered {
                    let delay = self.chance.between(100_000, 800_000);
                    self.after(delay, Event::AskAgain { op });
                }
            }
        }
    }

    /// What comes after an acceptance.
    fn go_on(&mut self, op: usize, answer: &S::Answer) {
        if self.now > STORM_US || self.ops[op].is_forgery {
            return;
        }
        let id = self.ops.len() as u64;
        let run = self.ops[op].run;
        let Some(command) = self.ops[op].command.clone() else { return };
        if let Some(next) = S::follow_up(&mut self.chance, &command, answer, id) {
            let op = self.new_op(run, Some(next));
            let delay = self.chance.between(1_000, 2_500_000);
            self.after(delay, Event::AskAgain { op });
        }
    }

    /// The storm is long over: each run must answer somebody who looks and somebody who buys.
    pub(super) fn probe(&mut self) {
        self.check_overdue();
        for run in S::runs() {
            let look = self.new_op(*run, None);
            self.ops[look].is_probe = true;
            self.ask(look);
            let command = S::probe(self.ops.len() as u64);
            let buy = self.new_op(*run, Some(command));
            self.ops[buy].is_probe = true;
            self.ask(buy);
        }
    }
}
