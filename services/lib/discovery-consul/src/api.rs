use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use discovery::StoreError;
use domain::Invalid;
use http::header::HeaderValue;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;

use crate::ConsulOptions;

/// No answer is longer: thousands of registrations fit.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// So much of an error's text is passed on.
const REASON_CHARS_MAX: usize = 200;

/// Requests to one agent.
#[derive(Clone)]
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    token: Option<HeaderValue>,
    timeout: Duration,
}

/// An answer of the agent.
pub struct Answer {
    pub status: StatusCode,
    /// The moment of the data, for the next blocking query.
    pub index: Option<u64>,
    pub body: Bytes,
}

impl Api {
    /// Requests as the options say.
    ///
    /// # Errors
    /// A token that is no header, an authority that cannot be read.
    pub fn new(options: &ConsulOptions) -> Result<Self, Invalid> {
        let token = options.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| Invalid::new("token", "printable characters", "others"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(options.ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: options.address.trim_end_matches('/').to_owned(),
            token: token.transpose()?,
            timeout: Duration::from_millis(options.timeout_ms.into()),
        })
    }

    /// Reads. An answer of 404 is one.
    ///
    /// # Errors
    /// No answer in time, or one that is an error.
    pub async fn get(&self, path: &str) -> Result<Answer, StoreError> {
        self.send(Method::GET, path, Bytes::new(), self.timeout).await
    }

    /// Reads with a wait of the agent's own.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub async fn get_blocking(&self, path: &str, index: u64, wait: Duration) -> Result<Answer, StoreError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}index={index}&wait={}ms", wait.as_millis());
        // The agent adds up to a sixteenth so that not all come back at once.
        self.send(Method::GET, &path, Bytes::new(), wait + wait / 16 + self.timeout).await
    }

    /// Writes.
    ///
    /// # Errors
    /// As for [`Api::get`]; it is unknown whether it was written.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, StoreError> {
        self.send(Method::PUT, path, body.into(), self.timeout).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes, timeout: Duration) -> Result<Answer, StoreError> {
        let answered = tokio::time::timeout(timeout, self.answer(method, path, body)).await;
        answered.map_err(|_| StoreError::new("consul", format!("no answer within {} ms", timeout.as_millis())))?
    }

    async fn answer(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, StoreError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("x-consul-token", token);
        }
        let request = request.body(Full::new(body)).map_err(failed)?;
        let response = self.client.request(request).await.map_err(failed)?;
        let status = response.status();
        let index = response.headers().get("x-consul-index").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(failed)?.to_bytes();
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(Answer { status, index, body });
        }
        let reason: String = String::from_utf8_lossy(&body).trim().chars().take(REASON_CHARS_MAX).collect();
        Err(StoreError::new("consul", format!("{status}: {reason}")))
    }
}

/// With the error's sources: hyper's own words alone say little.
fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let error = error.into();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    StoreError::new("consul", text)
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Invalid> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let unreadable = || Invalid::new("ca_file", "a PEM file with certificates", &path.display().to_string());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|_| unreadable())? {
            roots.add(certificate.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
        }
        if roots.is_empty() {
            return Err(unreadable());
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
