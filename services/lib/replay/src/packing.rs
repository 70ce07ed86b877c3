use std::collections::VecDeque;

use domain::Interval;

/// What one interval asks for: the arcs of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    pub interval: Interval,
    /// How many may be taken at most.
    pub amount: i64,
    /// What each of them is worth.
    pub worth: i64,
}

/// The best way to fill a train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    /// What all that was taken is worth together: no choice of the demands is worth more.
    pub worth: i64,
    /// How much of each demand was taken, in the order in which they were given.
    pub taken: Vec<i64>,
    /// What one more place on a segment would be worth, per segment.
    pub prices: Vec<i64>,
}

/// Packs intervals onto a train with so many places on each segment, so that they are worth the most.
///
/// Selecting intervals so that no segment is used more often than it has places is a flow along the line of stops: each
/// place is a unit that travels from the first stop to the last, over an interval that pays or over a segment that does not. The
/// constraints have consecutive ones, so the best flow is a whole number of everything and is the best selection; and intervals
/// that overload no segment can always be dealt out to the places (colouring an interval graph needs no more colours than
/// its largest clique). Solved by primal-dual shortest paths, in integers: the graph is a line with at most 128 nodes, there are as
/// many rounds as paths of different cost, and computed policies solve it a few hundred times per train.
pub(crate) fn pack(places: &[i64], demands: &[Demand]) -> Packing {
    if is_ample(places, demands) {
        let taken: Vec<i64> = demands.iter().map(|demand| demand.amount).collect();
        let worth = demands.iter().map(|demand| demand.amount * demand.worth).sum();
        return Packing { worth, taken, prices: vec![0; places.len()] };
    }
    let stops = places.len() + 1;
    let mut flow = Flow::new(stops + 2);
    let (source, sink) = (stops, stops + 1);
    let unlimited = places.iter().sum::<i64>().max(1);
    for segment in 0..places.len() {
        flow.add_arc(segment, segment + 1, unlimited, 0);
    }
    let first_demand = flow.arcs.len();
    for demand in demands {
        let (from, to) = (usize::from(demand.interval.from()), usize::from(demand.interval.to()));
        flow.add_arc(from, to, demand.amount.max(0), -demand.worth);
    }
    // What crosses the cut between two stops is exactly the places of the segment: the change of them enters or leaves there.
    for stop in 0..stops {
        let before = if stop == 0 { 0 } else { places[stop - 1] };
        let after = places.get(stop).copied().unwrap_or(0);
        match after - before {
            enters if enters > 0 => flow.add_arc(source, stop, enters, 0),
            leaves if leaves < 0 => flow.add_arc(stop, sink, -leaves, 0),
            _ => {}
        }
    }
    let cost = flow.run(source, sink);
    flow.final_potentials();
    let taken = (0..demands.len()).map(|nth| flow.arcs[first_demand + 2 * nth + 1].left).collect();
    let prices = (0..places.len()).map(|s| flow.potential[s] - flow.potential[s + 1]).collect();
    Packing { worth: -cost, taken, prices }
}

/// Whether there is room for all that is asked for, as on most trains of a timetable, and all of it is wanted.
fn is_ample(places: &[i64], demands: &[Demand]) -> bool {
    let mut left = places.to_vec();
    for demand in demands {
        let segments = usize::from(demand.interval.from())..usize::from(demand.interval.to());
        left[segments].iter_mut().for_each(|left| *left -= demand.amount);
    }
    left.iter().all(|&left| left >= 0) && demands.iter().all(|demand| demand.amount >= 0 && demand.worth >= 0)
}

/// A flow of least cost. Arcs stand in pairs: an arc and, next to it, its reverse.
struct Flow {
    arcs: Vec<Arc>,
    out: Vec<Vec<usize>>,
    /// So chosen that no arc with room costs less than nothing once the fall of potential along it is taken off.
    potential: Vec<i64>,
}

#[derive(Clone, Copy)]
struct Arc {
    to: usize,
    left: i64,
    cost: i64,
}

/// One search for paths.
struct Search {
    levels: Vec<usize>,
    /// The first arc of each node that may still lead on.
    next: Vec<usize>,
}

const UNREACHED: i64 = i64::MAX / 4;

