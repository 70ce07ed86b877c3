//! `chunyun demo`: a rush on one machine, with an audit at its end.
//!
//! Starts every role in this process on SQLite, the gateway on a real socket, puts one service date on sale and lets
//! simulated passengers buy through the public API: most at once, as at the opening of a sale.

mod demand;
mod passenger;
mod people;
mod policy;
mod report;
mod scale;
mod stage;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{AccountId, OrderId, ServiceDate};
use indicatif::{ProgressBar, ProgressStyle};
use proto::gateway::v1 as gateway;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rpc::Clock;
use rpc::identity::{Identity, Role, TokenIssuer};
use timetable::{Timetable, TrainIndex};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use self::demand::{Tastes, Wish};
use self::passenger::Party;
use self::report::{AuditSummary, Report};
use self::scale::{Pace, Scaled};
use self::stage::Stage;
use self::tally::Tally;
use crate::client::Connection;
use crate::host::{DataDir, Embedded, Fleet};
use crate::{FoundWrong, audit, output, tools};

/// How many parties are on their way at once.
const PARTIES_AT_ONCE: usize = 256;
/// Connections to the gateway that parties share.
const CONNECTIONS: usize = 8;
/// The service date lies so many days ahead: inside the presale horizon, and refunds cost their 5 %.
const DAYS_AHEAD: i32 = 5;
const TOKEN_LIFETIME_S: u32 = 3600;

/// Runs a rush on this machine: all roles, simulated passengers, an audit at the end
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  chunyun demo\n  chunyun demo --passengers 2000 --seed 7 --json\n  \
                  chunyun demo --timetable ../data --data ./rush --keep\n  \
                  chunyun demo --shards 4 --scale 8,4\n\n\
                  Exit status 1 if anything is off.")]
pub struct Demo {
    /// How many people want to travel
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    passengers: u32,
    /// The same seed makes the same passengers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many inventory shards
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,
    /// Numbers of shards to scale to while passengers buy at 70 % of what the fleet can do, such as 8,4. As many passengers
    /// come as that takes
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=64))]
    scale: Vec<u16>,
    /// A timetable's directory instead of the sample: our CSV, the national timetable of 2016, or GTFS
    #[arg(long)]
    timetable: Option<PathBuf>,
    /// Leave trains with bad rows out instead of refusing the timetable
    #[arg(long)]
    drop_bad_rows: bool,
    /// Keep the databases here instead of a temporary directory
    #[arg(long)]
    data: Option<PathBuf>,
    /// Stay up at the end and say how to talk to the fleet
    #[arg(long)]
    keep: bool,
    /// The gateway's address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
    /// Print one JSON object on the last line; tables go to standard error
    #[arg(long)]
    json: bool,
}

/// `chunyun demo`.
///
/// # Errors
/// Whatever keeps the fleet from starting; [`FoundWrong`] where the rush or the audit found something off.
pub async fn demo(command: Demo) -> Result<(), Box<dyn std::error::Error>> {
    let temporary = if command.data.is_none() { Some(tempfile::tempdir()?) } else { None };
    let data = DataDir::at(
        command.data.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(".".as_ref()),
    )?;
    let timetable = Arc::new(match &command.timetable {
        Some(path) => tools::load_timetable(path, command.drop_bad_rows)?,
        None => Timetable::sample(),
    });
    let fleet = Fleet::start(embedded(&command, &data, &timetable)).await?;
    output::note(&format!(
        "{} shards and all other roles in this process, gateway at {}, data in {}",
        command.shards,
        fleet.gateway_url(),
        data.path().display()
    ));

    let sold = Rush { command: &command, timetable: timetable.clone(), data: &data, fleet: &fleet }.run().await;
    // The audit judges a fleet at rest exactly.
    fleet.stop().await;
    let outcome = report(&command, &timetable, &data, sold?).await;
    if command.keep && !outcome.as_ref().is_err_and(|error| !error.is::<FoundWrong>()) {
        stay(Fleet::start(embedded(&command, &data, &timetable)).await?, &data).await;
    }
    outcome
}

fn embedded(command: &Demo, data: &DataDir, timetable: &Arc<Timetable>) -> Embedded {
    Embedded {
        data: data.clone(),
        timetable: timetable.clone(),
        policy: policy::demo_policy(),
        shards: command.shards,
        spare_shards: spare_shards(command),
        public: command.listen,
    }
}

/// How many shards stand ready to join: at least one where the ring is to be changed at all.
fn spare_shards(command: &Demo) -> u16 {
    command.scale.iter().map(|count| count.saturating_sub(command.shards).max(1)).max().unwrap_or(0)
}

