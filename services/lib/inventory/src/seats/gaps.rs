use domain::{Interval, STOPS_MAX, StopIndex};

use super::{Gap, Mask, SeatIndex};

/// Lanes that are added together: one cache line holds two rows of them.
const LANES: usize = 16;

/// The index of maximal free gaps.
///
/// Every place keeps the set of its busy segments. A table counts how many places have each maximal free gap `[a, b)`, and
/// a row of bits per `a` says for which `b` the count is not 0. A place is free over `[i, j)` exactly when one of its
/// maximal gaps contains `[i, j)`, and it has at most one such gap; so sums over the table are exact counts, and the tightest
/// gap is found in the bits alone. Only then is one place with that gap searched among the busy masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaps<M> {
    /// First a row of bits for each `a`, bit `b - 1` for the gap `[a, b)`; then the busy segments of each place.
    masks: Vec<M>,
    /// `count(a, b)` at `a * stride + b - 1`; lanes from `segments` on stay 0.
    table: Vec<u16>,
    segments: usize,
    /// Lanes per row of the table: the segments rounded up to [`LANES`].
    stride: usize,
}

impl<M: Mask> Gaps<M> {
    /// The gap of a place around an interval over which it is free.
    #[inline]
    pub fn gap_around(&self, place: u16, interval: Interval) -> Gap {
        let busy = self.masks[self.segments + usize::from(place)];
        self.gap_in(busy, interval.from(), interval.to())
    }

    /// Whether any place is free over the interval.
    #[inline]
    pub fn has_free(&self, interval: Interval) -> bool {
        let wide = M::range(u32::from(interval.to()) - 1, self.segments as u32);
        self.masks[..=usize::from(interval.from())].iter().any(|&ends| ends & wide != M::EMPTY)
    }

    /// One bit per place, set where it is free over the interval.
    pub fn free_places(&self, interval: Interval) -> Vec<u64> {
        let wanted = M::range(u32::from(interval.from()), u32::from(interval.to()));
        let word = |chunk: &[M]| {
            let free = |(i, &busy): (usize, &M)| u64::from(busy & wanted == M::EMPTY) << i;
            chunk.iter().enumerate().map(free).fold(0, |word, bit| word | bit)
        };
        self.busy().chunks(64).map(word).collect()
    }

    /// The tightest place that passes a test; of several the first.
    pub fn best_fit_where(&self, interval: Interval, mut accept: impl FnMut(u16) -> bool) -> Option<u16> {
        let mut gaps: Vec<Gap> = self.gaps_around(interval).collect();
        gaps.sort_unstable_by_key(|gap| gap.looseness(interval));
        for gap in gaps {
            let mut start = 0;
            while let Some(place) = self.search(gap, start) {
                if accept(place) {
                    return Some(place);
                }
                start = usize::from(place) + 1;
            }
        }
        None
    }

    /// The gap over segment `from` that reaches furthest, of several the one that begins last.
    pub fn furthest_from(&self, from: StopIndex) -> Option<Gap> {
        let reach = |a: StopIndex| Gap { from: a, to: self.masks[usize::from(a)].end() as StopIndex };
        // `max_by_key` keeps the last of equals.
        (0..=from).map(reach).filter(|gap| gap.to > from).max_by_key(|gap| gap.to)
    }

    /// The first place that has exactly this gap.
    pub fn place_with(&self, gap: Gap) -> Option<u16> {
        self.search(gap, 0)
    }

    /// Recomputes the table and the rows of bits from the busy masks and compares.
    pub fn is_consistent(&self) -> bool {
        let mut table = vec![0u16; self.table.len()];
        for &busy in self.busy() {
            let mut from = 0;
            while from < self.segments {
                let gap = self.gap_in(busy, from as StopIndex, from as StopIndex);
                if gap.to > gap.from {
                    table[self.cell(gap)] += 1;
                }
                from = usize::from(gap.to) + 1;
            }
        }
        let bits_agree = |a: usize| {
            (0..self.segments).all(|lane| {
                let bit = self.masks[a] & M::range(lane as u32, lane as u32 + 1) != M::EMPTY;
                bit == (table[a * self.stride + lane] > 0)
            })
        };
        table == self.table && (0..self.segments).all(bits_agree)
    }

