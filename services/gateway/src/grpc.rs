//! The faces: tokens and messages in, messages and statuses out. No rules.

mod operator;
mod orders;
mod public;

pub use operator::OperatorFace;
pub use public::PublicFace;

use rpc::identity::Identity;
use tonic::Request;

use crate::error::Error;

/// Who calls, and what they ask.
fn identified<T>(request: Request<T>) -> Result<(Identity, T), Error> {
    let (_, mut extensions, message) = request.into_parts();
    let identity = extensions.remove::<Identity>().ok_or(Error::TokenMissing)?;
    Ok((identity, message))
}
