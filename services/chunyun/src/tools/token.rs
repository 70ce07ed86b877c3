use std::path::PathBuf;

use domain::{AccountId, Channel};
use rpc::Clock;
use rpc::identity::{Identity, Role};
use serde_json::json;

use crate::host::{Keys, KeysError};
use crate::output;

/// Makes a development token, signed with the key of a data directory
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  chunyun token alice > alice.jwt\n  chunyun token ops --operator > operator.jwt\n  \
                  chunyun token window-7 --channel window --channel online --hours 12"
)]
pub struct Token {
    /// The account: the token's subject
    account: AccountId,
    /// The account may open and close sales
    #[arg(long)]
    operator: bool,
    /// A channel the account may use; may be given several times
    #[arg(long = "channel", default_value = "online")]
    channels: Vec<Channel>,
    /// How long it is good
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=24 * 30))]
    hours: u32,
    /// The fleet's data directory
    #[arg(long, env = "CHUNYUN_DATA", default_value = "chunyun-data")]
    data: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// `chunyun token`: prints a token. The keys are made if the directory has none yet.
///
/// # Errors
/// Keys that cannot be read or made, or without a development seed.
pub fn token(command: &Token) -> Result<(), KeysError> {
    std::fs::create_dir_all(&command.data).map_err(|source| KeysError::Io { path: command.data.clone(), source })?;
    let issuer = Keys::load_or_make(&command.data.join("keys.toml"))?.issuer()?;
    let identity = Identity {
        account: command.account.clone(),
        roles: if command.operator { vec![Role::Operator] } else { Vec::new() },
        channels: command.channels.clone(),
    };
    let now = rpc::SystemClock.now();
    let token = issuer.issue(&identity, now, command.hours * 3600).map_err(|_| KeysError::NoIssuer)?;
    if command.json {
        let expires_at_ms = now.plus_millis(i64::from(command.hours) * 3_600_000).millis();
        output::document(
            &json!({ "account": command.account.as_str(), "token": token, "expires_at_ms": expires_at_ms }),
        );
    } else {
        output::line(&token);
    }
    Ok(())
}