/// Audits what was sold and says everything.
async fn report(
    command: &Demo,
    timetable: &Timetable,
    data: &DataDir,
    sold: Sold,
) -> Result<(), Box<dyn std::error::Error>> {
    let audited = audit::run(&audit::sources(data)).await?;
    let report = Report {
        timetable,
        trains: &sold.trains,
        date: sold.date.to_string(),
        tally: &sold.tally,
        rush_seconds: sold.rush_seconds,
        audit: AuditSummary {
            violations: audited.violations_total(),
            oversold: audit::oversold(&audited),
            tickets: audited.counts.tickets,
            text: audited.to_string(),
        },
        scaled: sold.scaled.as_ref().map(|scaled| (scaled, &sold.paced)),
    };
    if command.json {
        output::note(&report.text());
        output::document(&report.json());
    } else {
        output::line(&report.text());
    }
    if report.is_clean() { Ok(()) } else { Err(FoundWrong.into()) }
}

/// Keeps the fleet up until it is interrupted.
async fn stay(fleet: Fleet, data: &DataDir) {
    let (url, data) = (fleet.gateway_url(), data.path().display().to_string());
    output::note(&format!(
        "\nthe fleet stays up until Ctrl-C; talk to it from another terminal:\n  \
         export CHUNYUN_GATEWAY={url} CHUNYUN_TOKEN=$(chunyun token alice --data {data})\n  \
         chunyun search 北京 深圳 {}\n  chunyun order list",
        service_date(rpc::SystemClock.now())
    ));
    // Nothing to do about a failing signal handler but to end.
    let _ = tokio::signal::ctrl_c().await;
    fleet.stop().await;
}

/// What came of the rush.
struct Sold {
    date: ServiceDate,
    trains: Vec<TrainIndex>,
    tally: Tally,
    /// Of these, who came at the set load of `--scale`.
    paced: Tally,
    scaled: Option<Scaled>,
    /// From opening until the last passenger of the rush was served.
    rush_seconds: f64,
}

struct Rush<'a> {
    command: &'a Demo,
    timetable: Arc<Timetable>,
    data: &'a DataDir,
    fleet: &'a Fleet,
}

impl Rush<'_> {
    async fn run(&self) -> Result<Sold, Box<dyn std::error::Error>> {
        let date = service_date(rpc::SystemClock.now());
        let tastes = Tastes::new(&self.timetable, date).ok_or("no train of this timetable runs on that day")?;
        let connections = self.connect().await?;
        let issuer = self.data.keys()?.issuer()?;
        self.open_sale(&connections[0], &issuer, date).await?;
        self.sell(Wishes::new(self.command, tastes), connections, issuer, date).await
    }

    async fn connect(&self) -> Result<Vec<Channel>, tonic::transport::Error> {
        let mut channels = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            channels.push(Endpoint::from_shared(self.fleet.gateway_url())?.connect().await?);
        }
        Ok(channels)
    }

    async fn open_sale(
        &self,
        channel: &Channel,
        issuer: &TokenIssuer,
        date: ServiceDate,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut operator = operator(channel, issuer)?.operator();
        let request =
            gateway::OpenSaleRequest { service_date: date.to_string(), train_codes: Vec::new(), sale_opens_ms: 1 };
        let mut steps = operator.open_sale(request).await?.into_inner();
        let bar = bar("opening sale", "trains");
        let mut last = gateway::OpenSaleResponse::default();
        while let Some(step) = steps.message().await? {
            bar.set_length(u64::from(step.total));
            bar.set_position(u64::from(step.opened));
            last = step;
        }
        bar.finish_and_clear();
        output::note(&format!("service date {date}: {} trains on sale with {} places", last.opened, last.places));
        Ok(())
    }

    async fn sell(
        &self,
        mut wishes: Wishes<'_>,
        channels: Vec<Channel>,
        issuer: TokenIssuer,
        date: ServiceDate,
    ) -> Result<Sold, Box<dyn std::error::Error>> {
        let (end, over) = watch::channel(false);
        let stage = Arc::new(Stage::new(self.timetable.clone(), date, over));
        let gate = Arc::new(Semaphore::new(PARTIES_AT_ONCE));
        let bar = bar("rush", "parties");
        bar.set_length(u64::from(self.command.passengers));
        let mut parties = JoinSet::new();
        let (mut tally, mut paced) = (Tally::default(), Tally::default());
        let pace = Pace::new();
        let mut scaling = self.scaling(&channels[0], &issuer, &pace)?;
        let (opened, mut due) = (Instant::now(), Instant::now());
        let (mut number, mut scaled) = (0, None);
        let scales = !self.command.scale.is_empty();
        while let Some((wish, first_person, order_id)) = wishes.next(scales) {
            if scales {
                pace.next(&mut due).await;
            }
            let permit = gate.clone().acquire_owned().await?;
            let account: AccountId = format!("passenger-{first_person}").parse()?;
            let token = issuer.issue(&Identity::passenger(account), rpc::SystemClock.now(), TOKEN_LIFETIME_S)?;
            let connection = Connection::new(channels[number % CONNECTIONS].clone(), Some(&token))?;
            number += 1;
            let party = Party::new(stage.clone(), connection, wish, first_person, order_id);
            let (is_paced, served) = (pace.is_set(), pace.clone());
            parties.spawn(async move {
                let tally = party.travel(permit).await;
                served.finished();
                (is_paced, tally)
            });
            while let Some(finished) = parties.try_join_next() {
                let (is_paced, finished) = finished?;
                bar.inc(finished.asked);
                if is_paced { paced.merge(finished) } else { tally.merge(finished) }
            }
            if let Some(finished) = scaling.try_join_next() {
                scaled = Some(finished??);
                break;
            }
        }
        // Whoever is in line has given its permit back: all permits free means that the rush is over.
        let all = u32::try_from(PARTIES_AT_ONCE)?;
        drop(gate.acquire_many(all).await?);
        let rush_seconds = opened.elapsed().as_secs_f64();
        bar.set_prefix("line ");
        self.wait_for_lapses(&bar).await;
        end.send_replace(true);
        while let Some(finished) = parties.join_next().await {
            let (is_paced, finished) = finished?;
            bar.inc(finished.asked);
            if is_paced { paced.merge(finished) } else { tally.merge(finished) }
        }
        bar.finish_and_clear();
        tally.merge(paced.clone());
        Ok(Sold { date, trains: wishes.tastes.trains().to_vec(), tally, paced, scaled, rush_seconds })
    }

    /// The task that changes the ring, where that was asked for.
    fn scaling(
        &self,
        channel: &Channel,
        issuer: &TokenIssuer,
        pace: &Arc<Pace>,
    ) -> Result<JoinSet<Result<Scaled, tonic::Status>>, Box<dyn std::error::Error>> {
        let mut scaling = JoinSet::new();
        if !self.command.scale.is_empty() {
            let operator = operator(channel, issuer)?;
            scaling.spawn(scale::scale(self.command.shards, self.command.scale.clone(), operator, pace.clone()));
        }
        Ok(scaling)
    }

    /// Forgotten orders free their seats when their payment time ends; the line is served from them.
    async fn wait_for_lapses(&self, bar: &ProgressBar) {
        let longest = policy::longest_hold();
        let until = Instant::now() + longest;
        while Instant::now() < until {
            bar.set_message(format!("waiting {} s for unpaid orders to lapse", (until - Instant::now()).as_secs()));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        bar.set_message("");
    }
}

