use std::path::PathBuf;
use std::time::Duration;

use proto::gateway::v1::gateway_service_client::GatewayServiceClient;
use proto::gateway::v1::operator_service_client::OperatorServiceClient;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use super::ClientError;

const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the fleet is and who asks.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The gateway's address
    #[arg(long, env = "CHUNYUN_GATEWAY", default_value = "http://127.0.0.1:7000", global = true)]
    pub gateway: String,
    /// A file with the bearer token; `chunyun token` makes one
    #[arg(long, env = "CHUNYUN_TOKEN_FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// A channel to the gateway with the caller's token on every call.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    bearer: Bearer,
}

/// Adds the token and a deadline to a call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Target {
    /// Connects to the gateway. The token may come from the environment variable `CHUNYUN_TOKEN` too: never from an
    /// argument, which other users of the machine could read.
    ///
    /// # Errors
    /// An address that is none, a token file that cannot be read, or nobody listening.
    pub async fn connect(&self) -> Result<Connection, ClientError> {
        let token = match (&self.token_file, std::env::var("CHUNYUN_TOKEN")) {
            (Some(path), _) => Some(
                std::fs::read_to_string(path)
                    .map_err(|source| ClientError::TokenFile { path: path.display().to_string(), source })?,
            ),
            (None, Ok(token)) => Some(token),
            (None, Err(_)) => None,
        };
        let endpoint = Endpoint::from_shared(self.gateway.clone())
            .map_err(|_| ClientError::Address { gateway: self.gateway.clone() })?
            .connect_timeout(CALL_TIMEOUT);
        let channel = endpoint
            .connect()
            .await
            .map_err(|source| ClientError::Connect { gateway: self.gateway.clone(), source })?;
        Connection::new(channel, token.as_deref())
    }
}

impl Connection {
    /// A connection over a channel that stands already.
    ///
    /// # Errors
    /// A token with characters that no header may have.
    pub fn new(channel: Channel, token: Option<&str>) -> Result<Self, ClientError> {
        let bearer = token
            .map(|token| format!("Bearer {}", token.trim()).parse().map_err(|_| ClientError::Token))
            .transpose()?;
        Ok(Self { channel, bearer: Bearer(bearer) })
    }

    /// What passengers and clerks call.
    pub fn gateway(&self) -> GatewayServiceClient<InterceptedService<Channel, Bearer>> {
        GatewayServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// What operators call.
    pub fn operator(&self) -> OperatorServiceClient<InterceptedService<Channel, Bearer>> {
        OperatorServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }
}

/// A request with the client's deadline.
pub fn within_deadline<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}
