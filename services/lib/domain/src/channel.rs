use crate::Invalid;

/// Where a request was made: channels draw on allotments of their own (RULES: Sale).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Apps and web sites.
    Online = 1,
    /// A station's ticket window.
    Window = 2,
    /// Telephone booking.
    Phone = 3,
    /// A licensed agency.
    Agency = 4,
}

impl Channel {
    /// Every channel, in order of its code.
    pub const ALL: [Self; 4] = [Self::Online, Self::Window, Self::Phone, Self::Agency];

    /// The stable code written to the journal.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The channel of a stable code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.code() == code)
    }

    /// The name used in policy files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Window => "window",
            Self::Phone => "phone",
            Self::Agency => "agency",
        }
    }
}

impl std::str::FromStr for Channel {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.name() == text)
            .ok_or_else(|| Invalid::new("channel", "online, window, phone or agency", text))
    }
}
