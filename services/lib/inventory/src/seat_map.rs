use std::fmt;

use domain::SeatClass;

use crate::plan::Carriage;

/// One place of a train, as printed on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its number within the class, from 0.
    pub number: u16,
    /// The number of its carriage.
    pub carriage: u16,
    /// Its row, or the side of a bay, from 1.
    pub row: u16,
    /// Its letter: `A` to `F` for seats, `L`, `M`, `U` for berths.
    pub letter: u8,
    /// The level, if it is a berth.
    pub berth: Option<BerthLevel>,
    /// Whether it is at the window.
    pub window: bool,
    /// Whether it is at the aisle.
    pub aisle: bool,
}

impl fmt::Display for Place {
    /// Row and letter, such as `05F`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}{}", self.row, char::from(self.letter))
    }
}

/// The level of a berth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BerthLevel {
    /// 下铺.
    Lower = 1,
    /// 中铺.
    Middle = 2,
    /// 上铺.
    Upper = 3,
}

/// How one row is laid out, read from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    columns: Vec<Column>,
}

/// One position of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    letter: u8,
    berth: Option<BerthLevel>,
    window: bool,
    aisle: bool,
    /// Which block between aisles it belongs to: neighbours of one block sit side by side.
    block: u8,
}

impl Layout {
    /// The most places in a row.
    pub const WIDTH_MAX: usize = 8;

    /// Reads a layout such as `ABC|DF` or `LMU`.
    ///
    /// # Errors
    /// Anything but different letters with single bars between them; berth letters in a class without berths.
    pub fn parse(text: &str, class: SeatClass) -> Result<Self, LayoutError> {
        let blocks: Vec<&[u8]> = text.as_bytes().split(|&byte| byte == b'|').collect();
        let width: usize = blocks.iter().map(|block| block.len()).sum();
        if !(1..=Self::WIDTH_MAX).contains(&width) || blocks.iter().any(|block| block.is_empty()) {
            return Err(LayoutError::Shape { text: text.chars().take(20).collect() });
        }
        let mut columns = Vec::with_capacity(width);
        for (block, letters) in blocks.iter().enumerate() {
            for (i, &letter) in letters.iter().enumerate() {
                if !letter.is_ascii_uppercase() || columns.iter().any(|column: &Column| column.letter == letter) {
                    return Err(LayoutError::Letter { letter: char::from(letter) });
                }
                let berth = berth_level(letter, class)?;
                let outer = (block == 0 && i == 0) || (block + 1 == blocks.len() && i + 1 == letters.len());
                let aisle = (block > 0 && i == 0) || (block + 1 < blocks.len() && i + 1 == letters.len());
                columns.push(Column { letter, berth, window: outer && berth.is_none(), aisle, block: block as u8 });
            }
        }
        Ok(Self { columns })
    }

    /// How many places a full row has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

fn berth_level(letter: u8, class: SeatClass) -> Result<Option<BerthLevel>, LayoutError> {
    if !class.is_sleeper() {
        return Ok(None);
    }
    match letter {
        b'L' => Ok(Some(BerthLevel::Lower)),
        b'M' => Ok(Some(BerthLevel::Middle)),
        b'U' => Ok(Some(BerthLevel::Upper)),
        _ => Err(LayoutError::NotABerth { letter: char::from(letter) }),
    }
}

/// Why the layout of a carriage cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Nothing, too much, or an aisle without seats beside it.
    #[error("layout {text:?} is not 1 to {} letters with single bars between them", Layout::WIDTH_MAX)]
    Shape {
        /// What came, shortened.
        text: String,
    },
    /// A character that is no capital letter, or stands twice.
    #[error("{letter:?} is no capital letter or stands twice in the layout")]
    Letter {
        /// The character.
        letter: char,
    },
    /// A sleeper's layout has only L, M and U.
    #[error("{letter:?} is no berth: a sleeper's layout is made of L, M and U")]
    NotABerth {
        /// The letter.
        letter: char,
    },
}

