//! Who calls: bearer tokens (JWT signed with Ed25519) and what they allow.

mod issuer;
mod verifier;

use domain::{AccountId, Channel};
use serde::{Deserialize, Serialize};

pub use issuer::{IssuerError, TokenIssuer};
pub use verifier::{TokenOptions, TokenVerifier};

/// The caller as its token names it. The gateway finds it in the extensions of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose orders these are.
    pub account: AccountId,
    /// What the caller may do beside buying.
    pub roles: Vec<Role>,
    /// Where the caller may say that a request is made.
    pub channels: Vec<Channel>,
}

impl Identity {
    /// A passenger who buys online.
    pub fn passenger(account: AccountId) -> Self {
        Self { account, roles: Vec::new(), channels: vec![Channel::Online] }
    }

    /// Whether the caller has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether the caller may use a channel.
    pub fn may_use(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }
}

/// What a caller may do beside buying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens and closes sales.
    Operator,
}

impl Role {
    /// The name in tokens and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
        }
    }
}

/// The claims of a token. Unknown roles and channels are ignored: a token may be older or newer than its reader.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// Seconds since 1970-01-01 UTC.
    iat: i64,
    /// Seconds since 1970-01-01 UTC.
    exp: i64,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    channels: Vec<String>,
}
