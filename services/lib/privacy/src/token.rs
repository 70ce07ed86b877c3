use domain::{Document, PersonToken, ServiceDate};

use crate::Key;

/// Makes the tokens under which inventory knows passengers: equal for one person on one service date, unlinkable
/// between dates.
#[derive(Debug)]
pub struct PersonTokens {
    master: Key,
}

impl PersonTokens {
    /// Tokens under a master secret. Every process of a fleet must have the same one.
    pub const fn new(master: Key) -> Self {
        Self { master }
    }

    /// Who the holder of a document is on a service date: 128 bits of HMAC-SHA256, under that date's own key, over the
    /// kind and number of the document.
    pub fn token(&self, date: ServiceDate, document: &Document) -> PersonToken {
        let day_key = self.master.derive("chunyun person token day", &date.days().to_be_bytes());
        let hash = day_key.hash("chunyun person token", &[&[document.kind().code()], document.number().as_bytes()]);
        let (token, _) = hash.split_first_chunk().expect("32 bytes hold 16");
        PersonToken(*token)
    }

    /// Who the holder of a document is on a place that is to replace another one on the same run, by the number of the
    /// change. The run would refuse the person's own token beside itself; that nobody keeps two places is its caller's to
    /// see to.
    pub fn replacement(&self, date: ServiceDate, document: &Document, number: u8) -> PersonToken {
        let day_key = self.master.derive("chunyun person token day", &date.days().to_be_bytes());
        let parts = [&[document.kind().code()], document.number().as_bytes(), &[number]];
        let hash = day_key.hash("chunyun person token of a replacement", &parts);
        let (token, _) = hash.split_first_chunk().expect("32 bytes hold 16");
        PersonToken(*token)
    }
}

#[cfg(test)]
mod tests {
    use domain::DocumentKind;

    use super::*;

    fn tokens(hex: &str) -> PersonTokens {
        PersonTokens::new(Key::from_hex(&hex.repeat(32)).unwrap())
    }

    fn passport(number: &str) -> Document {
        Document::new(DocumentKind::Passport, number).unwrap()
    }

    #[test]
    fn a_token_depends_on_secret_date_kind_and_number() {
        let day: ServiceDate = "2026-12-01".parse().unwrap();
        let permit = Document::new(DocumentKind::TaiwanPermit, "12345678").unwrap();
        let base = tokens("01").token(day, &passport("12345678"));
        assert_eq!(tokens("01").token(day, &passport("12345678")), base, "every process makes the same token");
        for other in [
            tokens("02").token(day, &passport("12345678")),
            tokens("01").token(day.plus_days(1), &passport("12345678")),
            tokens("01").token(day, &passport("12345679")),
            tokens("01").token(day, &permit),
        ] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn a_replacement_stands_beside_the_persons_own_token() {
        let day: ServiceDate = "2026-12-01".parse().unwrap();
        let (maker, document) = (tokens("01"), passport("12345678"));
        let first = maker.replacement(day, &document, 0);
        assert_eq!(tokens("01").replacement(day, &document, 0), first, "every process makes the same");
        assert_ne!(first, maker.token(day, &document));
        assert_ne!(first, maker.replacement(day, &document, 1));
    }

    #[test]
    fn a_token_is_the_published_construction() {
        // Computed with Python's hmac module: d = HMAC(01*32, "chunyun person token day" 00 | 8-byte length 4 | days),
        // t = HMAC(d, "chunyun person token" 00 | length 1 | 02 | length 9 | "E12345678"), first 16 bytes.
        let token = tokens("01").token("2026-11-22".parse().unwrap(), &passport("E12345678"));
        assert_eq!(hex::encode(token.0), "ee4822777fa7e1809eab67a2663754fa");
    }
}
