use domain::{Channel, Interval, SeatClass, StopIndex};

use crate::event::Part;
use crate::plan::Carriage;
use crate::refusal::Segments;
use crate::seat_map::SeatMap;
use crate::seats::{SeatIndex as _, Seats};

/// The places of one class of a train on sale, and who is on them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassState {
    pub class: SeatClass,
    pub map: SeatMap,
    pub seats: Seats,
    /// Free places per segment: the index could tell, but every rule asks.
    pub free: Vec<u16>,
    /// Standing places per segment.
    pub standing_places: u16,
    /// Standing tickets per segment.
    pub standing_sold: Vec<u16>,
    /// Places drawn from the allotments of each channel, per segment; empty until one is drawn.
    drawn: [Vec<u16>; Channel::ALL.len()],
}

impl ClassState {
    pub fn new(class: SeatClass, segments: u8, standing_places: u16) -> Self {
        Self {
            class,
            map: SeatMap::default(),
            seats: Seats::new(segments, 0),
            free: vec![0; usize::from(segments)],
            standing_places,
            standing_sold: vec![0; usize::from(segments)],
            drawn: Default::default(),
        }
    }

    /// Adds a carriage of this class, all free.
    pub fn add_carriage(&mut self, carriage: &Carriage) {
        self.map.push(carriage);
        self.seats.add_places(carriage.places);
        self.free.iter_mut().for_each(|free| *free += carriage.places);
    }

    /// Whether a part could be taken: its place exists and is free, or standing room is left.
    pub fn has_room_for(&self, part: &Part) -> bool {
        match part.place {
            Some(place) => place < self.map.places() && self.seats.is_free(place, part.interval),
            None => self.standing_free(part.interval) > 0,
        }
    }

    /// Takes what a part says.
    pub fn take(&mut self, part: &Part) {
        let segments = range(part.interval);
        match part.place {
            Some(place) => {
                self.seats.occupy(place, part.interval);
                self.free[segments.clone()].iter_mut().for_each(|free| *free -= 1);
            }
            None => self.standing_sold[segments.clone()].iter_mut().for_each(|sold| *sold += 1),
        }
        if let Some(channel) = part.allotment {
            let length = self.free.len();
            let drawn = &mut self.drawn[usize::from(channel.code()) - 1];
            drawn.resize(length, 0);
            drawn[segments].iter_mut().for_each(|drawn| *drawn += 1);
        }
    }

    /// Gives back what a part says.
    pub fn give_back(&mut self, part: &Part) {
        let segments = range(part.interval);
        match part.place {
            Some(place) => {
                self.seats.release(place, part.interval);
                self.free[segments.clone()].iter_mut().for_each(|free| *free += 1);
            }
            None => self.standing_sold[segments.clone()].iter_mut().for_each(|sold| *sold -= 1),
        }
        if let Some(channel) = part.allotment {
            let drawn = &mut self.drawn[usize::from(channel.code()) - 1];
            drawn[segments].iter_mut().for_each(|drawn| *drawn -= 1);
            if drawn.iter().all(|&drawn| drawn == 0) {
                // As if none had ever been drawn: equal states are equal in memory too.
                drawn.clear();
            }
        }
    }

    /// How many standing places are left over an interval.
    pub fn standing_free(&self, interval: Interval) -> u16 {
        let most = self.standing_sold[range(interval)].iter().copied().max().unwrap_or(0);
        self.standing_places.saturating_sub(most)
    }

    /// About how many bytes it owns and is.
    pub fn heap_bytes(&self) -> usize {
        let drawn: usize = self.drawn.iter().map(Vec::capacity).sum();
        let segments = self.free.capacity() + self.standing_sold.capacity() + drawn;
        size_of::<Self>() + self.seats.heap_bytes() + segments * size_of::<u16>() + size_of_val(self.map.spans())
    }

    /// Whether more standing tickets were sold than there are places.
    pub fn standing_free_is_negative(&self) -> bool {
        self.standing_sold.iter().any(|&sold| sold > self.standing_places)
    }

    /// How many places a channel has drawn from its allotments on a segment.
    pub fn drawn(&self, channel: Channel, segment: StopIndex) -> u16 {
        let drawn = &self.drawn[usize::from(channel.code()) - 1];
        drawn.get(usize::from(segment)).copied().unwrap_or(0)
    }

    /// The segments of an interval on which fewer than so many places are free.
    pub fn short_segments(&self, interval: Interval, wanted: u16) -> Segments {
        (interval.from()..interval.to()).filter(|&segment| self.free[usize::from(segment)] < wanted).collect()
    }
}

/// The segments of an interval as indices.
pub(crate) fn range(interval: Interval) -> std::ops::Range<usize> {
    usize::from(interval.from())..usize::from(interval.to())
}
