use domain::{SLOTS, SlotId};
use xxhash_rust::xxh3::xxh3_64;

use crate::Member;

/// Virtual nodes of a shard of ordinary weight. Fewer leave neighbouring slots to the same runner-up, and a change then
/// moves more than it must; more change nothing that 1,024 slots could show.
pub const VIRTUAL_NODES: u32 = 512;

/// How far clockwise a slot lies from the nearest virtual node of a member.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    distance: u64,
    slot: u16,
    /// Index by name, so that ties do not depend on the order of a list.
    rank: u16,
}

/// How many slots a member may own: its share of the weights, give or take the square root of it.
///
/// That root is one standard deviation of plain hashing, 9 % of 128 slots. Tighter bounds make a change of members move
/// more than it must, wider ones buy nothing.
struct Bounds {
    least: u32,
    share: u32,
    most: u32,
}

/// For each slot the index of its owner.
///
/// All pairs of slot and member are taken by rising distance: a slot goes to its nearest member that has room (`most`);
/// then members under `least` take their nearest slots from members over their share. Both rules look at distances
/// alone, so a change of members disturbs few pairs.
pub(crate) fn owners(members: &[Member]) -> Vec<u16> {
    let by_name = ranked(members);
    let bounds = bounds(members, &by_name);
    let pairs = pairs(members, &by_name);
    let mut load = vec![0u32; members.len()];
    let mut owner = vec![None; usize::from(SLOTS)];
    for Pair { slot, rank, .. } in &pairs {
        let (slot, rank) = (usize::from(*slot), usize::from(*rank));
        if owner[slot].is_none() && load[rank] < bounds[rank].most {
            owner[slot] = Some(rank);
            load[rank] += 1;
        }
    }
    // The upper bounds add up to at least all slots, so every slot has an owner.
    let mut owner: Vec<usize> = owner.into_iter().map(Option::unwrap_or_default).collect();
    for Pair { slot, rank, .. } in &pairs {
        let (slot, rank) = (usize::from(*slot), usize::from(*rank));
        let giver = owner[slot];
        if load[rank] < bounds[rank].least && load[giver] > bounds[giver].share {
            load[giver] -= 1;
            load[rank] += 1;
            owner[slot] = rank;
        }
    }
    owner.into_iter().map(|rank| by_name[rank]).collect()
}

/// Indices of members in order of their names.
fn ranked(members: &[Member]) -> Vec<u16> {
    let mut indices: Vec<u16> = (0..members.len()).map(|index| index as u16).collect();
    indices.sort_by_key(|index| &members[usize::from(*index)].shard);
    indices
}

fn bounds(members: &[Member], by_name: &[u16]) -> Vec<Bounds> {
    let total: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
    let bounds = by_name.iter().map(|index| {
        let weighted = u64::from(SLOTS) * u64::from(members[usize::from(*index)].weight);
        let (share, rounded_up) = (weighted / total, weighted.div_ceil(total));
        let slack = share.isqrt();
        Bounds { least: (share - slack) as u32, share: share as u32, most: (rounded_up + slack) as u32 }
    });
    bounds.collect()
}

fn pairs(members: &[Member], by_name: &[u16]) -> Vec<Pair> {
    let places: Vec<(u16, u64)> = SlotId::all().map(|slot| (slot.number(), place_of_slot(slot))).collect();
    let mut pairs = Vec::with_capacity(places.len() * members.len());
    for (rank, index) in by_name.iter().enumerate() {
        let nodes = virtual_nodes(&members[usize::from(*index)]);
        for (slot, place) in &places {
            let next = nodes.partition_point(|node| node < place) % nodes.len();
            pairs.push(Pair { distance: nodes[next].wrapping_sub(*place), slot: *slot, rank: rank as u16 });
        }
    }
    pairs.sort_unstable();
    pairs
}

fn place_of_slot(slot: SlotId) -> u64 {
    let mut key = *b"slot\0\0";
    key[4..].copy_from_slice(&slot.number().to_le_bytes());
    xxh3_64(&key)
}

/// The places of a member's virtual nodes, in order. A heavier member has the lighter one's and more.
fn virtual_nodes(member: &Member) -> Vec<u64> {
    let count = (VIRTUAL_NODES * member.weight).div_ceil(Member::WEIGHT_ORDINARY);
    let mut nodes: Vec<u64> = (0..count)
        .map(|number| {
            let mut key = member.shard.as_str().as_bytes().to_vec();
            key.push(0);
            key.extend_from_slice(&number.to_le_bytes());
            xxh3_64(&key)
        })
        .collect();
    nodes.sort_unstable();
    nodes
}
