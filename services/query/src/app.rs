//! Searches: the timetable says which trains go, the boards say what is left of them.

use std::sync::Arc;

use domain::{BoardingDate, Interval, Money, Run, SeatClass, Time};
use timetable::{DirectTrain, StationId, Timetable, TrainIndex};

use crate::board::{Places, Stamp};
use crate::boards::Boards;
use crate::error::Error;
use crate::page::{PageToken, RideKey, fingerprint};
use crate::stations;

/// Answers every question from memory.
#[derive(Clone, Debug)]
pub struct App {
    timetable: Arc<Timetable>,
    boards: Arc<Boards>,
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// A station or city.
    pub from: &'a str,
    /// A station or city.
    pub to: &'a str,
    /// The calendar date at the boarding stop.
    pub boarding_date: BoardingDate,
    /// Only these classes; empty for all.
    pub classes: Vec<SeatClass>,
    /// At most so many journeys.
    pub page_size: usize,
    /// Where the last page ended; empty for the first.
    pub page_token: &'a str,
}

/// One page of a search.
#[derive(Clone, Debug)]
pub struct Page {
    /// Journeys in order of departure.
    pub journeys: Vec<Journey>,
    /// The token of the next page; empty on the last.
    pub next_page_token: String,
}

/// A direct train and what is left on it.
#[derive(Clone, Debug)]
pub struct Journey {
    /// When it goes from where to where.
    pub ride: DirectTrain,
    /// The train-date.
    pub run: Run,
    /// What can be bought.
    pub offer: Offer,
}

/// What can be bought of a run over one interval.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Per class, in the order of the classes' codes.
    pub classes: Vec<ClassOffer>,
    /// Whether the run is on sale.
    pub on_sale: bool,
    /// When the counts were last known to be right; none where no shard has told of the run.
    pub as_of: Option<Time>,
    /// Which change of the run is shown.
    pub stamp: Stamp,
}

/// What can be bought of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassOffer {
    /// The class.
    pub class: SeatClass,
    /// Seats and standing places.
    pub places: Places,
    /// The full adult fare; none where none is published.
    pub fare: Option<Money>,
}

/// A run of the timetable with what can be bought from its first to its last stop.
#[derive(Clone, Debug)]
pub struct TrainView {
    /// The train.
    pub train: TrainIndex,
    /// The offer from the origin to the terminus.
    pub offer: Offer,
}

impl App {
    /// Answers from this timetable and these boards.
    pub fn new(timetable: Arc<Timetable>, boards: Arc<Boards>) -> Self {
        Self { timetable, boards }
    }

    /// The timetable answered from.
    pub fn timetable(&self) -> &Timetable {
        &self.timetable
    }

    /// Direct trains with what is left on them.
    ///
    /// # Errors
    /// A station that is not known, a journey to where it begins, a page token of another search.
    pub fn search(&self, search: &Search<'_>) -> Result<Page, Error> {
        let from = stations::resolve(&self.timetable, "from", search.from)?;
        let to = stations::resolve(&self.timetable, "to", search.to)?;
        if from == to {
            return Err(Error::SameStations);
        }
        let fingerprint = self.fingerprint(search, &from, &to);
        let after = match search.page_token {
            "" => None,
            token => match PageToken::decode(token) {
                Some(token) if token.search == fingerprint => Some(token.last),
                _ => return Err(Error::PageToken),
            },
        };
        let rides = self.timetable.direct_trains(&from, &to, search.boarding_date);
        let start = after.map_or(0, |last| rides.partition_point(|ride| RideKey::of(ride) <= last));
        let mut wanted = rides[start..].iter().filter(|ride| self.sells_any(ride.train, &search.classes));
        let journeys: Vec<Journey> =
            wanted.by_ref().take(search.page_size).map(|ride| self.journey(ride, &search.classes)).collect();
        let next_page_token = match (journeys.last(), wanted.next()) {
            (Some(last), Some(_)) => PageToken { search: fingerprint, last: RideKey::of(&last.ride) }.encode(),
            _ => String::new(),
        };
        Ok(Page { journeys, next_page_token })
    }

    /// One run.
    ///
    /// # Errors
    /// A train the timetable does not have, or that does not run on that date.
    pub fn train(&self, run: Run) -> Result<TrainView, Error> {
        let train = self.timetable.train_by_code(run.train).ok_or(Error::UnknownTrain { run })?;
        // The timetable knows one run per train and date.
        if run.ordinal != 1 || !self.timetable.runs_on(train, run.date) {
            return Err(Error::NotRunning { run });
        }
        let last = self.timetable.train(train).stops.len() - 1;
        let through = Interval::new(0, last as u8).expect("a train has at least two stops and at most 128");
        Ok(TrainView { train, offer: self.offer(train, run, through, &[]) })
    }

    /// Up to `limit` stations that a text may mean, exact meanings first.
    pub fn find_stations(&self, text: &str, limit: usize) -> Vec<StationId> {
        stations::find(&self.timetable, text, limit)
    }

    fn journey(&self, ride: &DirectTrain, classes: &[SeatClass]) -> Journey {
        let run = Run::first(self.timetable.train(ride.train).code, ride.service_date);
        let interval = Interval::new(ride.from, ride.to).expect("a ride alights after it boards");
        Journey { ride: *ride, run, offer: self.offer(ride.train, run, interval, classes) }
    }

    /// What can be bought over an interval, of these classes or of all.
    fn offer(&self, train: TrainIndex, run: Run, interval: Interval, only: &[SeatClass]) -> Offer {
        let wanted = |class: &SeatClass| only.is_empty() || only.contains(class);
        let sold = || self.timetable.composition(train).classes().filter(wanted);
        let fare = |class| self.timetable.fare(train, class, None, interval);
        let mut classes = Vec::with_capacity(SeatClass::ALL.len());
        let shown = self.boards.read(run, interval, sold(), |class, places| {
            classes.push(ClassOffer { class, places, fare: fare(class) });
        });
        match shown {
            Some(shown) => Offer { classes, on_sale: shown.on_sale, as_of: Some(shown.as_of), stamp: shown.stamp },
            None => {
                let nothing = |class| ClassOffer { class, places: Places::default(), fare: fare(class) };
                Offer { classes: sold().map(nothing).collect(), ..Offer::default() }
            }
        }
    }

    fn sells_any(&self, train: TrainIndex, classes: &[SeatClass]) -> bool {
        classes.is_empty() || self.timetable.composition(train).classes().any(|class| classes.contains(&class))
    }

    /// Names a search by what it means rather than by its words: 北京 and beijing are one search.
    fn fingerprint(&self, search: &Search<'_>, from: &[StationId], to: &[StationId]) -> u64 {
        let names = |stations: &[StationId]| {
            let keys: Vec<&str> = stations.iter().map(|id| &*self.timetable.station(*id).key).collect();
            keys.join("\n")
        };
        let mut classes: Vec<&str> = search.classes.iter().map(|class| class.name()).collect();
        classes.sort_unstable();
        classes.dedup();
        let date = search.boarding_date.to_string();
        fingerprint(self.timetable.content_hash(), &[&names(from), &names(to), &date, &classes.join("\n")])
    }
}
