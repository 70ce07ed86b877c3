//! Group commit: whatever was submitted while the last commit ran is committed together, each member by itself.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::{Connection, Database, Executor, Pool, Postgres, Sqlite, Transaction};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::at_hand::{AtHand, Lent};
use crate::lot::{Lot, LotWriter};

/// Commits many small independent transactions together, on one connection, by one task.
///
/// No timer: a lone transaction is committed at once, and while it is, others gather for the next commit. A member that
/// returns an error is rolled back alone. Members run one after another, so keep them to a few statements, and never
/// wait inside one for anything but the database. Constraints must not be deferred: they would fail the whole group.
///
/// Dropping the writer lets what was submitted finish; [`GroupWriter::shutdown`] also waits for that.
#[derive(Debug)]
pub struct GroupWriter<DB: GroupBackend> {
    queue: mpsc::Sender<Box<dyn Member<DB>>>,
    close: Arc<Notify>,
    /// Taken out by the shutdown that joins it.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Bounds of a [`GroupWriter`].
#[derive(Clone, Debug)]
pub struct GroupWriterOptions {
    /// How many members may wait for a commit; more wait in [`GroupWriter::submit`].
    pub queue_members_max: usize,
    /// The most members of one commit.
    pub group_members_max: usize,
    /// How long a group may take from its first statement to the answer to its commit, in ms.
    pub group_timeout_ms: u64,
}

impl Default for GroupWriterOptions {
    fn default() -> Self {
        Self { queue_members_max: 1_024, group_members_max: 256, group_timeout_ms: 5_000 }
    }
}

/// Where the statements of a member run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In a transaction of its group.
    InGroup,
    /// In none: it begins and commits by itself.
    Alone,
}

/// Why a submitted transaction gave no result.
#[derive(Debug, thiserror::Error)]
pub enum GroupError<E> {
    /// The work itself returned this error; it was rolled back, the rest of its group was not.
    #[error(transparent)]
    Refused(E),
    /// The group failed before its commit: certainly nothing was written. Safe to submit again.
    #[error("the transaction was not written")]
    Aborted(#[source] Arc<sqlx::Error>),
    /// The commit was sent and not answered clearly: the transaction may or may not be durable.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] Arc<sqlx::Error>),
    /// The work panicked; it was rolled back.
    #[error("the transaction's code panicked")]
    Panicked,
    /// The writer is shut down.
    #[error("the writer is shut down")]
    Closed,
}

impl<DB: GroupBackend> GroupWriter<DB> {
    /// Starts the writer's task on the current runtime. It takes a connection of the pool for as long as there is work.
    pub fn start(pool: Pool<DB>, options: GroupWriterOptions) -> Self {
        let (queue, members) = mpsc::channel(options.queue_members_max);
        let close = Arc::new(Notify::new());
        let task = tokio::spawn(run(pool, options, members, close.clone()));
        Self { queue, close, task: Mutex::new(Some(task)) }
    }

    /// Runs `work` in the next group and returns its value once the commit is durable. The work is some statements on the
    /// group's connection; it returns `Err` to roll itself back.
    ///
    /// Waits while the queue is full. A caller that stops waiting before its group began leaves nothing behind; one that
    /// stops later does not learn the outcome.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn submit<T, E, F>(&self, work: F) -> Result<T, GroupError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'c> FnOnce(&'c mut DB::Connection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        self.enter(false, move |connection: &mut DB::Connection, _| work(connection)).await
    }

    /// As [`Self::submit`], for work that can be a transaction by itself. With nobody else in its group it is told that it
    /// stands [`Standing::Alone`]: it then begins and commits by itself, so that everything can travel as one command.
    ///
    /// # Errors
    /// See [`GroupError`]. An error of work that stood alone does not tell whether it was written.
    pub async fn submit_whole<T, E, F>(&self, work: F) -> Result<T, GroupError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'c> FnOnce(&'c mut DB::Connection, Standing) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        self.enter(true, work).await
    }

    async fn enter<T, E, F>(&self, whole: bool, work: F) -> Result<T, GroupError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'c> FnOnce(&'c mut DB::Connection, Standing) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let member = Submitted { whole, work: Some(work), result: None, answer };
        self.queue.send(Box::new(member)).await.map_err(|_| GroupError::Closed)?;
        answered.await.unwrap_or(Err(GroupError::Closed))
    }

    /// A way in for work of one kind, whose items are done together; see [`Lot`].
    pub fn lot<L: Lot<DB>>(&self, lot: L, items_max: usize) -> LotWriter<DB, L> {
        LotWriter::new(lot, items_max, self.queue.clone())
    }

    /// Takes no more work, commits what was submitted, and waits for the task to end.
    pub async fn shutdown(&self) {
        self.close.notify_one();
        // The lock is there to be held across this wait: a second shutdown returns when the first has ended.
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the group writer's task failed");
        }
    }
}

