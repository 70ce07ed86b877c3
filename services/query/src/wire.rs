//! Boards as the shards send them.

use domain::{Invalid, Run, STOPS_MAX, SeatClass, Time};
use proto::inventory::v1 as wire;

use crate::board::{Board, ClassCounts, Misshapen, Stamp};

/// A board that makes no sense: a bug of the shard, or of its version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBoard {
    /// It does not say of which run it is.
    #[error("a board without a run")]
    NoRun,
    /// Its run cannot be read.
    #[error(transparent)]
    Run(#[from] Invalid),
    /// It has more stops than a train may have.
    #[error("a board of {0} stops")]
    Stops(u32),
    /// Its counts do not fit its stops.
    #[error(transparent)]
    Counts(#[from] Misshapen),
}

/// The run and its board. A class this version does not know is left out.
///
/// # Errors
/// A board that makes no sense.
pub fn board(wire: &wire::Board) -> Result<(Run, Board), BadBoard> {
    let named = wire.run.as_ref().ok_or(BadBoard::NoRun)?;
    let ordinal = u8::try_from(named.ordinal.max(1)).map_err(|_| BadBoard::NoRun)?;
    let run = Run { train: named.train_code.parse()?, date: named.service_date.parse()?, ordinal };
    let stops = u8::try_from(wire.stops).ok().filter(|stops| usize::from(*stops) <= STOPS_MAX);
    let stops = stops.ok_or(BadBoard::Stops(wire.stops))?;
    let classes: Vec<ClassCounts<'_>> = wire.classes.iter().filter_map(class).collect();
    let stamp = Stamp { epoch: wire.epoch, version: wire.version };
    let mut board = Board::empty(stamp, Time::from_millis(wire.as_of_ms), stops).with_counts(&classes)?;
    board.on_sale = wire.sale() == wire::SaleState::Open;
    board.line_open = wire.line_open;
    Ok((run, board))
}

fn class(wire: &wire::ClassBoard) -> Option<ClassCounts<'_>> {
    let class = u8::try_from(wire.seat_class).ok().and_then(SeatClass::from_code)?;
    Some(ClassCounts { class, seats: &wire.seats, standing: &wire.standing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Interval;
    use proto::common::v1 as common;

    fn sent() -> wire::Board {
        wire::Board {
            run: Some(common::Run { train_code: "G71".into(), service_date: "2026-12-01".into(), ordinal: 0 }),
            epoch: 3,
            version: 9,
            as_of_ms: 77,
            sale: wire::SaleState::Open.into(),
            stops: 3,
            classes: vec![
                wire::ClassBoard { seat_class: 3, seats: vec![5, 4, 6], standing: vec![] },
                wire::ClassBoard { seat_class: 99, seats: vec![1], standing: vec![] },
            ],
            line_open: true,
        }
    }

    #[test]
    fn a_board_is_read_and_a_class_of_the_future_left_out() {
        let (run, board) = board(&sent()).unwrap();
        assert_eq!(run.to_string(), "G71@2026-12-01");
        assert_eq!(board.stamp, Stamp { epoch: 3, version: 9 });
        assert!(board.on_sale && board.line_open);
        let through = board.places(SeatClass::Second, Interval::new(0, 2).unwrap()).unwrap();
        assert_eq!(through.seats, 4);
    }

    #[test]
    fn nonsense_is_refused() {
        let broken: [fn(&mut wire::Board); 4] = [
            |board| board.run = None,
            |board| board.stops = 129,
            |board| board.classes[0].seats.truncate(2),
            |board| board.run.as_mut().unwrap().train_code = "no train".into(),
        ];
        for break_it in broken {
            let mut sent = sent();
            break_it(&mut sent);
            assert!(board(&sent).is_err(), "{sent:?}");
        }
    }
}