    /// How many bytes it owns.
    pub fn heap_bytes(&self) -> usize {
        self.masks.capacity() * size_of::<M>() + self.table.capacity() * size_of::<u16>()
    }

    fn busy(&self) -> &[M] {
        &self.masks[self.segments..]
    }

    #[inline]
    fn cell(&self, gap: Gap) -> usize {
        usize::from(gap.from) * self.stride + usize::from(gap.to) - 1
    }

    /// The free stretch of a busy mask around stops `from..to`, which are free.
    #[inline]
    fn gap_in(&self, busy: M, from: StopIndex, to: StopIndex) -> Gap {
        let before = busy & M::range(0, u32::from(from));
        let after = busy & M::range(u32::from(to), self.segments as u32);
        let end = if after == M::EMPTY { self.segments as u32 } else { after.lowest() };
        Gap { from: before.end() as StopIndex, to: end as StopIndex }
    }

    #[inline]
    fn add_gap(&mut self, from: StopIndex, to: StopIndex) {
        if from < to {
            let cell = self.cell(Gap { from, to });
            self.table[cell] += 1;
            self.masks[usize::from(from)] |= M::range(u32::from(to) - 1, u32::from(to));
        }
    }

    #[inline]
    fn remove_gap(&mut self, from: StopIndex, to: StopIndex) {
        if from < to {
            let cell = self.cell(Gap { from, to });
            self.table[cell] -= 1;
            if self.table[cell] == 0 {
                let row = &mut self.masks[usize::from(from)];
                *row = *row & !M::range(u32::from(to) - 1, u32::from(to));
            }
        }
    }

    /// The gaps that contain an interval and that some place has.
    fn gaps_around(&self, interval: Interval) -> impl Iterator<Item = Gap> + '_ {
        let wide = M::range(u32::from(interval.to()) - 1, self.segments as u32);
        (0..=interval.from()).flat_map(move |from| {
            let mut ends = self.masks[usize::from(from)] & wide;
            std::iter::from_fn(move || {
                (ends != M::EMPTY).then(|| {
                    let to = ends.lowest() as StopIndex + 1;
                    ends = ends.without_lowest();
                    Gap { from, to }
                })
            })
        })
    }

    /// The tightest gap around an interval: for each beginning only the nearest end can be it.
    #[inline]
    fn tightest(&self, interval: Interval) -> Option<Gap> {
        let wide = M::range(u32::from(interval.to()) - 1, self.segments as u32);
        let mut best = None;
        let mut least = u32::MAX;
        for from in (0..=interval.from()).rev() {
            // Every gap from here on leaves at least so much in front.
            if u32::from(interval.from() - from) > least >> 16 {
                break;
            }
            let ends = self.masks[usize::from(from)] & wide;
            if ends != M::EMPTY {
                let gap = Gap { from, to: ends.lowest() as StopIndex + 1 };
                let looseness = gap.looseness(interval);
                if looseness < least {
                    (best, least) = (Some(gap), looseness);
                }
            }
        }
        best
    }

    /// The first place from `start` on with exactly this gap: its segments free, and the ones next to it busy.
    #[inline]
    fn search(&self, gap: Gap, start: usize) -> Option<u16> {
        /// Masks compared before the loop asks whether one was equal; a multiple of every vector width.
        const BLOCK: usize = 32;
        let (from, to) = (u32::from(gap.from), u32::from(gap.to));
        let looked_at = M::range(from.saturating_sub(1), (to + 1).min(self.segments as u32));
        let wanted = looked_at & !M::range(from, to);
        let busy = &self.busy()[start..];
        let mut blocks = busy.chunks_exact(BLOCK);
        let mut offset = 0;
        for block in &mut blocks {
            let any = block.iter().fold(M::EMPTY, |any, &busy| any | (busy & looked_at).equals(wanted));
            if any != M::EMPTY {
                break;
            }
            offset += BLOCK;
        }
        let rest = &busy[offset..];
        let found = rest.iter().position(|&busy| busy & looked_at == wanted)?;
        Some((start + offset + found) as u16)
    }
}