/// The places of one class: which number is which seat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeatMap {
    spans: Vec<Span>,
    places: u16,
}

/// The places of one carriage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub carriage: u16,
    pub first: u16,
    pub places: u16,
    layout: Layout,
}

impl SeatMap {
    /// Adds a carriage whose layout has been checked with its plan.
    pub fn push(&mut self, carriage: &Carriage) {
        let layout =
            Layout::parse(&carriage.layout, carriage.class).expect("a plan's layouts are checked when it comes");
        self.spans.push(Span { carriage: carriage.number, first: self.places, places: carriage.places, layout });
        self.places += carriage.places;
    }

    /// How many places there are.
    pub fn places(&self) -> u16 {
        self.places
    }

    /// The carriages of the class, in order of their places.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The carriage that holds a place.
    pub fn span_of(&self, place: u16) -> &Span {
        let after = self.spans.partition_point(|span| span.first <= place);
        &self.spans[after - 1]
    }

    /// How many places the largest carriage has.
    pub fn largest_carriage(&self) -> u16 {
        self.spans.iter().map(|span| span.places).max().unwrap_or(0)
    }

    /// The seat with a number.
    pub fn place(&self, number: u16) -> Place {
        let span = self.span_of(number);
        let (row, column) = span.row_and_column(number);
        Place {
            number,
            carriage: span.carriage,
            row: row + 1,
            letter: column.letter,
            berth: column.berth,
            window: column.window,
            aisle: column.aisle,
        }
    }
}

impl Span {
    /// How many places a full row has.
    pub fn width(&self) -> u16 {
        self.layout.width() as u16
    }

    /// Which block of its row, between aisles, a place belongs to.
    pub fn block(&self, place: u16) -> u8 {
        self.row_and_column(place).1.block
    }

    fn row_and_column(&self, place: u16) -> (u16, Column) {
        let offset = place - self.first;
        let width = self.width();
        (offset / width, self.layout.columns[usize::from(offset % width)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(layout: &str, class: SeatClass, places: u16) -> SeatMap {
        let mut map = SeatMap::default();
        for number in [3, 5] {
            map.push(&Carriage { number, class, layout: layout.to_owned(), places });
        }
        map
    }

    #[test]
    fn second_class_rows_read_as_printed_on_tickets() {
        let map = map("ABC|DF", SeatClass::Second, 90);
        let printed = |number| {
            let place = map.place(number);
            (place.carriage, place.to_string(), place.window, place.aisle)
        };
        assert_eq!(printed(0), (3, "01A".to_owned(), true, false));
        assert_eq!(printed(1), (3, "01B".to_owned(), false, false));
        assert_eq!(printed(2), (3, "01C".to_owned(), false, true));
        assert_eq!(printed(3), (3, "01D".to_owned(), false, true));
        assert_eq!(printed(89), (3, "18F".to_owned(), true, false));
        assert_eq!(printed(90), (5, "01A".to_owned(), true, false));
    }

    #[test]
    fn a_single_business_seat_has_window_and_aisle() {
        let place = map("AC|F", SeatClass::Business, 6).place(2);
        assert!(place.window && place.aisle);
    }

    #[test]
    fn berths_have_levels_and_no_window() {
        let place = map("LMU", SeatClass::HardSleeper, 66).place(4);
        assert_eq!((place.row, place.berth, place.window), (2, Some(BerthLevel::Middle), false));
    }

    #[test]
    fn wrong_layouts_are_named() {
        for (text, class) in [
            ("", SeatClass::Second),
            ("AB||C", SeatClass::Second),
            ("ABCDEFGHI", SeatClass::Second),
            ("ABA", SeatClass::Second),
            ("ab", SeatClass::Second),
            ("ABC", SeatClass::SoftSleeper),
        ] {
            assert!(Layout::parse(text, class).is_err(), "{text}");
        }
    }
}
