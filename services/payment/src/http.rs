//! The provider's way in: plain HTTP, the one exception to gRPC.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use rpc::{Failure, reason};
use tonic::Code;

use crate::app::App;
use crate::callback::{BODY_BYTES_MAX, CallbackRefusal, SIGNATURE_HEADER};
use crate::error::Error;
use crate::metrics;

/// Where callbacks are posted to.
pub const CALLBACK_PATH: &str = "/callbacks/payment";

/// The route of callbacks.
pub fn router(app: Arc<App>) -> Router {
    Router::new().route(CALLBACK_PATH, post(take_callback)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(app)
}

async fn take_callback(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match app.take_callback(signature, &body).await {
        Ok(()) => {
            metrics::callback("taken");
            (StatusCode::OK, Json(serde_json::json!({ "taken": true }))).into_response()
        }
        Err(error) => refuse(error),
    }
}

fn refuse(error: Error) -> Response {
    let status = match &error {
        Error::Callback(CallbackRefusal::SignatureMalformed | CallbackRefusal::SignatureWrong) => {
            StatusCode::UNAUTHORIZED
        }
        Error::Callback(CallbackRefusal::Stale) => StatusCode::UNAUTHORIZED,
        Error::Callback(CallbackRefusal::BodyMalformed) => StatusCode::BAD_REQUEST,
        Error::Callback(CallbackRefusal::NotFound) => StatusCode::NOT_FOUND,
        Error::Callback(CallbackRefusal::Mismatch) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let failure = Failure::from(error);
    if failure.code != Code::Unavailable {
        tracing::warn!(reason = failure.reason, "a callback was refused");
    }
    metrics::callback(failure.reason);
    debug_assert!(reason::ALL.contains(&failure.reason));
    (status, Json(serde_json::json!({ "reason": failure.reason, "message": failure.message }))).into_response()
}
