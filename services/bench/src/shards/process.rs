//! A shard in a process of its own: this program again, told by its arguments which shard it is.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use inventory_shard::{Departure, Dependencies, Options, build};
use journal::ClusterConfig;
use serde_json::{Value, json};
use shard_client::{FixedList, ListedShard};
use storage::DatabaseUrl;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::BenchError;
use crate::cpu;
use crate::edge::serve;
use crate::observed_journal::{Commits, ObservedJournal};

/// How long a shard may take to claim its slots.
const START_MAX: Duration = Duration::from_secs(30);

/// A shard of the bench as its own process is told to be.
#[derive(Clone, Debug)]
pub struct ShardRole {
    /// The journal's database.
    pub journal: String,
    /// Which shard, from 0.
    pub number: u16,
    /// How many there are.
    pub shards: u16,
}

/// The shards of a fleet by name.
pub(super) fn list(shards: u16, address: impl Fn(u16) -> Option<String>) -> Vec<ListedShard> {
    let shard =
        |number| ListedShard { name: format!("inventory-shard-{number}"), address: address(number), weight: 100 };
    (0..shards).map(shard).collect()
}

/// Is a shard, in the binary's own shape: says where on its first line, and answers each line of its input with the commits
/// since the last. Ends with its input.
///
/// # Errors
/// The journal does not answer, or the shard cannot be built.
pub async fn be_shard(role: ShardRole, mut say: impl FnMut(&str)) -> Result<(), BenchError> {
    let url: DatabaseUrl = role.journal.parse().map_err(BenchError::because("an address of Postgres that is none"))?;
    let opened = journal::open(&[ClusterConfig::whole(url)]).await;
    let journal =
        Arc::new(ObservedJournal::new(opened.map_err(BenchError::because("the journal could not be opened"))?));
    let list = list(role.shards, |_| None);
    let options = Options { shard: list[usize::from(role.number)].name.clone(), ..Options::default() };
    let discovery = FixedList::new(&list).map_err(BenchError::because("the shards' names"))?;
    let dependencies = Dependencies {
        journal: journal.clone(),
        discovery: Arc::new(discovery),
        address: None,
        departure: Departure::new(),
    };
    let shard = build(options, dependencies).map_err(BenchError::because("the shard could not be built"))?;
    let (server, address) = serve(shard).await?;
    say(&address);
    let mut asked: Lines<BufReader<Stdin>> = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = asked.next_line().await {
        say(&write(&journal.take()).to_string());
    }
    server.stop().await;
    Ok(())
}

fn write(commits: &Commits) -> Value {
    let micros = commits.micros.iter_recorded();
    let micros: Vec<_> = micros.map(|it| json!([it.value_iterated_to(), it.count_at_value()])).collect();
    json!({"slots": commits.slots, "micros": micros})
}

/// Adds what a shard wrote to a sum; `None` where it is not what a shard writes.
fn add(text: &str, sum: &mut Commits) -> Option<()> {
    let written: Value = serde_json::from_str(text).ok()?;
    sum.slots += written["slots"].as_u64()?;
    for pair in written["micros"].as_array()? {
        sum.micros.saturating_record_n(pair[0].as_u64()?, pair[1].as_u64()?);
    }
    Some(())
}

/// A shard's process as its starter holds it. It is killed when it is dropped.
pub(super) struct ShardProcess {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub address: String,
}

impl ShardProcess {
    pub async fn start(program: &Path, role: &ShardRole) -> Result<Self, BenchError> {
        let mut command = Command::new(program);
        let (number, shards) = (role.number.to_string(), role.shards.to_string());
        command.args(["be-shard", "--number", &number, "--shards", &shards]).env("BENCH_JOURNAL", &role.journal);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.map_err(BenchError::because("a shard's process could not be started"))?;
        let ends = child.stdin.take().zip(child.stdout.take());
        let (input, output) = ends.ok_or_else(|| BenchError::new("a process without input or output"))?;
        let mut output = BufReader::new(output).lines();
        let said = tokio::time::timeout(START_MAX, output.next_line()).await;
        let address = said.ok().and_then(Result::ok).flatten();
        let address = address.ok_or_else(|| BenchError::new("a shard's process did not become ready"))?;
        Ok(Self { child, input, output, address })
    }

    /// Its commits since the last call.
    pub async fn commits(&mut self, sum: &mut Commits) -> Result<(), BenchError> {
        let gone = BenchError::because::<std::io::Error>;
        self.input.write_all(b"\n").await.map_err(gone("a shard's process is gone"))?;
        let line = self.output.next_line().await.map_err(gone("a shard's process is gone"))?;
        let added = line.and_then(|line| add(&line, sum));
        added.ok_or_else(|| BenchError::new("a shard's process told no commits"))
    }

    /// Processor time used up to now.
    pub fn cpu(&self) -> Duration {
        self.child.id().map_or(Duration::ZERO, cpu::used_by)
    }

    /// Ends its input, and with it the process.
    pub async fn stop(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        // One that does not end by itself is killed by its drop.
        let _ = tokio::time::timeout(START_MAX, child.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_read_as_they_were_written() {
        let mut one = Commits::none();
        one.slots = 7;
        one.micros.saturating_record_n(900, 3);
        one.micros.saturating_record(40_000);
        let mut sum = Commits::none();
        for _ in 0..2 {
            add(&write(&one).to_string(), &mut sum).unwrap();
        }
        assert_eq!((sum.slots, sum.micros.len()), (14, 8));
        assert_eq!(sum.micros.value_at_quantile(0.5), one.micros.value_at_quantile(0.5));
        assert!(add("{}", &mut sum).is_none());
    }
}
