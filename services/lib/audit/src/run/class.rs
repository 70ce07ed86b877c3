use journal_encoding::v1;

/// The most segments of a train: one bit of a mask each.
pub const SEGMENTS_MAX: usize = 128;

/// The places of one class and who is on them: one mask of busy segments per place.
pub struct Class {
    busy: Vec<u128>,
    /// Free places per segment.
    free: Vec<u32>,
    standing_places: u32,
    /// Standing tickets per segment.
    standing_sold: Vec<u32>,
    /// Places drawn from each channel's allotments, per segment, by channel code.
    drawn: Vec<Vec<u32>>,
}

/// The channel codes: 0 for none, 1 to 4.
const CHANNELS: usize = 5;

/// Why a part cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It could.
    Yes,
    /// The train has no such place or interval.
    NoSuchPlace,
    /// Somebody has it.
    Twice,
    /// More people stand than there is room for.
    StandingFull,
}

impl Class {
    /// A class without places.
    pub fn new(segments: usize, standing_places: u32) -> Self {
        let segments = segments.min(SEGMENTS_MAX);
        Self {
            busy: Vec::new(),
            free: vec![0; segments],
            standing_places,
            standing_sold: vec![0; segments],
            drawn: vec![vec![0; segments]; CHANNELS],
        }
    }

    /// Adds free places after the others.
    pub fn add_places(&mut self, places: u32) {
        self.busy.resize(self.busy.len() + places as usize, 0);
        self.free.iter_mut().for_each(|free| *free += places);
    }

    /// Takes what a part says. What is taken twice stays with its first holder.
    pub fn take(&mut self, part: &v1::Part) -> Taken {
        let (from, to) = (part.from as usize, part.to as usize);
        if from >= to || to > self.free.len() {
            return Taken::NoSuchPlace;
        }
        let taken = if part.standing { self.stand(from, to) } else { self.sit(part.place as usize, from, to) };
        if taken == Taken::Yes && (part.allotment as usize) < CHANNELS && part.allotment > 0 {
            self.drawn[part.allotment as usize][from..to].iter_mut().for_each(|drawn| *drawn += 1);
        }
        taken
    }

    fn stand(&mut self, from: usize, to: usize) -> Taken {
        if self.standing_sold[from..to].iter().any(|&sold| sold >= self.standing_places) {
            return Taken::StandingFull;
        }
        self.standing_sold[from..to].iter_mut().for_each(|sold| *sold += 1);
        Taken::Yes
    }

    fn sit(&mut self, place: usize, from: usize, to: usize) -> Taken {
        let mask = mask(from, to);
        match self.busy.get_mut(place) {
            None => Taken::NoSuchPlace,
            Some(busy) if *busy & mask != 0 => Taken::Twice,
            Some(busy) => {
                *busy |= mask;
                self.free[from..to].iter_mut().for_each(|free| *free -= 1);
                Taken::Yes
            }
        }
    }

    /// Gives back what a part has taken.
    pub fn give_back(&mut self, part: &v1::Part) {
        let (from, to) = (part.from as usize, part.to as usize);
        if part.standing {
            self.standing_sold[from..to].iter_mut().for_each(|sold| *sold -= 1);
        } else {
            self.busy[part.place as usize] &= !mask(from, to);
            self.free[from..to].iter_mut().for_each(|free| *free += 1);
        }
        if (part.allotment as usize) < CHANNELS && part.allotment > 0 {
            self.drawn[part.allotment as usize][from..to].iter_mut().for_each(|drawn| *drawn -= 1);
        }
    }

    /// Free places on a segment.
    pub fn free(&self, segment: usize) -> u32 {
        self.free.get(segment).copied().unwrap_or(0)
    }

    /// How many places are free over the whole interval: at most `wanted` are counted.
    pub fn free_over(&self, from: usize, to: usize, wanted: u32) -> u32 {
        // Most waiting entries wait because some segment is sold out, and that is cheap to see.
        let least = (from..to).map(|segment| self.free(segment)).min().unwrap_or(0);
        if least == 0 {
            return 0;
        }
        let mask = mask(from, to);
        self.busy.iter().filter(|busy| **busy & mask == 0).take(wanted as usize).count() as u32
    }

    /// Standing room over the whole interval.
    pub fn standing_free(&self, from: usize, to: usize) -> u32 {
        let most = self.standing_sold.get(from..to).and_then(|sold| sold.iter().max()).copied().unwrap_or(0);
        self.standing_places.saturating_sub(most)
    }

    /// Places a channel has drawn from its allotments on a segment.
    pub fn drawn(&self, channel: u32, segment: usize) -> u32 {
        self.drawn.get(channel as usize).and_then(|drawn| drawn.get(segment)).copied().unwrap_or(0)
    }
}

fn mask(from: usize, to: usize) -> u128 {
    (from..to).fold(0, |mask, segment| mask | 1 << segment)
}
