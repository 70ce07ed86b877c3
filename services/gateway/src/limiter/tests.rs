use std::time::Duration;

use domain::Channel;

use super::*;

const NOW: Time = Time::from_millis(1_795_305_600_000);

fn options() -> LimiterOptions {
    LimiterOptions { person_per_second: 10, person_burst: 3, person_in_flight: 2, ..LimiterOptions::default() }
}

fn limiter(redis: Option<&SecretString>) -> Limiter {
    Limiter::new(&options(), &Arc::new(Policy::default()), redis).unwrap()
}

fn person(name: &str) -> Identity {
    Identity::passenger(name.parse().unwrap())
}

/// When a call would be admitted: 0 for now.
async fn wait_ms(limiter: &Limiter, identity: &Identity, now: Time) -> u32 {
    match limiter.admit(identity, now).await {
        Ok(_) => 0,
        Err(Error::RateLimited { retry_after_ms }) => retry_after_ms,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_burst_and_then_ten_a_second() {
    let (limiter, somebody) = (limiter(None), person("somebody"));
    for _ in 0..3 {
        assert_eq!(wait_ms(&limiter, &somebody, NOW).await, 0);
    }
    assert_eq!(wait_ms(&limiter, &somebody, NOW).await, 100);
    assert_eq!(wait_ms(&limiter, &somebody, NOW.plus_millis(60)).await, 40);
    assert_eq!(wait_ms(&limiter, &somebody, NOW.plus_millis(100)).await, 0);
    assert_eq!(wait_ms(&limiter, &person("another"), NOW).await, 0, "others are not touched");
}

#[tokio::test]
async fn calls_in_work_are_bounded_until_they_end() {
    let (limiter, somebody) = (limiter(None), person("somebody"));
    let first = limiter.admit(&somebody, NOW).await.unwrap();
    let _second = limiter.admit(&somebody, NOW).await.unwrap();
    assert!(matches!(limiter.admit(&somebody, NOW).await, Err(Error::InFlight)));
    drop(first);
    limiter.admit(&somebody, NOW).await.unwrap();
}

#[tokio::test]
async fn who_sells_for_others_may_send_more() {
    let limiter = limiter(None);
    let window = Identity { channels: vec![Channel::Window], ..person("window-7") };
    for _ in 0..1_000 {
        assert_eq!(wait_ms(&limiter, &window, NOW).await, 0);
    }
}

#[tokio::test]
async fn gateways_share_a_rate_through_redis() {
    let Ok(address) = std::env::var("CHUNYUN_TEST_REDIS") else {
        eprintln!("SKIPPED limits shared through Redis: CHUNYUN_TEST_REDIS is not set");
        return;
    };
    let address = SecretString::from(address);
    let slow = LimiterOptions { person_per_second: 1, redis_timeout_ms: 5_000, ..options() };
    let gateway = || Limiter::new(&slow, &Arc::new(Policy::default()), Some(&address)).unwrap();
    let (one, other) = (gateway(), gateway());
    // A name of its own, so that a server that is kept between runs does not matter.
    let somebody = person(&format!("somebody-{}", std::process::id()));
    assert_eq!(wait_ms(&one, &somebody, NOW).await, 0);
    assert_eq!(wait_ms(&other, &somebody, NOW).await, 0);
    assert_eq!(wait_ms(&one, &somebody, NOW).await, 0);
    let wait = wait_ms(&other, &somebody, NOW).await;
    assert!((1..=1_000).contains(&wait), "the fourth call of a burst of three waits up to a second: {wait} ms");
}

#[tokio::test]
async fn a_lost_redis_is_replaced_by_local_limits_at_once() {
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Accepts connections and never answers: the worst kind of lost.
    let address = SecretString::from(format!("redis://{}", nowhere.local_addr().unwrap()));
    let limiter = limiter(Some(&address));
    let somebody = person("somebody");
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(wait_ms(&limiter, &somebody, NOW).await, 0);
    }
    assert_eq!(wait_ms(&limiter, &somebody, NOW).await, 100, "the local limit holds");
    assert!(started.elapsed() < Duration::from_secs(2), "asked once, then left alone: {:?}", started.elapsed());
}