/// An operator's connection.
fn operator(channel: &Channel, issuer: &TokenIssuer) -> Result<Connection, Box<dyn std::error::Error>> {
    let identity = Identity { roles: vec![Role::Operator], ..Identity::passenger("operator".parse()?) };
    let token = issuer.issue(&identity, rpc::SystemClock.now(), TOKEN_LIFETIME_S)?;
    Ok(Connection::new(channel.clone(), Some(&token))?)
}

/// The wishes of all parties, by the seed, one after the other.
struct Wishes<'a> {
    tastes: Tastes<'a>,
    random: ChaCha8Rng,
    /// People who have come so far.
    people: usize,
    passengers: usize,
}

impl<'a> Wishes<'a> {
    fn new(command: &Demo, tastes: Tastes<'a>) -> Self {
        let random = ChaCha8Rng::seed_from_u64(command.seed);
        Self { tastes, random, people: 0, passengers: command.passengers as usize }
    }

    /// The next party's wish, the number of its first person and its order's id; none when all have come, unless they come
    /// without end.
    fn next(&mut self, without_end: bool) -> Option<(Wish, usize, OrderId)> {
        if self.people >= self.passengers && !without_end {
            return None;
        }
        let mut wish = self.tastes.wish(&mut self.random);
        if !without_end {
            wish.party = wish.party.min(self.passengers - self.people);
        }
        // Room below for the ids of a party's further tries.
        let order_id = OrderId::from_u128(self.random.random::<u128>() & !0xff | 1);
        let first_person = self.people;
        self.people += wish.party;
        Some((wish, first_person, order_id))
    }
}

/// The service date of a demo that starts now.
fn service_date(now: domain::Time) -> ServiceDate {
    let china = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let today = jiff::Timestamp::from_millisecond(now.millis()).unwrap_or_default().to_zoned(china).date();
    ServiceDate::new(today)
        .unwrap_or_else(|_| panic!("the clock stands outside the years 2000 to 2199"))
        .plus_days(DAYS_AHEAD)
}

fn bar(what: &'static str, unit: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{prefix}} {{bar:40}} {{pos}}/{{len}} {unit} {{elapsed}} {{msg}}"))
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(what)
}
