use crate::Invalid;

/// A class of seats or berths. One train sells up to a handful of them; each is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SeatClass {
    /// 商务座: business class.
    Business = 1,
    /// 一等座: first class.
    First = 2,
    /// 二等座: second class.
    Second = 3,
    /// 软座: soft seat.
    SoftSeat = 4,
    /// 硬座: hard seat.
    HardSeat = 5,
    /// 软卧: soft sleeper, lower and upper berths.
    SoftSleeper = 6,
    /// 硬卧: hard sleeper, lower, middle and upper berths.
    HardSleeper = 7,
    /// 特等座: premier class.
    Premier = 8,
    /// 动卧: sleeper of a high-speed train.
    EmuSleeper = 9,
}

impl SeatClass {
    /// Every class, in order of its code.
    pub const ALL: [Self; 9] = [
        Self::Business,
        Self::First,
        Self::Second,
        Self::SoftSeat,
        Self::HardSeat,
        Self::SoftSleeper,
        Self::HardSleeper,
        Self::Premier,
        Self::EmuSleeper,
    ];

    /// The stable code written to the journal.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class of a stable code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// The name used in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::First => "first",
            Self::Second => "second",
            Self::SoftSeat => "soft_seat",
            Self::HardSeat => "hard_seat",
            Self::SoftSleeper => "soft_sleeper",
            Self::HardSleeper => "hard_sleeper",
            Self::Premier => "premier",
            Self::EmuSleeper => "emu_sleeper",
        }
    }

    /// The name printed on a ticket.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Business => "商务座",
            Self::First => "一等座",
            Self::Second => "二等座",
            Self::SoftSeat => "软座",
            Self::HardSeat => "硬座",
            Self::SoftSleeper => "软卧",
            Self::HardSleeper => "硬卧",
            Self::Premier => "特等座",
            Self::EmuSleeper => "动卧",
        }
    }

    /// Whether its places are berths (lower, middle, upper) rather than seats.
    pub const fn is_sleeper(self) -> bool {
        matches!(self, Self::SoftSleeper | Self::HardSleeper | Self::EmuSleeper)
    }
}

impl std::fmt::Display for SeatClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for SeatClass {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|class| class.name() == text || class.chinese() == text).ok_or_else(|| {
            Invalid::new(
                "seat class",
                "business, first, second, soft_seat, hard_seat, soft_sleeper, hard_sleeper, premier or emu_sleeper",
                text,
            )
        })
    }
}
