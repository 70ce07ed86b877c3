//! The streams of the journal: chain, versions, and every record in order.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::TryStreamExt;
use journal_encoding::v1;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::read::{Database, Row};
use crate::run::{RunAudit, RunName};
use crate::{AuditError, GRACE_MS, Invariant, Progress, Report};

/// The encoding this version reads.
const SCHEMA_VERSION: u32 = 1;

/// A confirmed hold that is still somebody's journey.
#[derive(Clone, Debug)]
pub struct ConfirmedHold {
    /// Order id or waitlist entry id.
    pub owner: u128,
    /// Leg, round or choice: the last byte of the hold id.
    pub leg: u8,
    /// Which run, by position in [`Seats::runs`].
    pub run: u32,
    /// The passengers who have not given their tickets back, one bit each.
    pub passengers: u64,
    /// The first and the last stop it was accepted for.
    pub stops: (u32, u32),
}

/// What orders are compared with.
#[derive(Debug, Default)]
pub struct Seats {
    /// The runs that were seen.
    pub runs: Vec<String>,
    /// Confirmed holds in order of owner and leg.
    pub confirmed: Vec<ConfirmedHold>,
    /// Runs of which a beginning is purged: who has a seat on them is not known here.
    pub not_followed: BTreeSet<String>,
}

/// Follows journals.
#[derive(Default)]
pub struct JournalAudit {
    /// The newest time of any database that was read.
    pub newest_ms: Option<i64>,
    seats: Seats,
    /// Holds that were open at the end of a stream: deadline, run, hold.
    open: Vec<(i64, u32, String)>,
    slots: HashSet<i64>,
}

/// The end of a slot's stream, as its head row says.
struct Head {
    slot: i64,
    version: i64,
    epoch: i64,
    tail: [u8; 16],
    chain: [u8; 32],
}

/// Where the next batch of a stream must continue.
struct Link {
    version: i64,
    epoch: i64,
    /// Unknown at a purged beginning.
    batch_id: Option<[u8; 16]>,
    chain: [u8; 32],
}

impl JournalAudit {
    /// Follows every slot of one journal database.
    pub async fn read(
        &mut self,
        database: &Database,
        report: &mut Report,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), AuditError> {
        const HEADS: &str = "SELECT slot, version, epoch, time_ms, tail, chain FROM slot_head ORDER BY slot";
        const STRAY: &str = "SELECT DISTINCT slot FROM slot_batch \
                             WHERE slot NOT IN (SELECT slot FROM slot_head) ORDER BY slot";
        let heads = database.rows(HEADS, &[]).await?;
        for row in database.rows(STRAY, &[]).await? {
            report.found(Invariant::I7, format!("slot {}", row.int(0)?), "has batches and no head");
        }
        let total = Some(heads.len() as u64);
        for (done, row) in heads.iter().enumerate() {
            progress(Progress { stage: "journal", done: done as u64, total });
            self.newest_ms = self.newest_ms.max(Some(row.int(3)?));
            let head = Head {
                slot: row.int(0)?,
                version: row.int(1)?,
                epoch: row.int(2)?,
                tail: row.array(4)?,
                chain: row.array(5)?,
            };
            if !self.slots.insert(head.slot) {
                report.found(Invariant::I7, format!("slot {}", head.slot), "stands in two journals");
            }
            self.read_slot(database, &head, report).await?;
        }
        progress(Progress { stage: "journal", done: heads.len() as u64, total });
        Ok(())
    }

    async fn read_slot(&mut self, database: &Database, head: &Head, report: &mut Report) -> Result<(), AuditError> {
        const BATCHES: &str = "SELECT version, epoch, batch_id, previous_id, chain, payload \
                               FROM slot_batch WHERE slot = $1 ORDER BY version";
        const PURGED: &str =
            "SELECT version, chain, snapshots FROM checkpoint WHERE slot = $1 AND purged ORDER BY version";
        let slot = head.slot;
        let mut link = Link { version: 0, epoch: 0, batch_id: Some([0; 16]), chain: [0; 32] };
        let mut purged = false;
        if let Some(row) = database.rows(PURGED, &[slot]).await?.last() {
            link = Link { version: row.int(0)?, batch_id: None, chain: row.array(1)?, ..link };
            purged = true;
            // A line for each run with purged batches, its name first.
            let runs = row.text(2)?.lines().filter_map(|line| line.split(' ').next());
            self.seats.not_followed.extend(runs.map(str::to_owned));
        }
        let mut runs = HashMap::new();
        let mut batches = database.stream(BATCHES, &[slot]);
        let mut any = false;
        while let Some(row) = batches.try_next().await? {
            any = true;
            report.counts.batches += 1;
            link = follow(slot, &link, &row, report)?;
            let place = format!("slot {slot} version {}", link.version);
            match v1::Batch::decode(row.bytes(5)?) {
                Ok(batch) if batch.schema_version == SCHEMA_VERSION => {
                    for record in &batch.records {
                        self.record(slot, purged, &mut runs, record, &place, report);
                    }
                }
                Ok(batch) => {
                    let what =
                        format!("has schema version {}, this audit reads {SCHEMA_VERSION}", batch.schema_version);
                    report.found(Invariant::I7, place, what);
                }
                Err(error) => report.found(Invariant::I7, place, format!("cannot be decoded: {error}")),
            }
        }
        report.counts.slots += u64::from(any);
        check_head(head, &link, report);
        self.end_of_slot(runs, report);
        Ok(())
    }

