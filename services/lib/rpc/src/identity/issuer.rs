use std::fmt;

use domain::Time;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::{Claims, Identity, TokenOptions};

/// Signs tokens. Development, the demo and tests use it; production brings an issuer of its own.
pub struct TokenIssuer {
    key: EncodingKey,
    public_key: [u8; 32],
    issuer: String,
    audience: String,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("sign the token")]
pub struct IssuerError(#[source] jsonwebtoken::errors::Error);

/// What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl TokenIssuer {
    /// An issuer whose Ed25519 key has this seed. The seed is the secret.
    pub fn new(seed: &[u8; 32], issuer: &str, audience: &str) -> Self {
        let mut der = PKCS8_HEAD.to_vec();
        der.extend_from_slice(seed);
        Self {
            key: EncodingKey::from_ed_der(&der),
            public_key: SigningKey::from_bytes(seed).verifying_key().to_bytes(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }
    }

    /// What a verifier needs to trust this issuer alone.
    pub fn options(&self) -> TokenOptions {
        TokenOptions {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            public_keys: vec![self.public_key],
        }
    }

    /// A token good for so many seconds from `now`.
    ///
    /// # Errors
    /// None in practice: the key is checked when it is made.
    pub fn issue(&self, identity: &Identity, now: Time, lifetime_s: u32) -> Result<String, IssuerError> {
        let iat = now.millis().div_euclid(1_000);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: identity.account.to_string(),
            iat,
            exp: iat + i64::from(lifetime_s),
            roles: identity.roles.iter().map(|role| role.name().to_owned()).collect(),
            channels: identity.channels.iter().map(|channel| channel.name().to_owned()).collect(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).map_err(IssuerError)
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