impl<M: Mask> SeatIndex for Gaps<M> {
    fn new(segments: u8, places: u16) -> Self {
        let segments = usize::from(segments);
        assert!(segments > 0 && segments as u32 <= M::BITS, "{segments} segments do not fit the mask");
        let stride = segments.next_multiple_of(LANES);
        let mut gaps = Self { masks: vec![M::EMPTY; segments], table: vec![0; segments * stride], segments, stride };
        gaps.add_places(places);
        gaps
    }

    fn add_places(&mut self, places: u16) {
        self.masks.resize(self.masks.len() + usize::from(places), M::EMPTY);
        if places > 0 {
            let end = self.segments as StopIndex;
            self.add_gap(0, end);
            self.table[self.segments - 1] += places - 1;
        }
    }

    #[inline]
    fn free_count(&self, interval: Interval) -> u16 {
        let first = usize::from(interval.to()) - 1;
        let rows = usize::from(interval.from()) + 1;
        let mut count = 0;
        for block in (first - first % LANES..self.stride).step_by(LANES) {
            let mut sums = [0u16; LANES];
            for row in self.table.chunks_exact(self.stride).take(rows) {
                for (sum, gaps) in sums.iter_mut().zip(&row[block..block + LANES]) {
                    *sum += gaps;
                }
            }
            let skipped = first.saturating_sub(block);
            count += sums[skipped..].iter().sum::<u16>();
        }
        count
    }

    fn counts_all(&self, counts: &mut [u16]) {
        let mut sums = [0u16; STOPS_MAX];
        let sums = &mut sums[..self.stride];
        let mut rest = counts;
        for (from, row) in self.table.chunks_exact(self.stride).enumerate() {
            for (sum, gaps) in sums.iter_mut().zip(row) {
                *sum += gaps;
            }
            let (line, others) = rest.split_at_mut(self.segments - from);
            let mut free = 0;
            for (count, sum) in line.iter_mut().zip(&sums[from..self.segments]).rev() {
                free += sum;
                *count = free;
            }
            rest = others;
        }
    }

    #[inline]
    fn best_fit(&self, interval: Interval) -> Option<u16> {
        let gap = self.tightest(interval)?;
        let place = self.search(gap, 0);
        debug_assert!(place.is_some(), "the table counts a gap {gap:?} that no place has");
        place
    }

    #[inline]
    fn is_free(&self, place: u16, interval: Interval) -> bool {
        let busy = self.masks[self.segments + usize::from(place)];
        busy & M::range(u32::from(interval.from()), u32::from(interval.to())) == M::EMPTY
    }

    #[inline]
    fn occupy(&mut self, place: u16, interval: Interval) {
        let at = self.segments + usize::from(place);
        let (from, to) = (interval.from(), interval.to());
        let taken = M::range(u32::from(from), u32::from(to));
        assert!(self.masks[at] & taken == M::EMPTY, "I1: place {place} is taken twice on {from}-{to}");
        let gap = self.gap_in(self.masks[at], from, to);
        self.masks[at] |= taken;
        self.remove_gap(gap.from, gap.to);
        self.add_gap(gap.from, from);
        self.add_gap(to, gap.to);
    }

    #[inline]
    fn release(&mut self, place: u16, interval: Interval) {
        let at = self.segments + usize::from(place);
        let (from, to) = (interval.from(), interval.to());
        let freed = M::range(u32::from(from), u32::from(to));
        assert!(self.masks[at] & freed == freed, "I1: place {place} is given back twice on {from}-{to}");
        self.masks[at] = self.masks[at] & !freed;
        let gap = self.gap_in(self.masks[at], from, to);
        self.remove_gap(gap.from, from);
        self.remove_gap(to, gap.to);
        self.add_gap(gap.from, gap.to);
    }
}
