//! The wrong protocols, one rule broken in each. They exist in this crate alone.

use ownership::Protocol;

macro_rules! wrong {
    ($($(#[$doc:meta])* $name:ident { $rule:ident: $type:ty = $value:expr })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Protocol for $name {
                const $rule: $type = $value;
            }
        )*
    };
}

wrong! {
    /// Sends the next batch before the last one is answered.
    TwoInFlight { COMMITS_IN_FLIGHT: usize = 2 }
    /// Answers acceptances before they are durable.
    ReplyBeforeCommit { ACCEPTANCES_WAIT: bool = false }
    /// Answers refusals before what they rest on is durable.
    RefusalsNotGated { REFUSALS_WAIT: bool = false }
    /// Answers reads before what they show is durable.
    ReadsNotGated { READS_WAIT: bool = false }
    /// Answers refusals and reads without a proof of ownership.
    NoProof { PROOF_NEEDED: bool = false }
    /// Counts the proof from when the answer came.
    ProofFromAnswer { PROOF_FROM_SENDING: bool = false }
    /// Takes a time-out for a commit.
    TimeoutIsCommit { UNKNOWN_IS_NOT_COMMITTED: bool = false }
    /// Goes on after a commit of unknown outcome without claiming anew.
    NoClaimAfterUnknown { CLAIM_AFTER_UNKNOWN: bool = false }
    /// Undoes the batch in doubt and keeps what was decided after it.
    UndoSelectively { DROP_ALL_UNCOMMITTED: bool = false }
    /// Takes a proof of ownership for the end of a doubt.
    ProofEndsDoubt { PROOF_IS_NO_CLAIM: bool = false }
    /// Keeps runs over a claim though another owner has written since.
    KeepOverTakeover { DROP_WHEN_HEAD_MOVED: bool = false }
    /// Answers from runs kept aside without bringing them up to date.
    WarmNotCaughtUp { CATCH_UP_WARM: bool = false }
    /// Goes on answering for a slot after it was given up.
    AnswersAfterGivingUp { RELEASE_FORGETS: bool = false }
    /// Takes in a run that was loaded before a claim.
    StaleLoad { MATCH_LOADS: bool = false }
    /// Takes a late answer for that of another batch.
    AnswerOfAnotherBatch { MATCH_BATCHES: bool = false }
    /// Writes snapshots of what is not durable.
    SnapshotUncommitted { SNAPSHOT_COMMITTED: bool = false }
    /// Forgets what is not durable yet.
    EvictUncommitted { EVICT_COMMITTED: bool = false }
    /// Lets time pass without writing it down.
    TimeNotRecorded { RECORD_TIME: bool = false }
    /// Goes on with a run whose invariant broke.
    NoQuarantine { QUARANTINE: bool = false }
}
