use std::sync::Arc;
use std::time::Duration;

use due_work::{DueWork, Limits, drive};
use secrecy::SecretString;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::error::Error;
use crate::model::{Callback, Charge, Refund};
use crate::signature::{SIGNATURE_HEADER, sign};
use crate::store::StoreError;

/// How often a callback is tried before it is given up; the merchant must ask then.
pub const CALLBACK_ATTEMPTS_MAX: u32 = 10;
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);
const CALLBACK_BACKOFF_FIRST_MS: i64 = 200;
const CALLBACK_BACKOFF_MAX_MS: i64 = 30_000;
const LIMITS: Limits = Limits { in_flight_max: 64, poll_ms: 100 };

/// Decides charges and settles refunds whose time has come, until stopped.
pub async fn decide_due(app: Arc<App>, stop: CancellationToken) {
    let (charges, refunds) = (DueCharges(&app), DueRefunds(&app));
    // Nothing is due here before a delay has passed: polling alone is soon enough.
    let (no_wake, none_either) = (Notify::new(), Notify::new());
    tokio::join!(drive(&charges, LIMITS, &no_wake, &stop), drive(&refunds, LIMITS, &none_either, &stop));
}

/// Sends callbacks that are due, at least once each, until stopped.
pub async fn call_back(app: Arc<App>, secret: SecretString, client: reqwest::Client, stop: CancellationToken) {
    let callbacks = DueCallbacks { app: &app, secret, client };
    drive(&callbacks, LIMITS, app.wake_calling_back(), &stop).await;
}

/// A client for callbacks: keeps its connections, gives up in time.
///
/// # Errors
/// When the client cannot be made.
pub fn callback_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().timeout(CALLBACK_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()
}

struct DueCharges<'a>(&'a App);

impl DueWork for DueCharges<'_> {
    type Item = Charge;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "charges"
    }

    fn key(&self, charge: &Charge) -> String {
        charge.asked.merchant_trade_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Charge>, StoreError> {
        self.0.store().due_charges(self.0.now(), limit_of(limit)).await
    }

    async fn perform(&self, charge: Charge) {
        report("decide a charge", self.0.decide(&charge, self.0.now()).await);
    }
}

struct DueRefunds<'a>(&'a App);

impl DueWork for DueRefunds<'_> {
    type Item = Refund;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "refunds"
    }

    fn key(&self, refund: &Refund) -> String {
        refund.asked.merchant_refund_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Refund>, StoreError> {
        self.0.store().due_refunds(self.0.now(), limit_of(limit)).await
    }

    async fn perform(&self, refund: Refund) {
        let settled = match self.0.query_charge(&refund.asked.merchant_trade_id).await {
            Ok(charge) => self.0.settle(&refund, &charge, self.0.now()).await,
            Err(error) => Err(error),
        };
        report("settle a refund", settled);
    }
}

struct DueCallbacks<'a> {
    app: &'a App,
    secret: SecretString,
    client: reqwest::Client,
}

impl DueWork for DueCallbacks<'_> {
    type Item = Callback;
    type Key = String;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "callbacks"
    }

    fn key(&self, callback: &Callback) -> String {
        callback.callback_id.clone()
    }

    async fn due(&self, limit: usize) -> Result<Vec<Callback>, StoreError> {
        self.app.store().due_callbacks(self.app.now(), limit_of(limit)).await
    }

    async fn perform(&self, callback: Callback) {
        let now = self.app.now();
        let sent = self
            .client
            .post(&callback.url)
            .header(SIGNATURE_HEADER, sign(&self.secret, now, &callback.body))
            .header("content-type", "application/json")
            .body(callback.body)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let store = self.app.store();
        let recorded = match sent {
            Ok(_) => store.callback_taken(&callback.callback_id).await,
            Err(error) => {
                let attempts = callback.attempts + 1;
                let again = (attempts < CALLBACK_ATTEMPTS_MAX)
                    .then(|| self.app.now().plus_millis(backoff_ms(callback.attempts)));
                tracing::debug!(id = callback.callback_id, attempts, %error, "a callback was not taken");
                store.callback_failed(&callback.callback_id, again).await
            }
        };
        report("record a callback", recorded.map_err(Error::from));
    }
}

/// Doubles with every attempt, up to a bound.
fn backoff_ms(attempts: u32) -> i64 {
    CALLBACK_BACKOFF_FIRST_MS.saturating_mul(1 << attempts.min(20)).min(CALLBACK_BACKOFF_MAX_MS)
}

fn limit_of(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// What failed stays due: it is taken up again at the next poll.
fn report<T>(what: &'static str, result: Result<T, Error>) {
    if let Err(error) = result {
        tracing::warn!(what, error = &error as &dyn std::error::Error, "due work failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_between_attempts_doubles_up_to_its_bound() {
        let waits: Vec<_> = [0, 1, 2, 7, 8, 40].into_iter().map(backoff_ms).collect();
        assert_eq!(waits, [200, 400, 800, 25_600, 30_000, 30_000]);
    }
}
