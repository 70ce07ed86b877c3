use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use privacy::BadKeyRing;
use serde_json::json;
use storage::{Database, DatabaseUrl, OpenOptions};

use crate::host::{DataDir, Keys, KeysError};
use crate::output;

/// Changes the key that passengers' names and documents are sealed with
#[derive(Debug, clap::Subcommand)]
#[command(
    after_help = "In this order: `keys rotate`, restart the fleet so that all of it knows the new key, `keys reseal`, \
                        then take the old key out of the file."
)]
pub enum KeysCommand {
    /// Adds a new key to a key file and makes it the current one; older ones still open what they sealed
    Rotate {
        /// The key file's directory
        #[arg(long, env = "CHUNYUN_DATA", default_value = "chunyun-data")]
        data: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Seals every passenger of the orders with the current key; the fleet may run meanwhile
    Reseal(Reseal),
}

/// What is sealed anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  chunyun keys reseal --data ./chunyun-data\n  \
                        CHUNYUN_STORAGE__ORDER=postgres://... chunyun keys reseal --data /etc/chunyun")]
pub struct Reseal {
    /// The directory of the key file, and of the order database of an embedded fleet
    #[arg(long, env = "CHUNYUN_DATA", default_value = "chunyun-data")]
    data: PathBuf,
    /// The order database, as sqlite:PATH or postgres://...
    #[arg(long, env = "CHUNYUN_STORAGE__ORDER", hide_env_values = true)]
    order: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Why keys could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The key file.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Its keys make no vault.
    #[error(transparent)]
    Vault(#[from] BadKeyRing),
    /// An address that is none.
    #[error("the order database's address is none")]
    Address,
    /// The order database.
    #[error("the order database cannot be opened")]
    Open(#[from] storage::OpenError),
    /// A passenger, or the database.
    #[error(transparent)]
    Reseal(#[from] order::ResealError),
}

/// `chunyun keys`.
///
/// # Errors
/// See [`RotationError`].
pub async fn keys(command: &KeysCommand) -> Result<(), RotationError> {
    match command {
        KeysCommand::Rotate { data, json } => rotate(data, *json),
        KeysCommand::Reseal(command) => reseal(command).await,
    }
}

fn rotate(data: &Path, as_json: bool) -> Result<(), RotationError> {
    let path = DataDir::at(data)?.keys_file();
    let id = Keys::rotate(&path)?;
    if as_json {
        output::document(&json!({ "current": id }));
    } else {
        output::line(&format!("key {id} is current; restart the fleet, then `chunyun keys reseal`"));
    }
    Ok(())
}

async fn reseal(command: &Reseal) -> Result<(), RotationError> {
    let data = DataDir::at(&command.data)?;
    let vault = data.keys()?.privacy.document_vault()?;
    let url: DatabaseUrl = match &command.order {
        Some(text) => text.parse().map_err(|_| RotationError::Address)?,
        None => data.database("order"),
    };
    let database = Database::open(&url, &OpenOptions::default()).await?;
    let store = order::open_store(&database, &order::Options::default()).await?;
    let style = ProgressStyle::with_template("sealing anew {bar:40} {pos}/{len} tickets")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let report = order::reseal(&*store, &vault, |report| {
        bar.set_length(report.total);
        bar.set_position(report.done);
    })
    .await;
    bar.finish_and_clear();
    let report = report?;
    if command.json {
        output::document(&json!({ "tickets": report.done, "resealed": report.resealed }));
    } else {
        output::line(&format!("{} tickets, {} of them sealed anew", report.done, report.resealed));
    }
    Ok(())
}