impl Flow {
    fn new(nodes: usize) -> Self {
        Self { arcs: Vec::new(), out: vec![Vec::new(); nodes], potential: vec![0; nodes] }
    }

    fn add_arc(&mut self, from: usize, to: usize, left: i64, cost: i64) {
        self.out[from].push(self.arcs.len());
        self.arcs.push(Arc { to, left, cost });
        self.out[to].push(self.arcs.len());
        self.arcs.push(Arc { to: from, left: 0, cost: -cost });
    }

    /// Sends all that can be sent, and says what it cost.
    fn run(&mut self, source: usize, sink: usize) -> i64 {
        let mut from_source = vec![UNREACHED; self.out.len()];
        from_source[source] = 0;
        // No arc leads back yet: in the order of the line, every distance is final when its node's turn comes.
        let line = (0..self.out.len()).filter(|node| ![source, sink].contains(node));
        self.potential = self.relaxed(from_source, std::iter::once(source).chain(line).collect());
        let mut cost = 0;
        loop {
            let distance = self.shortest_paths(source);
            if distance[sink] >= UNREACHED {
                return cost;
            }
            // A node that cannot be reached now never will be: room in reverse only appears along paths that were taken.
            let reached = self.potential.iter_mut().zip(&distance).filter(|(_, distance)| **distance < UNREACHED);
            reached.for_each(|(potential, distance)| *potential += distance);
            while let Some(levels) = self.levels(source, sink) {
                let mut search = Search { levels, next: vec![0; self.out.len()] };
                let sent = self.send(source, sink, UNREACHED, &mut search);
                cost += sent * (self.potential[sink] - self.potential[source]);
            }
        }
    }

    /// Potentials for every node, reached or not, once no more can be sent.
    fn final_potentials(&mut self) {
        let reached = self.potential.iter().map(|&potential| if potential < UNREACHED { potential } else { 0 });
        self.potential = self.relaxed(reached.collect(), (0..self.out.len()).collect());
    }

    /// Lowers distances until no arc with room is a shorter way; there is no cycle that costs less than nothing. `queue` holds
    /// each node to begin with at most once.
    fn relaxed(&self, mut distance: Vec<i64>, mut queue: VecDeque<usize>) -> Vec<i64> {
        let mut queued = vec![false; distance.len()];
        queue.iter().for_each(|&node| queued[node] = true);
        while let Some(node) = queue.pop_front() {
            queued[node] = false;
            if distance[node] >= UNREACHED {
                continue;
            }
            for &arc in &self.out[node] {
                let Arc { to, left, cost } = self.arcs[arc];
                if left > 0 && distance[node] + cost < distance[to] {
                    distance[to] = distance[node] + cost;
                    if !queued[to] {
                        queued[to] = true;
                        queue.push_back(to);
                    }
                }
            }
        }
        distance
    }

    /// Distances in reduced costs, none of which is negative.
    fn shortest_paths(&self, source: usize) -> Vec<i64> {
        let nodes = self.out.len();
        let (mut distance, mut done) = (vec![UNREACHED; nodes], vec![false; nodes]);
        distance[source] = 0;
        let nearest = |distance: &[i64], done: &[bool]| {
            (0..nodes).filter(|&node| !done[node] && distance[node] < UNREACHED).min_by_key(|&node| distance[node])
        };
        while let Some(node) = nearest(&distance, &done) {
            done[node] = true;
            for &arc in &self.out[node] {
                let Arc { to, left, .. } = self.arcs[arc];
                if left > 0 {
                    distance[to] = distance[to].min(distance[node] + self.reduced_cost(node, arc));
                }
            }
        }
        distance
    }

    /// How many arcs each node is from the source along shortest paths only; none once no such path reaches the sink.
    fn levels(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut levels = vec![usize::MAX; self.out.len()];
        levels[source] = 0;
        let mut queue = VecDeque::from([source]);
        while let Some(node) = queue.pop_front() {
            for &arc in &self.out[node] {
                let Arc { to, left, .. } = self.arcs[arc];
                if left > 0 && levels[to] == usize::MAX && self.reduced_cost(node, arc) == 0 {
                    levels[to] = levels[node] + 1;
                    queue.push_back(to);
                }
            }
        }
        (levels[sink] < usize::MAX).then_some(levels)
    }

