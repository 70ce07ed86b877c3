use std::fmt;
use std::str::FromStr;

use crate::Invalid;

/// The type of a ticket, which decides its fare (RULES: Fares).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PassengerKind {
    /// Full fare.
    Adult = 1,
    /// 6 to under 14 years on the travel date: half fare.
    Child = 2,
    /// A student between home and school.
    Student = 3,
    /// A disabled serviceman, police officer or firefighter: half fare.
    Disabled = 4,
    /// A child under 6 years on the travel date who travels free, without a seat, beside an adult.
    Infant = 5,
}

impl PassengerKind {
    /// Every kind, in order of its code.
    pub const ALL: [Self; 5] = [Self::Adult, Self::Child, Self::Student, Self::Disabled, Self::Infant];

    /// The stable code stored in databases.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a stable code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adult => "adult",
            Self::Child => "child",
            Self::Student => "student",
            Self::Disabled => "disabled",
            Self::Infant => "infant",
        }
    }

    /// Whether the ticket comes with a seat or a standing place.
    pub const fn has_place(self) -> bool {
        !matches!(self, Self::Infant)
    }

    /// Whether it is a child who does not travel alone.
    pub const fn is_child(self) -> bool {
        matches!(self, Self::Child | Self::Infant)
    }
}

/// A passenger's name as on the document: 1 to 60 characters, no control characters, no spaces at its ends.
#[derive(Clone, PartialEq, Eq)]
pub struct PassengerName(String);

impl PassengerName {
    /// The longest name in characters.
    pub const MAX_CHARS: usize = 60;

    /// The name. Personal data: never log it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PassengerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassengerName(..)")
    }
}

impl FromStr for PassengerName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let length = text.chars().count();
        let clean = text.trim() == text && !text.chars().any(char::is_control);
        if clean && (1..=Self::MAX_CHARS).contains(&length) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::private("passenger name", "1 to 60 characters without control characters or outer spaces"))
        }
    }
}
