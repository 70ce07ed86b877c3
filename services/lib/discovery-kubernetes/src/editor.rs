use discovery::{Acquired, LockToken, StoreError};
use domain::Time;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};

use crate::cluster::Cluster;

/// Between the holder's own words and what makes it unique.
const SEPARATOR: char = '#';

/// Takes the Lease unless somebody holds it whose term has not ended. Clocks that differ shorten or lengthen a dead
/// editor's term; what keeps edits apart is the ConfigMap's resourceVersion.
pub async fn acquire(cluster: &Cluster, holder: &str, now: Time) -> Result<Acquired, StoreError> {
    let name = &cluster.options.lease;
    let token = format!("{holder}{SEPARATOR}{:016x}", rand::random::<u64>());
    let taken = match cluster.ask(cluster.leases.get_opt(name)).await? {
        None => {
            let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(held_by(cluster, Some(&token), now)) };
            cluster.ask_unless_conflict(cluster.leases.create(&PostParams::default(), &lease)).await?
        }
        Some(lease) => match holder_of(&lease, now) {
            Some(other) => return Ok(Acquired::HeldBy(other)),
            None => replace(cluster, lease, Some(&token), now).await?,
        },
    };
    if taken.is_some() {
        return Ok(Acquired::Taken(LockToken(token)));
    }
    let lease = cluster.ask(cluster.leases.get_opt(name)).await?;
    let other = lease.and_then(|lease| holder_of(&lease, now));
    Ok(Acquired::HeldBy(other.unwrap_or_else(|| "somebody who was faster".to_owned())))
}

/// Begins another term, or ends the present one; `false` when the lock is not the token's.
pub async fn hold(cluster: &Cluster, token: &LockToken, on: bool, now: Time) -> Result<bool, StoreError> {
    let Some(lease) = cluster.ask(cluster.leases.get_opt(&cluster.options.lease)).await? else { return Ok(false) };
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref());
    if holder != Some(&token.0) {
        return Ok(false);
    }
    Ok(replace(cluster, lease, on.then_some(token.0.as_str()), now).await?.is_some())
}

/// Under the resourceVersion that was read: none when somebody else was first.
async fn replace(
    cluster: &Cluster,
    mut lease: Lease,
    holder: Option<&str>,
    now: Time,
) -> Result<Option<Lease>, StoreError> {
    lease.spec = Some(held_by(cluster, holder, now));
    let name = &cluster.options.lease;
    cluster.ask_unless_conflict(cluster.leases.replace(name, &PostParams::default(), &lease)).await
}

fn held_by(cluster: &Cluster, holder: Option<&str>, now: Time) -> LeaseSpec {
    LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        lease_duration_seconds: i32::try_from(cluster.options.lock_ttl_s).ok(),
        renew_time: Timestamp::from_millisecond(now.millis()).ok().map(MicroTime),
        ..LeaseSpec::default()
    }
}

/// Who holds a lease now, in its own words.
fn holder_of(lease: &Lease, now: Time) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let renewed_ms = spec.renew_time.as_ref().map_or(0, |time| time.0.as_millisecond());
    let term_ms = i64::from(spec.lease_duration_seconds.unwrap_or(0)) * 1_000;
    let words = holder.rsplit_once(SEPARATOR).map_or(holder, |(words, _)| words);
    (now.millis() < renewed_ms.saturating_add(term_ms)).then(|| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends() {
        let spec = LeaseSpec {
            holder_identity: Some("operator at host#00ff".into()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_millisecond(1_000_000).unwrap())),
            ..LeaseSpec::default()
        };
        let lease = Lease { spec: Some(spec), ..Lease::default() };
        assert_eq!(holder_of(&lease, Time::from_millis(1_014_999)).unwrap(), "operator at host");
        assert_eq!(holder_of(&lease, Time::from_millis(1_015_000)), None);
        assert_eq!(holder_of(&Lease::default(), Time::from_millis(0)), None);
    }
}