    /// Sends up to `limit` from a node along shortest paths, each arc a level further, until every such path is full (Dinic).
    fn send(&mut self, node: usize, sink: usize, limit: i64, search: &mut Search) -> i64 {
        if node == sink {
            return limit;
        }
        let mut sent = 0;
        while let Some(&arc) = self.out[node].get(search.next[node]) {
            let Arc { to, left, .. } = self.arcs[arc];
            if left > 0 && search.levels[to] == search.levels[node] + 1 && self.reduced_cost(node, arc) == 0 {
                let through = self.send(to, sink, left.min(limit - sent), search);
                self.arcs[arc].left -= through;
                self.arcs[arc ^ 1].left += through;
                sent += through;
                if sent == limit {
                    // The arc may have room left for the next that comes here.
                    break;
                }
            }
            search.next[node] += 1;
        }
        sent
    }

    fn reduced_cost(&self, from: usize, arc: usize) -> i64 {
        let Arc { to, cost, .. } = self.arcs[arc];
        cost + self.potential[from] - self.potential[to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(from: u8, to: u8, amount: i64, worth: i64) -> Demand {
        Demand { interval: Interval::new(from, to).unwrap(), amount, worth }
    }

    #[test]
    fn the_textbook_train_is_packed_as_by_hand() {
        // A-B-C-D, one seat. A-B and B-D together beat A-D alone by one; A-C and C-D are worth as much as A-D.
        let demands =
            [demand(0, 3, 1, 4), demand(0, 1, 1, 2), demand(1, 3, 1, 3), demand(0, 2, 1, 2), demand(2, 3, 1, 2)];
        let packing = pack(&[1, 1, 1], &demands);
        assert_eq!((packing.worth, packing.taken), (5, vec![0, 1, 1, 0, 0]));
    }

    #[test]
    fn prices_pay_for_what_was_taken_and_refuse_what_was_not() {
        // Two seats; the middle is asked for by many.
        let demands = [demand(0, 3, 1, 3), demand(1, 2, 5, 1), demand(0, 1, 1, 1), demand(2, 3, 1, 1)];
        let packing = pack(&[2, 2, 2], &demands);
        assert_eq!(packing.worth, 6);
        assert_eq!(packing.taken, [1, 1, 1, 1]);
        // Strong duality: places at their prices, and what the best demands are worth above them.
        let price = |interval: Interval| -> i64 {
            packing.prices[usize::from(interval.from())..usize::from(interval.to())].iter().sum()
        };
        let above: i64 = demands.iter().map(|d| d.amount * (d.worth - price(d.interval)).max(0)).sum();
        assert_eq!(2 * packing.prices.iter().sum::<i64>() + above, 6);
    }

    #[test]
    fn segments_without_places_take_nothing() {
        let demands = [demand(0, 2, 5, 2), demand(1, 3, 5, 2), demand(1, 2, 5, 1), demand(0, 1, 5, 1)];
        let packing = pack(&[0, 3, 1], &demands);
        assert_eq!((packing.worth, packing.taken), (4, vec![0, 1, 2, 0]));
    }

    /// Tries every selection.
    fn naive(places: &[i64], demands: &[Demand]) -> i64 {
        let Some((first, rest)) = demands.split_first() else { return 0 };
        let mut best = 0;
        for amount in 0..=first.amount {
            let mut left = places.to_vec();
            let segments = usize::from(first.interval.from())..usize::from(first.interval.to());
            left[segments].iter_mut().for_each(|left| *left -= amount);
            if left.iter().all(|&left| left >= 0) {
                best = best.max(amount * first.worth + naive(&left, rest));
            }
        }
        best
    }

    #[test]
    fn nothing_beats_the_packing() {
        use rand::{Rng, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for round in 0..400 {
            let places: Vec<i64> = (0..4).map(|_| random.random_range(0..3)).collect();
            let demands: Vec<Demand> = (0..6)
                .map(|_| {
                    let from = random.random_range(0..4);
                    demand(from, random.random_range(from + 1..5), random.random_range(0..3), random.random_range(0..9))
                })
                .collect();
            assert_eq!(
                pack(&places, &demands).worth,
                naive(&places, &demands),
                "round {round}: {places:?} {demands:?}"
            );
        }
    }
}
