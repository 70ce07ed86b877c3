//! Names and document numbers of planted passengers are looked for in everything that a fleet writes down or sends away:
//! logs, traces, metrics, journal, databases, Redis. None stands there in clear, as text, hexadecimal or base64.

mod collector;
mod haystack;
mod story;

use std::path::Path;

use crate::support::postgres::new_databases;
use crate::support::process::{self, Serving, free_port};
use crate::support::skipped;
use collector::Collector;
use haystack::{Haystack, Needle, RedisMonitor};

/// Who travels: a resident with the example number of GB 11643, and a traveller with a passport. Nobody else has them.
pub const PLANTED: [(&str, &str); 2] = [("金丝雀翎", "11010519491231002X"), ("Canaria Serinus", "QX73519284")];
/// The same resident with a wrong check digit, and a third person, both only in requests that are refused.
pub const REFUSED: [(&str, &str); 2] = [("金丝雀羽", "110105194912310021"), ("Fringilla Domestica", "QX90817263")];
/// An account's name: no secret, and so the proof that what is there is found.
pub const CONTROL: &str = "control-7f3a9c51e2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_document_or_name_stands_in_clear_with_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let written = live(dir.path(), &[]).await;
    let files = Haystack::of_files("SQLite files", &dir.path().join("data"));
    judge(written.into_iter().chain([files.with_control(CONTROL)]).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_document_or_name_stands_in_clear_with_postgres_and_redis() {
    let (Ok(postgres), Ok(redis)) = (std::env::var("CHUNYUN_TEST_POSTGRES"), std::env::var("CHUNYUN_TEST_REDIS"))
    else {
        return skipped("planted documents on Postgres", "CHUNYUN_TEST_POSTGRES or CHUNYUN_TEST_REDIS is not set");
    };
    let dir = tempfile::tempdir().unwrap();
    let databases = new_databases(&postgres, "canary");
    let mut environment: Vec<(&str, &str)> =
        databases.iter().map(|(setting, url)| (setting.as_str(), url.as_str())).collect();
    environment.push(("CHUNYUN_STORAGE__REDIS", &redis));
    let monitor = RedisMonitor::start(&redis, dir.path().join("redis"));
    let mut written = live(dir.path(), &environment).await;
    for (setting, url) in &databases {
        let service = setting.rsplit("__").next().unwrap_or_default();
        let dump = Haystack::of_dump(service, url);
        // The account stands where its orders and entries are kept; the others are there all the same.
        let control = if ["ORDER", "WAITLIST"].contains(&service) { CONTROL } else { "PostgreSQL database dump" };
        written.push(dump.with_control(control));
    }
    written.push(monitor.seen().with_control(CONTROL));
    judge(written);
}

/// Lives the story on a fleet that logs and traces as much as it can; what it told of itself.
async fn live(dir: &Path, environment: &[(&str, &str)]) -> Vec<Haystack> {
    let (data, log, config) = (dir.join("data"), dir.join("log.json"), dir.join("chunyun.toml"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(&config, process::around_the_clock(dir)).unwrap();
    let collector = Collector::start().await;
    let metrics = format!("127.0.0.1:{}", free_port());
    let mut settings = vec![
        ("CHUNYUN_TELEMETRY__LOG_FORMAT", "json"),
        ("CHUNYUN_TELEMETRY__LOG_FILTER", "debug"),
        ("CHUNYUN_TELEMETRY__OTLP_ENDPOINT", &*collector.endpoint),
        ("CHUNYUN_TELEMETRY__OTLP_SAMPLE_PERCENT", "100"),
        ("CHUNYUN_LISTEN__METRICS", &*metrics),
    ];
    settings.extend(environment);
    let (data, config) = (data.to_str().unwrap(), config.to_str().unwrap());
    let arguments = ["--data", data, "--listen", "127.0.0.1:0", "--config", config];
    let serving = Serving::start_logging(&arguments, &settings, &log);
    story::tell(&serving.gateway(), Path::new(data)).await;
    let scraped = Haystack::new("metrics", haystack::scrape(&metrics));
    // Spans that are still held back are sent at the end.
    assert_eq!(serving.terminate(), Some(0));
    vec![
        scraped.with_control("# TYPE"),
        Haystack::new("traces", collector.received()).with_control("chunyun.order.v1.OrderService"),
        Haystack::new("logs", std::fs::read(&log).unwrap()).with_control("\"level\":\"DEBUG\""),
    ]
}

/// Finds the control everywhere, and nothing that was planted.
fn judge(haystacks: Vec<Haystack>) {
    let planted = PLANTED.iter().chain(&REFUSED).flat_map(|(name, number)| [*name, *number]);
    let needles: Vec<Needle> = planted.map(Needle::of).collect();
    for haystack in &haystacks {
        haystack.expect_control();
        assert_eq!(haystack.find(&needles), None, "stands in {}", haystack.name);
    }
}

#[test]
fn what_is_planted_is_found_in_every_form() {
    use base64::Engine as _;
    let (_, number) = PLANTED[0];
    let needle = [Needle::of(number)];
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let forms = [
        format!("a passenger {number}!"),
        format!("x{}y", hex::encode(number)),
        hex::encode_upper(format!("..{number}..")),
        base64(&format!("{number} and more")),
        base64(&format!("1{number} and more")),
        base64(&format!("12{number} and more")),
        number.to_lowercase(),
    ];
    for form in forms {
        assert!(Haystack::new("forms", form.clone().into_bytes()).find(&needle).is_some(), "{form}");
    }
    assert_eq!(Haystack::new("nothing", b"110105194912310".to_vec()).find(&needle), None);
}