/// What differs between the engines in a group commit.
pub trait GroupBackend: Database {
    /// The statement that begins a group: SQLite takes the write lock at once.
    const BEGIN: &'static str;

    /// Runs transaction control statements.
    fn control<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> BoxFuture<'c, Result<(), sqlx::Error>>;
}

impl GroupBackend for Sqlite {
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    fn control<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move { connection.execute(sqlx::raw_sql(sql)).await.map(drop) })
    }
}

impl GroupBackend for Postgres {
    const BEGIN: &'static str = "BEGIN";

    fn control<'c>(connection: &'c mut Self::Connection, sql: &'static str) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move { connection.execute(sqlx::raw_sql(sql)).await.map(drop) })
    }
}

/// A transaction in the queue, its types erased.
pub(crate) trait Member<DB: Database>: Send {
    /// Whether its caller has stopped waiting.
    fn is_abandoned(&self) -> bool;
    /// Whether it can stand alone.
    fn is_whole(&self) -> bool {
        false
    }
    /// Runs the work and keeps its result; says whether its writes are to be kept. An error ends the whole group.
    fn run<'a>(
        &'a mut self,
        connection: &'a mut DB::Connection,
        standing: Standing,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>>;
    /// Answers the caller once the group's fate is known.
    fn answer(self: Box<Self>, fate: &Fate);
}

struct Submitted<F, T, E> {
    whole: bool,
    work: Option<F>,
    result: Option<Result<T, GroupError<E>>>,
    answer: oneshot::Sender<Result<T, GroupError<E>>>,
}

/// What became of a group.
pub(crate) enum Fate {
    Committed,
    Aborted(Arc<sqlx::Error>),
    Unknown(Arc<sqlx::Error>),
}

impl Fate {
    /// What a member with this result of its own is told.
    pub(crate) fn tell<T, E>(&self, result: Option<Result<T, GroupError<E>>>) -> Result<T, GroupError<E>> {
        match (self, result) {
            // A refusal stands whatever became of the rest.
            (_, Some(Err(refused))) => Err(refused),
            (Self::Committed, Some(done)) => done,
            (Self::Aborted(error), _) => Err(GroupError::Aborted(error.clone())),
            (Self::Unknown(error), _) => Err(GroupError::Unknown(error.clone())),
            // Only an abandoned member is skipped in a group that commits; nobody hears this.
            (Self::Committed, None) => Err(GroupError::Closed),
        }
    }
}

impl<DB, F, T, E> Member<DB> for Submitted<F, T, E>
where
    DB: Database,
    F: for<'c> FnOnce(&'c mut DB::Connection, Standing) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn is_whole(&self) -> bool {
        self.whole
    }

    fn run<'a>(
        &'a mut self,
        connection: &'a mut DB::Connection,
        standing: Standing,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return Ok(false) };
            let result = catch(async { work(connection, standing).await }).await;
            let keep = result.is_ok();
            self.result = Some(result);
            Ok(keep)
        })
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        // The caller may have stopped waiting.
        let _ = self.answer.send(fate.tell(self.result));
    }
}

