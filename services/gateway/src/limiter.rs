//! Keeps one account from starving others: calls per second, shared by all gateways through Redis where that is
//! configured, and calls in work at this gateway.

mod account;
mod rate;
mod shared;

use std::sync::Arc;

use domain::{AccountId, Time};
use moka::sync::Cache;
use policy::Policy;
use rpc::identity::Identity;
use secrecy::SecretString;

pub use account::InFlight;

use crate::LimiterOptions;
use crate::error::Error;
use account::Account;
use rate::Rate;
use shared::SharedRates;

/// What accounts may send. Bounded: accounts that were silent for long are forgotten first.
#[derive(Debug)]
pub struct Limiter {
    person: Allowance,
    business: Allowance,
    accounts: Cache<AccountId, Arc<Account>>,
    shared: Option<SharedRates>,
    policy: Arc<Policy>,
}

/// What one kind of account may send.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    rate: Rate,
    in_flight: u32,
}

impl Limiter {
    /// A limiter; with an address of Redis, one that shares its rates with other gateways.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(
        options: &LimiterOptions,
        policy: &Arc<Policy>,
        redis: Option<&SecretString>,
    ) -> Result<Self, redis::RedisError> {
        Ok(Self {
            person: Allowance {
                rate: Rate::new(options.person_per_second, options.person_burst),
                in_flight: options.person_in_flight,
            },
            business: Allowance {
                rate: Rate::new(options.business_per_second, options.business_burst),
                in_flight: options.business_in_flight,
            },
            accounts: Cache::new(options.accounts_max),
            shared: redis.map(|address| SharedRates::new(address, options)).transpose()?,
            policy: Arc::clone(policy),
        })
    }

    /// Admits one call of an account, or says when to try again. The call counts as in work until the guard is dropped.
    ///
    /// # Errors
    /// Too many calls in work, or too many in the last seconds.
    pub async fn admit(&self, identity: &Identity, now: Time) -> Result<InFlight, Error> {
        let allowance = self.allowance(identity);
        let account = self.accounts.get_with(identity.account.clone(), Arc::default);
        let in_flight = InFlight::enter(&account, allowance.in_flight).ok_or(Error::InFlight)?;
        let wait_ms = match &self.shared {
            None => account.rate_wait_ms(allowance.rate, now),
            Some(shared) => match shared.wait_ms(&identity.account, allowance.rate, now).await {
                Some(wait_ms) => wait_ms,
                None => {
                    crate::metrics::limited_locally();
                    account.rate_wait_ms(allowance.rate, now)
                }
            },
        };
        if wait_ms == 0 { Ok(in_flight) } else { Err(Error::RateLimited { retry_after_ms: wait_ms }) }
    }

    /// An account that may use a channel without limits per person sells for others.
    fn allowance(&self, identity: &Identity) -> Allowance {
        let sells = identity.channels.iter().any(|channel| !self.policy.order.limits_accounts_of(*channel));
        if sells { self.business } else { self.person }
    }
}

#[cfg(test)]
mod tests;
