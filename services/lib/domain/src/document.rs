use std::fmt;

use jiff::civil::Date;

use crate::Invalid;

/// The kinds of document a ticket can be bought with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DocumentKind {
    /// 居民身份证: resident identity card, 18 characters with a check digit (GB 11643-1999).
    ResidentId = 1,
    /// Passport: 5 to 17 letters and digits.
    Passport = 2,
    /// 港澳居民来往内地通行证: permit of residents of Hong Kong and Macao, a letter and 8 or 10 digits.
    HongKongMacaoPermit = 3,
    /// 台湾居民来往大陆通行证: permit of residents of Taiwan, 8 digits.
    TaiwanPermit = 4,
}

impl DocumentKind {
    /// Every kind, in order of its code.
    pub const ALL: [Self; 4] = [Self::ResidentId, Self::Passport, Self::HongKongMacaoPermit, Self::TaiwanPermit];

    /// The stable code that goes into keyed hashes and databases.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a stable code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// An identity document: a kind and a number of that kind's grammar. Personal data: `Debug` hides the number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Document {
    kind: DocumentKind,
    number: String,
}

impl Document {
    /// A document of a kind with its number.
    ///
    /// # Errors
    /// A number that breaks the kind's grammar, a resident id with an impossible birth date or a wrong check digit.
    /// The message never repeats the number.
    pub fn new(kind: DocumentKind, number: &str) -> Result<Self, Invalid> {
        match kind {
            DocumentKind::ResidentId => check_resident_id(number)?,
            DocumentKind::Passport => check_passport(number)?,
            DocumentKind::HongKongMacaoPermit => check_hong_kong_macao(number)?,
            DocumentKind::TaiwanPermit => check_taiwan(number)?,
        }
        Ok(Self { kind, number: number.to_owned() })
    }

    /// The kind.
    pub const fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The number. Personal data: never log it, never store it in clear.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The date of birth, where the number carries it.
    pub fn birth_date(&self) -> Option<Date> {
        match self.kind {
            DocumentKind::ResidentId => birth_date(&self.number),
            _ => None,
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({:?}, ..)", self.kind)
    }
}

/// GB 11643-1999: 17 digits weighted by 2^(17-i) mod 11, and a check character that makes the sum 1 mod 11.
fn check_resident_id(number: &str) -> Result<(), Invalid> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECK: &[u8; 11] = b"10X98765432";
    let bytes = number.as_bytes();
    if bytes.len() != 18 || !bytes[..17].iter().all(u8::is_ascii_digit) {
        return Err(Invalid::private("resident id", "17 digits and a check character"));
    }
    if birth_date(number).is_none() {
        return Err(Invalid::private("resident id", "a real date of birth in digits 7 to 14"));
    }
    let sum: u32 = bytes.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    if bytes[17] == CHECK[(sum % 11) as usize] {
        Ok(())
    } else {
        Err(Invalid::private("resident id", "a number whose check character is right"))
    }
}

fn birth_date(number: &str) -> Option<Date> {
    let year = number.get(6..10)?.parse().ok()?;
    let month = number.get(10..12)?.parse().ok()?;
    let day = number.get(12..14)?.parse().ok()?;
    Date::new(year, month, day).ok().filter(|date| date.year() >= 1850)
}

fn check_passport(number: &str) -> Result<(), Invalid> {
    let plain = number.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if plain && (5..=17).contains(&number.len()) {
        Ok(())
    } else {
        Err(Invalid::private("passport number", "5 to 17 upper-case letters and digits"))
    }
}

fn check_hong_kong_macao(number: &str) -> Result<(), Invalid> {
    let right = number
        .strip_prefix(['H', 'M'])
        .is_some_and(|digits| matches!(digits.len(), 8 | 10) && digits.bytes().all(|b| b.is_ascii_digit()));
    if right { Ok(()) } else { Err(Invalid::private("permit number", "H or M and 8 or 10 digits")) }
}

fn check_taiwan(number: &str) -> Result<(), Invalid> {
    if number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(Invalid::private("permit number", "8 digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_example_numbers_pass() {
        // The two examples of GB 11643-1999.
        for number in ["11010519491231002X", "440524188001010014"] {
            assert!(Document::new(DocumentKind::ResidentId, number).is_ok(), "{number}");
        }
    }

    #[test]
    fn every_wrong_check_character_is_refused() {
        for check in "0123456789".chars() {
            let number = format!("11010519491231002{check}");
            assert!(Document::new(DocumentKind::ResidentId, &number).is_err(), "{number}");
        }
        assert!(Document::new(DocumentKind::ResidentId, "11010519491231002x").is_err());
    }

    #[test]
    fn an_impossible_birthday_is_refused() {
        assert!(Document::new(DocumentKind::ResidentId, "110105194902310020").is_err());
    }

    #[test]
    fn a_message_never_repeats_the_number() {
        let wrong = Document::new(DocumentKind::ResidentId, "110105194912310021").unwrap_err();
        assert!(!wrong.to_string().contains("1949"), "{wrong}");
        let right = Document::new(DocumentKind::Passport, "E12345678").unwrap();
        assert!(!format!("{right:?}").contains("1234"));
    }

    #[test]
    fn permits_have_their_own_grammar() {
        assert!(Document::new(DocumentKind::HongKongMacaoPermit, "H12345678").is_ok());
        assert!(Document::new(DocumentKind::HongKongMacaoPermit, "H123456789").is_err());
        assert!(Document::new(DocumentKind::TaiwanPermit, "01234567").is_ok());
        assert!(Document::new(DocumentKind::TaiwanPermit, "0123456A").is_err());
    }
}
