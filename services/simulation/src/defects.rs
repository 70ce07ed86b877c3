//! Every planted defect by name: a simulation that misses one is itself broken.

use ownership::Sound;
use train_date::OwnedTrainDate;

use crate::journal_model::{Fence, JournalRules};
use crate::rules::{Rules, ShellRules};
use crate::toy::{SoundToy, Toy};
use crate::world::{Report, live};
use crate::{protocols, toys};

/// A world with something wrong in it.
#[derive(Clone, Copy, Debug)]
pub struct Defect {
    /// Its name on the command line.
    pub name: &'static str,
    run: fn(u64, Rules, bool) -> Report,
    rules: Rules,
}

impl Defect {
    /// Lives a seed's world with this defect.
    pub fn live(&self, seed: u64, trace: bool) -> Report {
        (self.run)(seed, self.rules, trace)
    }

    /// How the command line names this world.
    pub fn arguments(&self) -> String {
        match self.name {
            "none" => String::new(),
            "kernel" => " --kernel".to_owned(),
            name => format!(" --defect {name}"),
        }
    }
}

/// The world as it should be.
pub const SOUND: Defect = Defect { name: "none", run: live::<Toy<SoundToy>, Sound>, rules: Rules::SOUND };

/// The world as it should be, with the seat kernel that is sold from.
pub const KERNEL: Defect = Defect { name: "kernel", run: live::<OwnedTrainDate, Sound>, rules: Rules::SOUND };

macro_rules! of_owner {
    ($name:literal, $protocol:ident) => {
        Defect { name: $name, run: live::<Toy<SoundToy>, protocols::$protocol>, rules: Rules::SOUND }
    };
}

macro_rules! of_toy {
    ($name:literal, $toy:ident) => {
        Defect { name: $name, run: live::<Toy<toys::$toy>, Sound>, rules: Rules::SOUND }
    };
}

macro_rules! of_shell {
    ($name:literal, $rule:ident) => {
        Defect {
            name: $name,
            run: live::<Toy<SoundToy>, Sound>,
            rules: Rules { shell: ShellRules { $rule: false, ..ShellRules::SOUND }, ..Rules::SOUND },
        }
    };
}

macro_rules! of_journal {
    ($name:literal, $rule:ident: $value:expr) => {
        Defect {
            name: $name,
            run: live::<Toy<SoundToy>, Sound>,
            rules: Rules { journal: JournalRules { $rule: $value, ..JournalRules::SOUND }, ..Rules::SOUND },
        }
    };
}

/// All of them.
pub const DEFECTS: &[Defect] = &[
    Defect {
        name: "primary-key-pipelining",
        run: live::<Toy<SoundToy>, protocols::TwoInFlight>,
        rules: Rules { journal: JournalRules { fence: Fence::PrimaryKeyOnly, ..JournalRules::SOUND }, ..Rules::SOUND },
    },
    of_journal!("primary-key-only", fence: Fence::PrimaryKeyOnly),
    of_journal!("version-only", fence: Fence::VersionOnly),
    of_journal!("claim-keeps-epoch", claim_raises_epoch: false),
    of_journal!("not-durable", durable: false),
    of_journal!("heartbeat-ignores-epoch", heartbeat_compares_epoch: false),
    of_owner!("two-in-flight", TwoInFlight),
    of_owner!("reply-before-commit", ReplyBeforeCommit),
    of_owner!("refusals-not-gated", RefusalsNotGated),
    of_owner!("reads-not-gated", ReadsNotGated),
    of_owner!("no-proof", NoProof),
    of_owner!("proof-from-answer", ProofFromAnswer),
    of_owner!("timeout-is-commit", TimeoutIsCommit),
    of_owner!("no-claim-after-unknown", NoClaimAfterUnknown),
    of_owner!("proof-ends-doubt", ProofEndsDoubt),
    of_owner!("undo-selectively", UndoSelectively),
    of_owner!("keep-over-takeover", KeepOverTakeover),
    of_owner!("stale-load", StaleLoad),
    of_owner!("warm-not-caught-up", WarmNotCaughtUp),
    of_owner!("answers-after-giving-up", AnswersAfterGivingUp),
    of_owner!("answer-of-another-batch", AnswerOfAnotherBatch),
    of_owner!("snapshot-uncommitted", SnapshotUncommitted),
    of_owner!("evict-uncommitted", EvictUncommitted),
    of_owner!("time-not-recorded", TimeNotRecorded),
    of_owner!("no-quarantine", NoQuarantine),
    of_shell!("read-then-acknowledge", unknown_stays_unknown),
    of_shell!("local-clock", database_time),
    of_shell!("clock-without-suspension", clock_counts_suspension),
    of_shell!("shared-proof-from-hearing", shared_proof_from_sending),
    of_shell!("shared-proof-hides-losses", shared_proof_tells_losses),
    of_shell!("outcome-of-first-slot", outcome_per_slot),
    of_shell!("tail-cut", whole_tail),
    of_shell!("claim-guessed", claim_needs_answer),
    of_shell!("snapshot-mislabelled", snapshot_version),
    of_shell!("append-at-any-head", resend_as_is),
    of_shell!("timers-not-looked-for", list_runs),
    of_toy!("request-ids-dropped", DropsIds),
    of_toy!("request-ids-not-in-snapshot", SnapshotDropsIds),
    of_toy!("payload-not-compared", IgnoresPayload),
    of_toy!("public-before-waitlist", PublicFirst),
    of_toy!("line-from-behind", LineFromBehind),
    of_toy!("expiry-after-payment", PaidLapses),
    of_toy!("refused-leaves-something", RefusedLeavesSomething),
    of_toy!("first-segment-only", FirstSegmentOnly),
    of_toy!("given-back-twice", GivesBackTwice),
    of_toy!("sequence-not-replayed", SequenceNotReplayed),
    of_toy!("lapsed-offer-keeps-seat", LapsedOfferKeepsSeat),
    of_toy!("line-not-in-snapshot", SnapshotDropsLine),
];
