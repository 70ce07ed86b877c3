//! Tables and the words in them. Widths count Chinese characters as two columns.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use domain::{Money, SeatClass, Time};
use proto::common::v1 as wire;
use proto::order::v1 as orders;

/// An empty table with this header.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// Puts these columns to the right, as numbers stand.
pub fn numbers(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A class as printed on tickets.
pub fn class_name(code: i32) -> &'static str {
    u8::try_from(code).ok().and_then(SeatClass::from_code).map_or("?", SeatClass::chinese)
}

/// What can be bought of a class: `12`, `无座 4` or `-`.
pub fn availability(available: &wire::Availability) -> String {
    match (available.seats, available.standing) {
        (0, 0) => "-".to_owned(),
        (0, standing) => format!("无座 {standing}"),
        (seats, _) => seats.to_string(),
    }
}

/// A place as printed on tickets: `5车 05C`, `8车 12 下铺` or `无座`.
pub fn place(place: &wire::Place) -> String {
    if place.standing {
        return "无座".to_owned();
    }
    let berth = match place.berth.as_str() {
        "L" => " 下铺",
        "M" => " 中铺",
        "U" => " 上铺",
        _ => "",
    };
    format!("{}车 {}{berth}", place.carriage, place.label)
}

/// An order's state in a word.
pub fn order_state(state: i32) -> &'static str {
    match orders::OrderState::try_from(state).unwrap_or_default() {
        orders::OrderState::Unspecified => "unknown",
        orders::OrderState::Held => "held, not paid",
        orders::OrderState::Paying => "paying",
        orders::OrderState::Captured => "paid, confirming",
        orders::OrderState::Confirmed => "confirmed",
        orders::OrderState::Closing => "closing",
        orders::OrderState::Released => "released",
        orders::OrderState::Refunding => "refunding",
        orders::OrderState::Refunded => "refunded",
        orders::OrderState::Changing => "changing tickets",
    }
}

/// A ticket's state in a word.
pub fn ticket_state(state: i32) -> &'static str {
    match orders::TicketState::try_from(state).unwrap_or_default() {
        orders::TicketState::Unspecified => "unknown",
        orders::TicketState::Reserved => "reserved",
        orders::TicketState::Issued => "issued",
        orders::TicketState::Refunding => "refunding",
        orders::TicketState::Refunded => "refunded",
        orders::TicketState::Void => "void",
        orders::TicketState::Replacing => "not exchanged yet",
        orders::TicketState::Changed => "exchanged",
    }
}

/// The state of an exchange of tickets in a word.
pub fn change_state(state: i32) -> &'static str {
    match orders::TicketChangeState::try_from(state).unwrap_or_default() {
        orders::TicketChangeState::Unspecified => "unknown",
        orders::TicketChangeState::Holding => "holding seats",
        orders::TicketChangeState::Unpaid => "held, not paid",
        orders::TicketChangeState::Confirming => "confirming",
        orders::TicketChangeState::GivingUp => "being given up",
        orders::TicketChangeState::Failed => "failed",
        orders::TicketChangeState::Done => "done",
    }
}

/// An amount of fen as yuan.
pub fn yuan(fen: i64) -> String {
    Money::fen(fen).to_string()
}

/// A moment in the railway's own zone, to the second.
pub fn moment(ms: i64) -> String {
    let time = Time::from_millis(ms);
    let china = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| time.to_string(), |at| at.to_zoned(china).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// One order as tables: the order, its legs, its tickets.
pub fn order(order: &orders::Order) -> String {
    let mut head = table(["order", "state", "total", "refunded", "fees", "pay by"]);
    let unpaid = order.state == orders::OrderState::Held as i32 || order.state == orders::OrderState::Paying as i32;
    head.add_row([
        order.order_id.clone(),
        order_state(order.state).to_owned(),
        yuan(order.total_fen),
        yuan(order.refunded_fen),
        yuan(order.fees_fen),
        if unpaid { moment(order.pay_by_ms) } else { String::new() },
    ]);
    let mut tickets =
        table(["ticket", "train", "from", "to", "departure", "class", "place", "passenger", "fare", "state"]);
    for ticket in &order.tickets {
        let leg = order.legs.get(ticket.leg as usize).cloned().unwrap_or_default();
        let run = leg.run.unwrap_or_default();
        let places: Vec<String> = ticket.places.iter().map(place).collect();
        tickets.add_row([
            ticket.ticket_id.clone(),
            run.train_code,
            leg.from_station,
            leg.to_station,
            leg.departure.replace('T', " "),
            class_name(leg.seat_class).to_owned(),
            places.join(", "),
            ticket.passenger_name.clone(),
            yuan(ticket.fare_fen),
            ticket_state(ticket.state).to_owned(),
        ]);
    }
    numbers(&mut head, [2, 3, 4]);
    numbers(&mut tickets, [8]);
    let reason = if order.end_reason.is_empty() { String::new() } else { format!("\nended: {}", order.end_reason) };
    let changes = order.changes.iter().map(|change| {
        let (state, due) = (change_state(change.state), yuan(change.due_fen));
        let (back, kept) = (yuan(change.refund_fen), yuan(change.fee_fen));
        format!(
            "\nchange {}: {state}, paid {due}, came back {back}, kept {kept} {}",
            change.change_id, change.end_reason
        )
    });
    format!("{head}\n{tickets}{reason}{}", changes.collect::<String>())
}
