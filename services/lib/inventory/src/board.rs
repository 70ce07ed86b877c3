use domain::{SeatClass, Time};

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
