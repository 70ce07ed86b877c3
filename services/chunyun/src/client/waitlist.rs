use domain::{BoardingDate, Channel, EntryId, SeatClass, TrainCode};
use proto::gateway::v1 as gateway;
use proto::waitlist::v1::{Entry, EntryState};
use serde_json::json;

use super::connect::within_deadline;
use super::{ClientError, PassengerArgument, Target, json as documents, render};

/// Waits in line for seats that are sold out
#[derive(Debug, clap::Subcommand)]
pub enum WaitCommand {
    /// Joins the line
    Join(Join),
    /// One entry
    Show {
        /// The entry id
        entry: EntryId,
    },
    /// The newest entries
    List,
    /// Gives an entry up
    Leave {
        /// The entry id
        entry: EntryId,
    },
}

/// What to wait for.
#[derive(Debug, clap::Args)]
pub struct Join {
    /// Train code, such as G71
    train: TrainCode,
    /// The calendar date at the boarding station
    date: BoardingDate,
    /// Boarding station: name, pinyin or telecode
    from: String,
    /// Alighting station
    to: String,
    /// The class
    #[arg(long, default_value = "second")]
    class: SeatClass,
    /// A passenger as NAME:DOCUMENT:NUMBER[:KIND]; up to five times
    #[arg(long = "passenger", required = true)]
    passengers: Vec<PassengerArgument>,
    /// The entry id, to repeat a request whose answer was lost
    #[arg(long)]
    entry: Option<EntryId>,
    /// Where the request is made
    #[arg(long, default_value = "online")]
    channel: Channel,
    /// A standing ticket will do
    #[arg(long)]
    standing: bool,
}

/// `chunyun wait`: joins, shows or leaves the line.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn wait(target: &Target, command: &WaitCommand) -> Result<(), ClientError> {
    let mut client = target.connect().await?.gateway();
    let entries = match command {
        WaitCommand::Join(join) => {
            vec![client.join_waitlist(within_deadline(join_request(join))).await?.into_inner().entry]
        }
        WaitCommand::Show { entry } => {
            let request = gateway::GetWaitlistEntryRequest { entry_id: entry.to_string() };
            vec![client.get_waitlist_entry(within_deadline(request)).await?.into_inner().entry]
        }
        WaitCommand::Leave { entry } => {
            let request = gateway::LeaveWaitlistRequest { entry_id: entry.to_string() };
            vec![client.leave_waitlist(within_deadline(request)).await?.into_inner().entry]
        }
        WaitCommand::List => {
            let request = gateway::ListWaitlistEntriesRequest::default();
            let listed = client.list_waitlist_entries(within_deadline(request)).await?.into_inner();
            listed.entries.into_iter().map(Some).collect()
        }
    };
    let entries: Vec<Entry> = entries.into_iter().flatten().collect();
    if target.json {
        crate::output::document(&json!({ "entries": entries.iter().map(documents::entry).collect::<Vec<_>>() }));
    } else {
        crate::output::line(&entry_table(&entries));
    }
    Ok(())
}

fn join_request(join: &Join) -> gateway::JoinWaitlistRequest {
    let entry = join.entry.unwrap_or_else(|| EntryId::from_u128(uuid::Uuid::now_v7().as_u128()));
    gateway::JoinWaitlistRequest {
        entry_id: entry.to_string(),
        leg: Some(gateway::LegRequest {
            train_code: join.train.to_string(),
            boarding_date: join.date.to_string(),
            from_station: join.from.clone(),
            to_station: join.to.clone(),
            seat_class: i32::from(join.class.code()),
        }),
        passengers: join.passengers.iter().map(PassengerArgument::wire).collect(),
        channel: i32::from(join.channel.code()),
        accept_standing: join.standing,
        deadline_ms: 0,
    }
}

fn entry_table(entries: &[Entry]) -> String {
    let mut table = render::table([
        "entry",
        "state",
        "train",
        "class",
        "passengers",
        "sequence",
        "ahead at join",
        "until",
        "order",
    ]);
    for entry in entries {
        table.add_row([
            entry.entry_id.clone(),
            entry_state(entry.state).to_owned(),
            entry.run.clone().unwrap_or_default().train_code,
            render::class_name(entry.seat_class).to_owned(),
            entry.passengers.to_string(),
            entry.sequence.to_string(),
            entry.ahead_at_join.to_string(),
            render::moment(entry.deadline_ms),
            entry.order_id.clone(),
        ]);
    }
    render::numbers(&mut table, [4, 5, 6]);
    table.to_string()
}

/// An entry's state in a word.
pub fn entry_state(state: i32) -> &'static str {
    match EntryState::try_from(state).unwrap_or_default() {
        EntryState::Unspecified => "unknown",
        EntryState::Joining => "joining",
        EntryState::Waiting => "waiting",
        EntryState::Fulfilled => "fulfilled",
        EntryState::Left => "left",
        EntryState::Expired => "expired",
        EntryState::Failed => "failed",
    }
}
