//! Hosts any set of roles; operator commands, client, demo and audit.

use std::process::ExitCode;

use clap::Parser;

mod audit;
mod client;
mod demo;
mod host;
mod output;
mod replay;
mod tools;

/// A call is many small allocations, most of them freed by another thread: this takes a tenth less of all processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sells rail seats: exact, fair, fast.
#[derive(Debug, clap::Parser)]
#[command(name = "chunyun", version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  chunyun demo                            a rush on this machine, with an audit at its end\n  \
                  chunyun serve                           all roles in one process, on SQLite in ./chunyun-data\n  \
                  chunyun token alice > alice.jwt         a development token\n  \
                  chunyun search 北京 深圳 2026-12-01     direct trains and what can be bought"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Runs a rush on this machine: all roles, simulated passengers, an audit at the end
    Demo(demo::Demo),
    /// Hosts roles until it is told to stop
    Serve(host::Serve),
    /// Recomputes seats, journal and money from the databases, sharing no code with the services
    Audit(audit::Audit),
    Search(WithTarget<client::Search>),
    Stations(WithTarget<client::Stations>),
    Train(WithTarget<client::TrainCommand>),
    Buy(WithTarget<client::Buy>),
    Order(WithTargetSub<client::OrderCommand>),
    Wait(WithTargetSub<client::WaitCommand>),
    OpenSale(WithTarget<client::OpenSale>),
    CloseSale(WithTarget<client::CloseSale>),
    RefundRun(WithTarget<client::RefundRun>),
    Reconcile(WithTarget<client::Reconcile>),
    Ring(WithTargetSub<client::RingCommand>),
    #[command(subcommand)]
    Keys(tools::KeysCommand),
    Token(tools::Token),
    /// Lists the places where a process can be told to die, to wait or to fail on purpose
    #[command(hide = true)]
    Failpoints,
    #[command(subcommand)]
    Timetable(tools::TimetableCommand),
    #[command(subcommand)]
    Policy(replay::PolicyCommand),
}

/// A client command and where to send it.
#[derive(Debug, clap::Args)]
struct WithTarget<C: clap::Args> {
    #[command(flatten)]
    target: client::Target,
    #[command(flatten)]
    command: C,
}

/// A client command with commands of its own and where to send them.
#[derive(Debug, clap::Args)]
struct WithTargetSub<C: clap::Subcommand> {
    #[command(flatten)]
    target: client::Target,
    #[command(subcommand)]
    command: C,
}

/// A command that did what it was asked, but found something wrong; it has said so already.
#[derive(Debug, thiserror::Error)]
#[error("something is off")]
pub struct FoundWrong;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!("error: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<FoundWrong>() {
                output::note(&format!("error: {}", chain(&*error)));
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        // On the heap: with Kubernetes in it, a future that hosts a whole fleet is too large for the stack.
        Command::Demo(demo) => Box::pin(demo::demo(demo)).await,
        Command::Serve(serve) => Ok(host::serve(serve).await?),
        Command::Audit(audit) => audit::audit(audit).await,
        Command::Search(it) => answered(&it.target, client::search(&it.target, &it.command).await),
        Command::Stations(it) => answered(&it.target, client::stations(&it.target, &it.command).await),
        Command::Train(it) => answered(&it.target, client::train(&it.target, &it.command).await),
        Command::Buy(it) => answered(&it.target, client::buy(&it.target, &it.command).await),
        Command::Order(it) => answered(&it.target, client::order(&it.target, &it.command).await),
        Command::Wait(it) => answered(&it.target, client::wait(&it.target, &it.command).await),
        Command::OpenSale(it) => answered(&it.target, client::open_sale(&it.target, &it.command).await),
        Command::CloseSale(it) => answered(&it.target, client::close_sale(&it.target, &it.command).await),
        Command::RefundRun(it) => answered(&it.target, client::refund_run(&it.target, &it.command).await),
        Command::Reconcile(it) => answered(&it.target, client::reconcile(&it.target, &it.command).await),
        Command::Ring(it) => answered(&it.target, client::ring(&it.target, &it.command).await),
        Command::Failpoints => {
            tools::failpoints();
            Ok(())
        }
        Command::Keys(command) => Ok(tools::keys(&command).await?),
        Command::Token(token) => Ok(tools::token(&token)?),
        Command::Timetable(command) => Ok(tools::timetable(&command)?),
        Command::Policy(command) => replay::policy(command),
    }
}

/// A client's failure as JSON where JSON was asked for, else as an error like any other.
fn answered(
    target: &client::Target,
    outcome: Result<(), client::ClientError>,
) -> Result<(), Box<dyn std::error::Error>> {
    match outcome {
        Err(error) if target.json => {
            output::document(&error.json());
            Err(FoundWrong.into())
        }
        outcome => Ok(outcome?),
    }
}

/// An error and its sources, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
