//! What the provider's callbacks must prove before they are believed: pure checks.

use domain::{Money, Time};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::state::ChargeState;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "chunyun-signature";
/// The largest body in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1_024;

/// What a callback tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Of a trade.
    Trade {
        /// Our id of it.
        trade_id: String,
        /// Its state.
        state: ChargeState,
        /// How much.
        amount: Money,
        /// The provider's own id.
        provider_charge_id: String,
    },
    /// Of a refund that has arrived.
    Refund {
        /// Order's id of it.
        refund_id: String,
        /// The trade it was taken from.
        trade_id: String,
        /// How much.
        amount: Money,
    },
}

/// Why a callback is not believed. Nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackRefusal {
    /// The header is missing or not of its form.
    #[error("the signature is missing or malformed")]
    SignatureMalformed,
    /// The signature is not the provider's.
    #[error("the signature is wrong")]
    SignatureWrong,
    /// It was signed too long ago, or in the future.
    #[error("the signature is outside its time window")]
    Stale,
    /// The body cannot be read.
    #[error("the body cannot be read")]
    BodyMalformed,
    /// No such trade or refund.
    #[error("the trade or refund is not known")]
    NotFound,
    /// Another amount, charge, trade or state than ours.
    #[error("the callback does not fit the trade")]
    Mismatch,
}

impl CallbackRefusal {
    /// The stable reason in the answer.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::SignatureMalformed | Self::SignatureWrong => rpc::reason::CALLBACK_SIGNATURE,
            Self::Stale => rpc::reason::CALLBACK_STALE,
            Self::BodyMalformed => rpc::reason::UNDECODABLE,
            Self::NotFound => rpc::reason::TRADE_NOT_FOUND,
            Self::Mismatch => rpc::reason::CALLBACK_MISMATCH,
        }
    }
}

/// The secret that provider and merchant share, and how far their clocks may differ.
#[derive(Clone, Debug)]
pub struct CallbackRules {
    /// Key of the HMAC.
    pub secret: SecretString,
    /// How old a signature may be, and how far in the future, in ms.
    pub window_ms: i64,
}

impl CallbackRules {
    /// What a callback tells, once its signature and time are right.
    ///
    /// # Errors
    /// See [`CallbackRefusal`]. The signature is compared in constant time and before anything else is believed.
    pub fn read(&self, signature: &str, body: &[u8], now: Time) -> Result<Told, CallbackRefusal> {
        let (at_text, claimed) = parse_signature(signature).ok_or(CallbackRefusal::SignatureMalformed)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret().as_bytes())
            .map_err(|_| CallbackRefusal::SignatureWrong)?;
        mac.update(at_text.as_bytes());
        mac.update(b".");
        mac.update(body);
        if !bool::from(mac.finalize().into_bytes().ct_eq(&claimed)) {
            return Err(CallbackRefusal::SignatureWrong);
        }
        let signed_at: i64 = at_text.parse().map_err(|_| CallbackRefusal::SignatureMalformed)?;
        if now.millis_since(Time::from_millis(signed_at)).abs() > self.window_ms {
            return Err(CallbackRefusal::Stale);
        }
        read_body(body).ok_or(CallbackRefusal::BodyMalformed)
    }
}

/// `t=<ms>,v1=<64 hex digits>`.
fn parse_signature(header: &str) -> Option<(&str, [u8; 32])> {
    let (at_text, hex_text) = header.strip_prefix("t=")?.split_once(",v1=")?;
    let mut claimed = [0; 32];
    hex::decode_to_slice(hex_text, &mut claimed).ok()?;
    Some((at_text, claimed))
}

#[derive(Deserialize)]
struct Body {
    merchant_trade_id: String,
    merchant_refund_id: Option<String>,
    provider_charge_id: String,
    state: String,
    amount_fen: i64,
    kind: String,
}

fn read_body(body: &[u8]) -> Option<Told> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let state = match body.state.as_str() {
        "pending" => ChargeState::Pending,
        "succeeded" => ChargeState::Succeeded,
        "declined" => ChargeState::Declined,
        "closed" => ChargeState::Closed,
        _ => return None,
    };
    let (trade_id, amount) = (body.merchant_trade_id, Money::fen(body.amount_fen));
    match (body.kind.as_str(), body.merchant_refund_id) {
        ("charge", None) => Some(Told::Trade { trade_id, state, amount, provider_charge_id: body.provider_charge_id }),
        ("refund", Some(refund_id)) if state == ChargeState::Succeeded => {
            Some(Told::Refund { refund_id, trade_id, amount })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_700_000_000_000;
    const BODY: &str = r#"{"merchant_trade_id":"t-0","provider_charge_id":"ch_1","state":"succeeded","amount_fen":100,"at_ms":1,"kind":"charge"}"#;
    /// printf '1700000000000.%s' "$BODY" | openssl dgst -sha256 -hmac secret
    const SIGNATURE: &str = "t=1700000000000,v1=0be9e65db033b22685d03301c4a32ca1e9852902066cf6ca61b200803906195d";

    fn rules() -> CallbackRules {
        CallbackRules { secret: "secret".into(), window_ms: 300_000 }
    }

    fn now(offset_ms: i64) -> Time {
        Time::from_millis(AT + offset_ms)
    }

    #[test]
    fn a_signed_callback_is_read() {
        let told = Told::Trade {
            trade_id: "t-0".into(),
            state: ChargeState::Succeeded,
            amount: Money::yuan(1),
            provider_charge_id: "ch_1".into(),
        };
        assert_eq!(rules().read(SIGNATURE, BODY.as_bytes(), now(0)), Ok(told));
    }

    #[test]
    fn nothing_is_believed_without_the_right_signature_in_its_time() {
        let read = |signature: &str, body: &str, offset_ms| rules().read(signature, body.as_bytes(), now(offset_ms));
        let changed = BODY.replace("100", "900");
        assert_eq!(read(SIGNATURE, &changed, 0), Err(CallbackRefusal::SignatureWrong));
        let earlier = SIGNATURE.replace("t=17", "t=16");
        assert_eq!(read(&earlier, BODY, 0), Err(CallbackRefusal::SignatureWrong));
        assert!(read(SIGNATURE, BODY, 300_000).is_ok());
        assert_eq!(read(SIGNATURE, BODY, 300_001), Err(CallbackRefusal::Stale));
        assert_eq!(read(SIGNATURE, BODY, -300_001), Err(CallbackRefusal::Stale));
        for malformed in ["", "t=1", "t=1,v1=", "v1=00,t=1", &SIGNATURE[..SIGNATURE.len() - 2], "t=x,v1=zz"] {
            assert_eq!(read(malformed, BODY, 0), Err(CallbackRefusal::SignatureMalformed), "{malformed}");
        }
        let other = CallbackRules { secret: "other".into(), window_ms: 300_000 };
        assert_eq!(other.read(SIGNATURE, BODY.as_bytes(), now(0)), Err(CallbackRefusal::SignatureWrong));
    }

    #[test]
    fn bodies_of_another_form_are_refused() {
        for body in ["", "{}", "null", r#"{"kind":"charge"}"#, &BODY.replace("succeeded", "won"), &BODY[1..]] {
            assert_eq!(read_body(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read_body(BODY.replace("charge\"}", "refund\"}").as_bytes()), None, "a refund has an id");
    }
}
