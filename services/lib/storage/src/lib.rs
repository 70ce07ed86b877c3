//! Opens Postgres and SQLite, migrates them, and commits transactions in groups.
//!
//! A service opens one [`Database`] by its [`DatabaseUrl`], runs its migrations, and writes through a [`GroupWriter`]:
//! many small independent transactions share one commit, which is what bounds a service's throughput (a commit waits
//! for the disk, whatever is in it).
//!
//! ```
//! use sqlx::Sqlite;
//! use storage::{Database, GroupWriter, GroupWriterOptions, OpenOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let url = format!("sqlite:{}", folder.path().join("order.db").display());
//! let Database::Sqlite(database) = Database::open(&url.parse()?, &OpenOptions::default()).await? else {
//!     unreachable!("the URL says sqlite");
//! };
//! sqlx::raw_sql("CREATE TABLE ticket (id INTEGER PRIMARY KEY, seat TEXT NOT NULL)").execute(database.writer()).await?;
//!
//! let writer = GroupWriter::<Sqlite>::start(database.writer().clone(), GroupWriterOptions::default());
//! let seat = "03A".to_owned();
//! let id = writer
//!     .submit(|connection| {
//!         Box::pin(async move {
//!             sqlx::query_scalar::<_, i64>("INSERT INTO ticket (seat) VALUES (?) RETURNING id")
//!                 .bind(seat)
//!                 .fetch_one(connection)
//!                 .await
//!         })
//!     })
//!     .await?; // returns when the commit that holds it is durable
//! assert_eq!(id, 1);
//! writer.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod at_hand;
mod group;
mod lot;
mod open;
mod read;
mod url;

pub use group::{GroupBackend, GroupError, GroupWriter, GroupWriterOptions, Standing};
pub use lot::{Lot, LotOutcomes, LotWriter};
pub use open::{Database, OpenError, OpenOptions, SqliteDatabase};
pub use read::LotReader;
pub use url::{DatabaseUrl, InvalidUrl};