/// Runs a member's code. Its panic must not end the writer: its statements are rolled back like any refusal.
pub(crate) async fn catch<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, GroupError<E>> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result.map_err(GroupError::Refused),
        Err(panic) => {
            tracing::error!(panic = panic_text(&*panic), "a transaction's code panicked");
            Err(GroupError::Panicked)
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

async fn run<DB: GroupBackend>(
    pool: Pool<DB>,
    options: GroupWriterOptions,
    mut queue: mpsc::Receiver<Box<dyn Member<DB>>>,
    close: Arc<Notify>,
) {
    let mut group = Vec::with_capacity(options.group_members_max);
    let mut at_hand = AtHand::new(pool);
    loop {
        let received = tokio::select! {
            // Every branch may be dropped: what was not received stays in the queue.
            received = queue.recv_many(&mut group, options.group_members_max) => received,
            () = close.notified() => {
                queue.close();
                continue;
            }
            () = at_hand.give_back_when_idle() => continue,
        };
        if received == 0 {
            return;
        }
        group.retain(|member| !member.is_abandoned());
        if group.is_empty() {
            continue;
        }
        let deadline = Instant::now() + Duration::from_millis(options.group_timeout_ms);
        let fate = match at_hand.take().await {
            Ok(lent) => commit(lent, &mut group, deadline, &mut at_hand).await,
            Err(error) => Fate::Aborted(Arc::new(error)),
        };
        for member in group.drain(..) {
            member.answer(&fate);
        }
    }
}

/// Commits one group, and keeps the connection at hand. One that failed is closed instead: its state is unknown, and closing it
/// rolls back whatever was not committed.
async fn commit<DB: GroupBackend>(
    mut lent: Lent<DB>,
    group: &mut [Box<dyn Member<DB>>],
    deadline: Instant,
    at_hand: &mut AtHand<DB>,
) -> Fate {
    let fate = match group {
        [alone] if alone.is_whole() => commit_alone(&mut *lent.connection, alone, deadline).await,
        group => execute_and_commit(&mut *lent.connection, group, deadline).await,
    };
    if matches!(fate, Fate::Committed) {
        at_hand.keep(lent);
    } else if let Err(error) = lent.connection.detach().close_hard().await {
        tracing::debug!(%error, "a failed connection did not close");
    }
    fate
}

/// Lets a member that can stand alone do everything by itself.
async fn commit_alone<DB: GroupBackend>(
    connection: &mut DB::Connection,
    member: &mut Box<dyn Member<DB>>,
    deadline: Instant,
) -> Fate {
    match timeout_at(deadline, member.run(connection, Standing::Alone)).await {
        Ok(Ok(true)) => Fate::Committed,
        // Its caller is told its own error. The connection may stand in the middle of its transaction.
        Ok(Ok(false)) => Fate::Unknown(Arc::new(sqlx::Error::Protocol("work that stood alone failed".to_owned()))),
        Ok(Err(error)) => Fate::Unknown(Arc::new(error)),
        Err(_) => Fate::Unknown(Arc::new(timed_out())),
    }
}

async fn execute_and_commit<DB: GroupBackend>(
    connection: &mut DB::Connection,
    group: &mut [Box<dyn Member<DB>>],
    deadline: Instant,
) -> Fate {
    let (transaction, any_kept) = match timeout_at(deadline, execute(connection, group)).await {
        Ok(Ok(executed)) => executed,
        Ok(Err(error)) => return Fate::Aborted(Arc::new(error)),
        Err(_) => return Fate::Aborted(Arc::new(timed_out())),
    };
    let end = async { if any_kept { transaction.commit().await } else { transaction.rollback().await } };
    match timeout_at(deadline, end).await {
        Ok(Ok(())) => Fate::Committed,
        Ok(Err(error)) => Fate::Unknown(Arc::new(error)),
        Err(_) => Fate::Unknown(Arc::new(timed_out())),
    }
}

/// Runs every member, each in a savepoint of its own unless it is alone; says whether there is anything to commit. One
/// round trip between members: the last one's end and the next one's savepoint travel together.
async fn execute<'c, DB: GroupBackend>(
    connection: &'c mut DB::Connection,
    group: &mut [Box<dyn Member<DB>>],
) -> Result<(Transaction<'c, DB>, bool), sqlx::Error> {
    const END: [&str; 2] = ["ROLLBACK TO SAVEPOINT member; RELEASE SAVEPOINT member", "RELEASE SAVEPOINT member"];
    const NEXT: [&str; 2] = [
        "ROLLBACK TO SAVEPOINT member; RELEASE SAVEPOINT member; SAVEPOINT member",
        "RELEASE SAVEPOINT member; SAVEPOINT member",
    ];
    let mut transaction = connection.begin_with(DB::BEGIN).await?;
    if let [alone] = group {
        let keep = alone.run(&mut transaction, Standing::InGroup).await?;
        return Ok((transaction, keep));
    }
    DB::control(&mut transaction, "SAVEPOINT member").await?;
    let last = group.len() - 1;
    let mut any_kept = false;
    for (index, member) in group.iter_mut().enumerate() {
        let keep = member.run(&mut transaction, Standing::InGroup).await?;
        any_kept |= keep;
        let control = if index == last { END } else { NEXT };
        DB::control(&mut transaction, control[usize::from(keep)]).await?;
    }
    Ok((transaction, any_kept))
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the group took too long"))
}
