//! The kernel's answers and views as responses.

use domain::Run;
use inventory::{Assigned, AssignedParts, BerthLevel, Board, Held, HoldStage, HoldView, Place, StopSale};
use proto::common::v1 as common;
use proto::inventory::v1 as wire;

/// A run by its parts.
pub fn run(run: Run) -> common::Run {
    common::Run {
        train_code: run.train.to_string(),
        service_date: run.date.to_string(),
        ordinal: u32::from(run.ordinal),
    }
}

/// A hold that stands.
pub fn held(held: &Held) -> wire::HoldResponse {
    wire::HoldResponse { places: places(&held.parts), open_by_ms: held.open_by.millis(), version: held.version }
}

/// Places as printed on tickets.
pub fn places(parts: &AssignedParts) -> Vec<common::Place> {
    parts.iter().map(place).collect()
}

/// The present state of a hold. One that ended has no places.
pub fn hold_view(view: &HoldView) -> wire::GetHoldResponse {
    let state = match view.stage {
        HoldStage::Held => wire::HoldState::Held,
        HoldStage::Opened => wire::HoldState::Opened,
        HoldStage::Confirmed => wire::HoldState::Confirmed,
        HoldStage::Offered => wire::HoldState::Offered,
        HoldStage::Released | HoldStage::Expired | HoldStage::Refunded | HoldStage::Changed | HoldStage::Declined => {
            wire::HoldState::Ended
        }
    };
    let live = view.parts.iter().filter(|part| view.stage.is_live() && !view.refunded.contains(&part.passenger));
    wire::GetHoldResponse {
        state: state.into(),
        places: live.map(place).collect(),
        until_ms: view.deadline.map_or(0, domain::Time::millis),
    }
}

/// A board with where it stands in the journal.
pub fn board(name: Run, board: &Board, epoch: u64, version: u64, as_of_ms: i64) -> wire::Board {
    let any = |wanted: fn(&StopSale) -> bool| board.sale.iter().any(wanted);
    let sale = if any(|stop| matches!(stop, StopSale::OpenUntil(_))) {
        wire::SaleState::Open
    } else if board.stops == 0 || any(|stop| matches!(stop, StopSale::OpensAt(_))) {
        wire::SaleState::NotOpen
    } else {
        wire::SaleState::Closed
    };
    let widened = |counts: &[u16]| counts.iter().map(|count| u32::from(*count)).collect::<Vec<_>>();
    let class = |class: &inventory::ClassBoard| wire::ClassBoard {
        seat_class: i32::from(class.class.code()),
        seats: widened(&class.seats),
        // A class that sells no standing tickets, or none now, needs no column of zeros.
        standing: if class.standing.iter().all(|count| *count == 0) { Vec::new() } else { widened(&class.standing) },
    };
    wire::Board {
        run: Some(run(name)),
        epoch,
        version,
        as_of_ms,
        sale: sale.into(),
        stops: u32::from(board.stops),
        classes: board.classes.iter().map(class).collect(),
        line_open: board.classes.iter().any(|class| class.line_open.contains(&true)),
    }
}

fn place(part: &Assigned) -> common::Place {
    common::Place {
        passenger: u32::from(part.passenger),
        seat_class: i32::from(part.class.code()),
        carriage: part.place.map_or(0, |place| u32::from(place.carriage)),
        label: part.place.as_ref().map_or_else(String::new, label),
        standing: part.is_standing(),
        from_stop: u32::from(part.interval.from()),
        to_stop: u32::from(part.interval.to()),
        berth: part.berth().map_or("", letter).to_owned(),
    }
}

/// `05C` for a seat, `12下` for a berth.
fn label(place: &Place) -> String {
    match place.berth {
        None => place.to_string(),
        Some(BerthLevel::Lower) => format!("{:02}下", place.row),
        Some(BerthLevel::Middle) => format!("{:02}中", place.row),
        Some(BerthLevel::Upper) => format!("{:02}上", place.row),
    }
}

const fn letter(level: BerthLevel) -> &'static str {
    match level {
        BerthLevel::Lower => "L",
        BerthLevel::Middle => "M",
        BerthLevel::Upper => "U",
    }
}
