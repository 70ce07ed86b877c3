use domain::{Channel, Interval, SeatClass, StopIndex, Time};

use crate::class_state::ClassState;
use crate::refusal::Refusal;
use crate::sale::Sale;
use crate::seats::SeatIndex as _;

/// What a party of one could hold now by the general online channel: after quotas and allotments, without the seats offered
/// to the line. All tables are in the order of [`domain::Interval::all`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// The aggregate's time.
    pub at: Time,
    /// How many stops the run has; 0 before it is on sale.
    pub stops: u8,
    /// For each boarding stop but the terminus, whether it sells.
    pub sale: Vec<StopSale>,
    /// Each class on the train.
    pub classes: Vec<ClassBoard>,
}

/// Whether a boarding stop sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSale {
    /// Sale has not opened.
    OpensAt(Time),
    /// It sells until then.
    OpenUntil(Time),
    /// Its sale ended at this time, shortly before departure.
    EndedAt(Time),
    /// The run is closed for good.
    Closed,
}

/// One class of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassBoard {
    /// The class.
    pub class: SeatClass,
    /// Seats that could be sold, per interval.
    pub seats: Vec<u16>,
    /// Standing places that could be sold, per interval.
    pub standing: Vec<u16>,
    /// Whether the line is open, per interval: its boarding stop sells, and no seat can be sold.
    pub line_open: Vec<bool>,
}

impl Board {
    pub(crate) fn of(at: Time, sale: Option<&Sale>) -> Self {
        let Some(sale) = sale else {
            return Self { at, stops: 0, sale: Vec::new(), classes: Vec::new() };
        };
        let selling: Vec<StopSale> = (0..sale.segments()).map(|stop| StopSale::of(sale, stop, at)).collect();
        let classes = sale.classes.iter().map(|class| ClassBoard::of(sale, class, &selling, at)).collect();
        Self { at, stops: sale.plan.stops.len() as u8, sale: selling, classes }
    }
}

impl StopSale {
    fn of(sale: &Sale, stop: StopIndex, now: Time) -> Self {
        match sale.check_selling(stop, now) {
            Ok(()) => Self::OpenUntil(sale.sale_ends(stop).unwrap_or(now)),
            Err(Refusal::NotOnSaleUntil(opens)) => Self::OpensAt(opens),
            Err(Refusal::SaleEnded(end)) => Self::EndedAt(end),
            Err(_) => Self::Closed,
        }
    }
}

impl ClassBoard {
    fn of(sale: &Sale, class: &ClassState, selling: &[StopSale], now: Time) -> Self {
        let stops = sale.plan.stops.len();
        let mut seats = vec![0; stops * (stops - 1) / 2];
        class.seats.counts_all(&mut seats);
        let mut standing = vec![0; seats.len()];
        let mut line_open = vec![false; seats.len()];
        for (i, interval) in Interval::all(stops).enumerate() {
            if !matches!(selling[usize::from(interval.from())], StopSale::OpenUntil(_)) {
                seats[i] = 0;
                continue;
            }
            let asked = sale.asked(class, interval, Channel::Online, now);
            let at_most = |bound: Option<crate::limits::Bound>| bound.map_or(u32::MAX, |bound| bound.tickets);
            let sold_out = seats[i] == 0;
            seats[i] = at_most(sale.limits.seats(&asked)).min(u32::from(seats[i])) as u16;
            if sold_out && class.standing_places > 0 {
                let left = u32::from(class.standing_free(interval));
                standing[i] = at_most(sale.limits.standing(&asked)).min(left) as u16;
            }
            line_open[i] = seats[i] == 0;
        }
        Self { class: class.class, seats, standing, line_open }
    }
}
