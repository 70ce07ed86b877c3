use std::fmt;
use std::sync::Arc;

use domain::{AccountId, Channel};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use moka::sync::Cache;

use super::{Claims, Identity, Role};
use crate::{Clock, Failure, reason};

/// Verified tokens remembered at once: a signature takes longer to check than a sold-out answer takes to give.
const VERIFIED_TOKENS_MAX: u64 = 65_536;

/// A token may come this long before it was issued by our clock.
const CLOCK_SKEW_MAX_MS: i64 = 60_000;

/// Which tokens are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    /// The `iss` that tokens must carry.
    pub issuer: String,
    /// The `aud` that tokens must carry.
    pub audience: String,
    /// Ed25519 public keys of the issuer; several while one replaces another.
    pub public_keys: Vec<[u8; 32]>,
}

/// Verifies bearer tokens: EdDSA only, issuer and audience as configured, not expired.
pub struct TokenVerifier {
    keys: Vec<DecodingKey>,
    validation: Validation,
    clock: Arc<dyn Clock>,
    verified: Cache<String, Verified>,
}

#[derive(Clone)]
struct Verified {
    identity: Identity,
    issued_ms: i64,
    expires_ms: i64,
}

impl TokenVerifier {
    /// A verifier that trusts these tokens.
    pub fn new(options: &TokenOptions, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&options.issuer]);
        validation.set_audience(&[&options.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The time is compared here, by the injected clock.
        validation.validate_exp = false;
        Self {
            keys: options.public_keys.iter().map(|key| DecodingKey::from_ed_der(key)).collect(),
            validation,
            clock,
            verified: Cache::new(VERIFIED_TOKENS_MAX),
        }
    }

    /// Who a token says the caller is.
    ///
    /// # Errors
    /// UNAUTHENTICATED for a token that is not ours, or no longer good.
    pub fn verify(&self, token: &str) -> Result<Identity, Failure> {
        let verified = match self.verified.get(token) {
            Some(verified) => verified,
            None => {
                let verified = self.check(token)?;
                self.verified.insert(token.to_owned(), verified.clone());
                verified
            }
        };
        let now = self.clock.now().millis();
        if now >= verified.expires_ms {
            return Err(Failure::unauthenticated(reason::TOKEN_EXPIRED, "the token has expired"));
        }
        if now < verified.issued_ms.saturating_sub(CLOCK_SKEW_MAX_MS) {
            return Err(Failure::unauthenticated(reason::TOKEN_INVALID, "the token is from the future"));
        }
        Ok(verified.identity)
    }

    /// Who calls, by the `authorization` header; `None` where the method is open and no token came.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, open: bool) -> Result<Option<Identity>, Failure> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (header, second) = (values.next(), values.next());
        let Some(header) = header else {
            let missing = || Failure::unauthenticated(reason::TOKEN_MISSING, "expected authorization: Bearer TOKEN");
            return if open { Ok(None) } else { Err(missing()) };
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") && second.is_none())
            .map(|(_, token)| token)
            .ok_or_else(|| {
                Failure::unauthenticated(reason::TOKEN_INVALID, "expected one authorization: Bearer TOKEN")
            })?;
        self.verify(token).map(Some)
    }

    fn check(&self, token: &str) -> Result<Verified, Failure> {
        let invalid = || Failure::unauthenticated(reason::TOKEN_INVALID, "the token is not one of ours");
        let claims = self
            .keys
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok())
            .ok_or_else(invalid)?
            .claims;
        let account: AccountId = claims.sub.parse().map_err(|_| invalid())?;
        let roles = claims.roles.iter().filter(|role| *role == Role::Operator.name()).map(|_| Role::Operator);
        let channels: Vec<Channel> = claims.channels.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(Verified {
            identity: Identity { account, roles: roles.collect(), channels },
            issued_ms: claims.iat.saturating_mul(1_000),
            expires_ms: claims.exp.saturating_mul(1_000),
        })
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