    fn record(
        &mut self,
        slot: i64,
        purged: bool,
        runs: &mut HashMap<RunName, RunAudit>,
        record: &v1::Record,
        place: &str,
        report: &mut Report,
    ) {
        report.counts.records += 1;
        report.counts.events += record.events.len() as u64;
        let Some(name) = record.run.as_ref().map(RunName::of) else {
            report.found(Invariant::I7, place, "a record names no run");
            return;
        };
        if name.slot() != slot {
            report.found(Invariant::I7, place, format!("{name} belongs to slot {}", name.slot()));
        }
        if record.events.is_empty() {
            report.found(Invariant::I10, place, format!("a command on {name} is recorded and changed nothing"));
        }
        let run = runs.entry(name).or_insert_with_key(|name| RunAudit::new(name.clone(), purged));
        run.record(record, place, report);
    }

    /// Keeps what is needed after the slot: its confirmed holds, and what was open.
    fn end_of_slot(&mut self, runs: HashMap<RunName, RunAudit>, report: &mut Report) {
        for (name, run) in runs {
            if !run.is_followed() {
                self.seats.not_followed.insert(name.to_string());
                continue;
            }
            report.counts.runs += 1;
            let index = self.seats.runs.len() as u32;
            self.seats.runs.push(name.to_string());
            for (id, passengers, stops) in run.confirmed() {
                self.seats.confirmed.push(ConfirmedHold {
                    owner: id.owner,
                    leg: id.leg,
                    run: index,
                    passengers,
                    stops,
                });
            }
            self.open.extend(run.open().map(|(deadline, id)| (deadline, index, id.to_string())));
        }
    }

    /// Judges what was open by a moment, and gives what orders are compared with.
    pub fn finish(mut self, now_ms: Option<i64>, report: &mut Report) -> Seats {
        let late = |deadline: i64| now_ms.is_some_and(|now| deadline + GRACE_MS < now);
        for (deadline, run, hold) in self.open.drain(..).filter(|(deadline, ..)| late(*deadline)) {
            let what = format!("hold {hold} is open past its deadline of {deadline} ms");
            report.found(Invariant::I3, &self.seats.runs[run as usize], what);
        }
        report.counts.runs_not_followed = self.seats.not_followed.len() as u64;
        self.seats.confirmed.sort_unstable_by_key(|hold| (hold.owner, hold.leg));
        self.seats
    }
}

/// Checks that a batch continues its stream.
fn follow(slot: i64, last: &Link, row: &Row, report: &mut Report) -> Result<Link, AuditError> {
    let (version, epoch) = (row.int(0)?, row.int(1)?);
    let (batch_id, previous_id): ([u8; 16], [u8; 16]) = (row.array(2)?, row.array(3)?);
    let chain: [u8; 32] = row.array(4)?;
    let place = || format!("slot {slot} version {version}");
    if version != last.version + 1 {
        report.found(Invariant::I7, place(), format!("follows version {}", last.version));
    } else if last.batch_id.is_some_and(|last| last != previous_id) {
        report.found(Invariant::I7, place(), "names another batch as the one before it");
    } else if chain_hash(&last.chain, slot, version, &batch_id, epoch, row.bytes(5)?) != chain {
        // Only where the batch before it is there: a gap breaks the chain without a second fault.
        report.found(Invariant::I7, place(), "breaks the hash chain");
    }
    if epoch < last.epoch {
        report.found(Invariant::I7, place(), format!("has epoch {epoch} after epoch {}", last.epoch));
    }
    Ok(Link { version, epoch, batch_id: Some(batch_id), chain })
}

/// SHA-256 of the last hash, slot (2 bytes), version (8), batch id (16), epoch (8) and payload, integers big-endian.
fn chain_hash(last: &[u8; 32], slot: i64, version: i64, batch_id: &[u8; 16], epoch: i64, payload: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(last);
    hash.update((slot as u16).to_be_bytes());
    hash.update(version.to_be_bytes());
    hash.update(batch_id);
    hash.update(epoch.to_be_bytes());
    hash.update(payload);
    hash.finalize().into()
}

fn check_head(head: &Head, last: &Link, report: &mut Report) {
    let place = format!("slot {} head", head.slot);
    if head.version != last.version {
        report.found(
            Invariant::I7,
            place,
            format!("says version {}, the last batch is {}", head.version, last.version),
        );
        return;
    }
    if last.batch_id.is_some_and(|last| last != head.tail) {
        report.found(Invariant::I7, &place, "names another batch as the last");
    }
    if head.chain != last.chain {
        report.found(Invariant::I7, &place, "has another chain hash than the last batch");
    }
    if head.epoch < last.epoch {
        report.found(Invariant::I7, &place, format!("has epoch {} below the last batch's {}", head.epoch, last.epoch));
    }
}
