//! `chunyun demo`: a rush on one machine, with an audit at its end.
//!
//! Starts every role in this process on SQLite, the gateway on a real socket, puts one service date on sale and lets
//! simulated passengers buy through the public API: most at once, as at the opening of a sale.

mod demand;
mod passenger;
mod people;
mod policy;
mod report;
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
                  chunyun demo --timetable ../data --data ./rush --keep\n\n\
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
        public: command.listen,
    }
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
            text: audited.to_string(),
        },
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
        let mut tastes = Tastes::new(&self.timetable, date).ok_or("no train of this timetable runs on that day")?;
        let connections = self.connect().await?;
        let issuer = self.data.keys()?.issuer()?;
        self.open_sale(&connections[0], &issuer, date).await?;
        let wishes = self.wishes(&mut tastes);
        let (tally, rush_seconds) = self.sell(wishes, connections, issuer, date).await?;
        Ok(Sold { date, trains: tastes.trains().to_vec(), tally, rush_seconds })
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
        let identity = Identity { roles: vec![Role::Operator], ..Identity::passenger("operator".parse()?) };
        let token = issuer.issue(&identity, rpc::SystemClock.now(), TOKEN_LIFETIME_S)?;
        let mut operator = Connection::new(channel.clone(), Some(&token))?.operator();
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

    /// The wishes of all parties, by the seed.
    fn wishes(&self, tastes: &mut Tastes<'_>) -> Vec<(Wish, usize, OrderId)> {
        let mut random = ChaCha8Rng::seed_from_u64(self.command.seed);
        let mut wishes = Vec::new();
        let mut people = 0;
        while people < self.command.passengers as usize {
            let mut wish = tastes.wish(&mut random);
            wish.party = wish.party.min(self.command.passengers as usize - people);
            // Room below for the ids of a party's further tries.
            let order_id = OrderId::from_u128(random.random::<u128>() & !0xff | 1);
            let first_person = people;
            people += wish.party;
            wishes.push((wish, first_person, order_id));
        }
        wishes
    }

    async fn sell(
        &self,
        wishes: Vec<(Wish, usize, OrderId)>,
        channels: Vec<Channel>,
        issuer: TokenIssuer,
        date: ServiceDate,
    ) -> Result<(Tally, f64), Box<dyn std::error::Error>> {
        let (end, over) = watch::channel(false);
        let stage = Arc::new(Stage::new(self.timetable.clone(), date, over));
        let gate = Arc::new(Semaphore::new(PARTIES_AT_ONCE));
        let bar = bar("rush", "parties");
        bar.set_length(wishes.len() as u64);
        let mut parties = JoinSet::new();
        let mut tally = Tally::default();
        let opened = Instant::now();
        for (number, (wish, first_person, order_id)) in wishes.into_iter().enumerate() {
            let permit = gate.clone().acquire_owned().await?;
            let account: AccountId = format!("passenger-{first_person}").parse()?;
            let token = issuer.issue(&Identity::passenger(account), rpc::SystemClock.now(), TOKEN_LIFETIME_S)?;
            let connection = Connection::new(channels[number % CONNECTIONS].clone(), Some(&token))?;
            parties.spawn(Party::new(stage.clone(), connection, wish, first_person, order_id).travel(permit));
            while let Some(finished) = parties.try_join_next() {
                tally.merge(finished?);
                bar.inc(1);
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
            tally.merge(finished?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((tally, rush_seconds))
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
