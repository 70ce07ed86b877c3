/// The bounds of one owner. Every queue, batch and cache has its number here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records in one slot's batch.
    pub batch_records_max: usize,
    /// Bytes in one slot's batch; the last record may go past it.
    pub batch_bytes_max: usize,
    /// Answers that wait for one slot's batch.
    pub batch_replies_max: usize,
    /// Append statements under way at once.
    pub appends_in_flight_max: usize,
    /// How long an append statement is alone under way. What comes meanwhile travels together in the next one, since a
    /// statement costs far more than what is in it; one that takes longer holds up nobody but those who wait for it.
    pub append_alone_ms: u64,
    /// Requests that wait to be executed, over all slots.
    pub queue_requests_max: usize,
    /// Runs in memory; more only while they have uncommitted state or waiting requests.
    pub cache_runs_max: usize,
    /// Runs being loaded at once.
    pub loads_in_flight_max: usize,
    /// Records of a run between two checks of everything it derives from its holds.
    pub check_every_records: u32,
    /// Records of a run after which its snapshot is written.
    pub snapshot_records: u32,
    /// Things of a run that checks, and snapshots, may each go through for every record of it: a run that lists more than
    /// either's number of records allows is checked, or written, more seldom. What a record costs does not grow with its run.
    pub upkeep_things_per_record: usize,
    /// Records of a run after which its snapshot is written when it leaves memory. So many are replayed within a millisecond,
    /// while a snapshot takes a commit, and that often when its slot moves and everybody waits for commits.
    pub snapshot_evict_records: u32,
    /// How long an owner that is not known to be gone gets to give a slot up before it is taken from it.
    pub takeover_wait_ms: u64,
    /// Runs kept aside for slots that may soon be owned.
    pub warm_runs_max: usize,
    /// Batches read at most to bring the runs kept aside for a slot up to date; with more to read they are dropped.
    pub catch_up_batches_max: usize,
    /// The least time between two claims of one slot.
    pub claim_interval_ms: u64,
    /// How much longer than that it may be, drawn anew each time so that owners do not meet.
    pub claim_jitter_ms: u64,
    /// Between two heartbeats.
    pub heartbeat_every_ms: u64,
    /// How long a commit or heartbeat proves ownership. At most 1 s: what a refusal may be late after a takeover.
    pub proof_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_records_max: 4_096,
            batch_bytes_max: 1 << 20,
            batch_replies_max: 16_384,
            appends_in_flight_max: 2,
            append_alone_ms: 10,
            queue_requests_max: 16_384,
            cache_runs_max: 4_096,
            loads_in_flight_max: 16,
            check_every_records: 256,
            snapshot_records: 2_000,
            upkeep_things_per_record: 1,
            snapshot_evict_records: 1_000,
            takeover_wait_ms: 1_500,
            warm_runs_max: 2_048,
            catch_up_batches_max: 1_000,
            claim_interval_ms: 1_000,
            claim_jitter_ms: 500,
            heartbeat_every_ms: 250,
            proof_ms: 1_000,
        }
    }
}
