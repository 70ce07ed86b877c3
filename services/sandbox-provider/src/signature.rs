use domain::Time;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that carries the signature of a callback.
pub const SIGNATURE_HEADER: &str = "chunyun-signature";

/// `t=<ms>,v1=<hex>`: HMAC-SHA256 under the merchant's secret of the time of sending, a full stop and the body.
pub fn sign(secret: &SecretString, sent_at: Time, body: &str) -> String {
    let at_ms = sent_at.millis();
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).unwrap_or_else(|_| {
        unreachable!("HMAC takes keys of any length");
    });
    mac.update(at_ms.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("t={at_ms},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_published_hmac() {
        // printf '1700000000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let signature = sign(&"secret".into(), Time::from_millis(1_700_000_000_000), r#"{"a":1}"#);
        assert_eq!(signature, "t=1700000000000,v1=4ef2732b0d632a6897af3a6d02a6de287f60d6c5f15dabdb0ceb045a34e3c5a7");
    }
}
