//! Quotes: prices that hold for a while, whatever becomes of the fare table. They are signed and carried by the client.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Interval, Money, PassengerKind, Run, SeatClass, Time};
use serde::{Deserialize, Serialize};
use timetable::BerthLevel;

use super::App;
use super::open::NewOrder;
use crate::error::Error;

/// A journey to be quoted.
#[derive(Clone, Debug)]
pub struct NewQuote {
    /// The trains.
    pub legs: Vec<(Run, SeatClass, Interval)>,
    /// The types of the tickets, passenger by passenger.
    pub kinds: Vec<PassengerKind>,
}

/// A journey's price for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What the client carries.
    pub token: String,
    /// Until when it holds.
    pub expires_at: Time,
    /// What it costs at most.
    pub total: Money,
    /// Leg, passenger, berth where there is a choice of them, and fare.
    pub fares: Vec<(usize, usize, Option<BerthLevel>, Money)>,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
pub(super) struct Signed {
    expires_at_ms: i64,
    legs: Vec<String>,
    kinds: Vec<u8>,
    /// Leg, passenger, berth or nothing, fare in fen.
    fares: Vec<(usize, usize, String, i64)>,
}

impl App {
    /// Quotes a journey at the fares of now.
    pub fn quote(&self, wanted: &NewQuote) -> Result<Quote, Error> {
        let rules = &self.policy.order;
        if wanted.legs.is_empty() || wanted.legs.len() > rules.legs_max as usize {
            return Err(Error::Legs { max: rules.legs_max, got: wanted.legs.len() });
        }
        if wanted.kinds.is_empty() || wanted.kinds.len() > rules.passengers_max as usize {
            let got = wanted.kinds.len();
            return Err(crate::rules::party::BadParty::Size { max: rules.passengers_max, got }.into());
        }
        let (mut fares, mut total) = (Vec::new(), Money::ZERO);
        for (leg, (run, class, interval)) in wanted.legs.iter().enumerate() {
            let train = self.train(*run, *interval)?;
            let levels = BerthLevel::of(*class);
            for (passenger, kind) in wanted.kinds.iter().enumerate() {
                let fare = |berth| self.fare(*run, &train, (*class, *interval), berth, (passenger, *kind));
                let berths: Vec<_> =
                    if levels.is_empty() { vec![None] } else { levels.iter().copied().map(Some).collect() };
                let of_ticket = berths
                    .into_iter()
                    .map(|berth| Ok((leg, passenger, berth, fare(berth)?)))
                    .collect::<Result<Vec<_>, Error>>()?;
                total = total + of_ticket.iter().map(|(.., fare)| *fare).max().unwrap_or_default();
                fares.extend(of_ticket);
            }
        }
        let expires_at = self.clock.now().plus_millis(i64::from(rules.quote_seconds) * 1_000);
        let signed = Signed {
            expires_at_ms: expires_at.millis(),
            legs: wanted.legs.iter().map(|(run, class, interval)| leg_text(*run, *class, *interval)).collect(),
            kinds: wanted.kinds.iter().map(|kind| kind.code()).collect(),
            fares: fares.iter().map(|(leg, who, berth, fare)| (*leg, *who, letter(*berth), fare.as_fen())).collect(),
        };
        let text = serde_json::to_vec(&signed).expect("texts, numbers and lists are always JSON");
        let token = format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(self.vault.sign(&text)));
        Ok(Quote { token, expires_at, total, fares })
    }

    /// What a quote says of an order, if it is ours, holds still, and is for this order.
    pub(super) fn read_quote(&self, token: &str, new: &NewOrder, now: Time) -> Result<Signed, Error> {
        let signed = self.open_quote(token).ok_or(Error::QuoteInvalid)?;
        let same_legs =
            new.legs.iter().map(|leg| leg_text(leg.run, leg.class, leg.interval)).eq(signed.legs.iter().cloned());
        let same_kinds = new.passengers.iter().map(|it| it.kind.code()).eq(signed.kinds.iter().copied());
        if !(same_legs && same_kinds) {
            return Err(Error::QuoteInvalid);
        }
        let expired_at = Time::from_millis(signed.expires_at_ms);
        if now >= expired_at { Err(Error::QuoteExpired { expired_at }) } else { Ok(signed) }
    }

    fn open_quote(&self, token: &str) -> Option<Signed> {
        let (text, signature) = token.split_once('.')?;
        let (text, signature) = (URL_SAFE_NO_PAD.decode(text).ok()?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        self.vault.is_signed(&text, &signature).then(|| serde_json::from_slice(&text).ok()).flatten()
    }
}

impl Signed {
    /// What a ticket costs by the quote, on the berth it was given.
    pub(super) fn fare(&self, leg: usize, passenger: usize, berth: Option<BerthLevel>) -> Option<Money> {
        let of_ticket = || self.fares.iter().filter(|(at, who, ..)| (*at, *who) == (leg, passenger));
        let exact = of_ticket().find(|(_, _, known, _)| *known == letter(berth));
        exact.or_else(|| of_ticket().next()).map(|(.., fen)| Money::fen(*fen))
    }
}

fn leg_text(run: Run, class: SeatClass, interval: Interval) -> String {
    format!("{run} {class} {} {}", interval.from(), interval.to())
}

/// The letter of a berth as places carry it.
pub(crate) fn letter(berth: Option<BerthLevel>) -> String {
    let letter = match berth {
        None => "",
        Some(BerthLevel::Lower) => "L",
        Some(BerthLevel::Middle) => "M",
        Some(BerthLevel::Upper) => "U",
    };
    letter.to_owned()
}
