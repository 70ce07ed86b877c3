/// The rules an owner keeps, one constant each; the defaults are the sound ones.
///
/// They are constants of a type so that the seeded simulation can show what goes wrong without each of them. A product
/// names [`Sound`], and there is no value, setting or environment that makes an owner keep fewer rules.
pub trait Protocol: 'static {
    /// Commits of one slot that may be under way at once.
    const COMMITS_IN_FLIGHT: usize = 1;
    /// An acceptance waits until its batch is durable.
    const ACCEPTANCES_WAIT: bool = true;
    /// A refusal waits for the batches it rests on.
    const REFUSALS_WAIT: bool = true;
    /// A read waits for the batches it rests on.
    const READS_WAIT: bool = true;
    /// Refusals and reads leave only within the proof of ownership.
    const PROOF_NEEDED: bool = true;
    /// The proof of ownership counts from when the question was sent, not from when its answer came.
    const PROOF_FROM_SENDING: bool = true;
    /// A commit whose answer is lost is not taken for committed.
    const UNKNOWN_IS_NOT_COMMITTED: bool = true;
    /// After a commit whose answer is lost the slot is claimed again before anything is answered.
    const CLAIM_AFTER_UNKNOWN: bool = true;
    /// After a doubt every run with uncommitted state is dropped, those of the batch not yet sent too.
    const DROP_ALL_UNCOMMITTED: bool = true;
    /// A proof of ownership does not take the place of a claim after a doubt.
    const PROOF_IS_NO_CLAIM: bool = true;
    /// Runs kept over a claim are dropped when the stream went on without this owner.
    const DROP_WHEN_HEAD_MOVED: bool = true;
    /// Runs kept aside for a slot are brought up to date before they answer.
    const CATCH_UP_WARM: bool = true;
    /// A slot that was given up is answered for no more.
    const RELEASE_FORGETS: bool = true;
    /// A run that was loaded before a claim is loaded again.
    const MATCH_LOADS: bool = true;
    /// An append's answer is matched to the batch it names.
    const MATCH_BATCHES: bool = true;
    /// Only committed state is written to snapshots.
    const SNAPSHOT_COMMITTED: bool = true;
    /// Only committed state is evicted.
    const EVICT_COMMITTED: bool = true;
    /// Time that passed is recorded.
    const RECORD_TIME: bool = true;
    /// A run whose invariant breaks is taken out of service, without the decision that broke it.
    const QUARANTINE: bool = true;
}

/// The protocol as specified.
#[derive(Clone, Copy, Debug)]
pub struct Sound;

impl Protocol for Sound {}
