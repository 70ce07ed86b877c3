//! What may be wrong outside of the owner itself, and how a world is drawn from its seed.

use ownership::Limits;

use crate::chance::Chance;
use crate::journal_model::JournalRules;

/// How the simulated shell carries out an owner's actions.
#[derive(Clone, Copy, Debug)]
pub struct ShellRules {
    /// A commit without an answer is reported as such, not looked up by its version and then taken for committed.
    pub unknown_stays_unknown: bool,
    /// Times come from the database, not from the machine.
    pub database_time: bool,
    /// The clock of the proof of ownership counts suspension.
    pub clock_counts_suspension: bool,
    /// Each slot of a statement has its own outcome, not that of the first.
    pub outcome_per_slot: bool,
    /// Every batch after a snapshot is replayed.
    pub whole_tail: bool,
    /// A claim without an answer is not taken for granted.
    pub claim_needs_answer: bool,
    /// A snapshot bears the version of its state, not the next one.
    pub snapshot_version: bool,
    /// What is sent again bears its old expectation, not the stream's present end.
    pub resend_as_is: bool,
    /// A proof that another owner of the process asked for counts from when it was asked for, not from when it is
    /// heard of.
    pub shared_proof_from_sending: bool,
    /// A proof that another owner asked for says which slots are lost.
    pub shared_proof_tells_losses: bool,
    /// A new owner looks for the timers of runs that nobody asks for.
    pub list_runs: bool,
}

impl ShellRules {
    /// As specified.
    pub const SOUND: Self = Self {
        unknown_stays_unknown: true,
        database_time: true,
        clock_counts_suspension: true,
        outcome_per_slot: true,
        whole_tail: true,
        claim_needs_answer: true,
        snapshot_version: true,
        resend_as_is: true,
        shared_proof_from_sending: true,
        shared_proof_tells_losses: true,
        list_runs: true,
    };
}

/// Everything that can be planted outside of types.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The journal's.
    pub journal: JournalRules,
    /// The shell's.
    pub shell: ShellRules,
}

impl Rules {
    /// As specified.
    pub const SOUND: Self = Self { journal: JournalRules::SOUND, shell: ShellRules::SOUND };
}

/// How often what goes wrong in one world. In a thousand, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Processes.
    pub processes: usize,
    /// Nodes of each process: owners that have a clock, a fate and their heartbeats in common.
    pub lanes: usize,
    /// A client's message is lost, either way.
    pub message_lost: u64,
    /// A client's message arrives twice.
    pub message_twice: u64,
    /// A statement never reaches the journal.
    pub statement_lost: u64,
    /// A statement is carried out twice.
    pub statement_twice: u64,
    /// The journal's answer is lost.
    pub answer_lost: u64,
    /// A proof of ownership does not reach another node of the process.
    pub proof_lost: u64,
    /// It reaches it twice.
    pub proof_twice: u64,
    /// It reaches it late.
    pub proof_late: u64,
    /// A statement or answer takes long.
    pub slow: u64,
    /// Between two accidents of nodes, in ms on average.
    pub accident_every_ms: u64,
    /// Between two requests, in ms on average.
    pub request_every_ms: u64,
    /// Bounds of the owners.
    pub limits: Limits,
}

impl Weather {
    /// The weather of a seed.
    pub fn draw(chance: &mut Chance) -> Self {
        // Small numbers, so that every bound is met.
        let limits = Limits {
            batch_records_max: chance.one_of(&[2, 4, 100]),
            batch_bytes_max: 1 << 20,
            batch_replies_max: chance.one_of(&[4, 100]),
            appends_in_flight_max: chance.one_of(&[1, 2, 4]),
            append_alone_ms: chance.one_of(&[0, 10]),
            queue_requests_max: chance.one_of(&[4, 100]),
            cache_runs_max: chance.one_of(&[1, 2, 10]),
            loads_in_flight_max: chance.one_of(&[1, 4]),
            check_every_records: 1,
            snapshot_records: chance.one_of(&[1, 3, 10]) as u32,
            // Runs are small here: nothing is done more seldom for the size of one.
            upkeep_things_per_record: 1_000,
            snapshot_evict_records: chance.one_of(&[1, 3]) as u32,
            ..Limits::default()
        };
        Self {
            processes: chance.one_of(&[2, 2, 3]),
            lanes: chance.one_of(&[1, 2]),
            message_lost: chance.one_of(&[0, 30, 100]),
            message_twice: chance.one_of(&[0, 30, 100]),
            statement_lost: chance.one_of(&[0, 10, 50]),
            statement_twice: chance.one_of(&[0, 10, 50]),
            answer_lost: chance.one_of(&[0, 20, 100]),
            proof_lost: chance.one_of(&[0, 30, 200]),
            proof_twice: chance.one_of(&[0, 30, 200]),
            proof_late: chance.one_of(&[0, 100, 400]),
            slow: chance.one_of(&[10, 50, 150]),
            accident_every_ms: chance.one_of(&[300, 600, 1_500]),
            request_every_ms: chance.one_of(&[10, 25, 60]),
            limits,
        }
    }
}
