//! The canonical bytes of a command, which its payload hash is taken over. Written to journals: they never change.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::command::{Command, HoldRequest, Preference, Together, Wish};
use crate::encoding;

impl Command {
    /// XXH3 (64 bits, seed 0) over a byte for the kind and the fields in order, numbers little-endian; plans, carriages and
    /// quotas in the journal's encoding.
    pub fn payload_hash(&self) -> u64 {
        let mut bytes = Bytes::new();
        bytes.push(self.kind_byte());
        match self {
            Self::OpenSale { plan, .. } => bytes.extend_from_slice(&encoding::plan_bytes(plan)),
            Self::Hold(request) => hold_request(&mut bytes, request),
            Self::OpenHold { .. } | Self::Confirm { .. } | Self::Release { .. } => {}
            Self::Leave { id } | Self::AcceptOffer { id } | Self::DeclineOffer { id } => bytes.push(id.choice),
            Self::Refund { passengers, .. } => bytes.extend_from_slice(passengers),
            Self::Change { old, new } => {
                bytes.extend_from_slice(&old.bytes());
                hold_request(&mut bytes, new);
            }
            Self::AddCapacity { carriages, .. } => bytes.extend_from_slice(&encoding::carriages_bytes(carriages)),
            Self::SetQuotas { quotas, .. } => bytes.extend_from_slice(&encoding::quotas_bytes(quotas)),
            Self::CloseSale { cancelled, .. } => bytes.push(u8::from(*cancelled)),
            Self::Join { id, wish: asked, deadline } => {
                bytes.push(id.choice);
                wish(&mut bytes, asked);
                bytes.extend_from_slice(&deadline.millis().to_le_bytes());
            }
            Self::Advance { to } => bytes.extend_from_slice(&to.millis().to_le_bytes()),
        }
        xxh3_64(&bytes)
    }

    fn kind_byte(&self) -> u8 {
        match self {
            Self::OpenSale { .. } => 1,
            Self::Hold(_) => 2,
            Self::OpenHold { .. } => 3,
            Self::Confirm { .. } => 4,
            Self::Release { .. } => 5,
            Self::Refund { .. } => 6,
            Self::Change { .. } => 7,
            Self::AddCapacity { .. } => 8,
            Self::SetQuotas { .. } => 9,
            Self::CloseSale { .. } => 10,
            Self::Join { .. } => 11,
            Self::Leave { .. } => 12,
            Self::AcceptOffer { .. } => 13,
            Self::DeclineOffer { .. } => 14,
            Self::Advance { .. } => 15,
        }
    }
}

/// Room for a party of five without the heap.
type Bytes = SmallVec<[u8; 128]>;

fn hold_request(bytes: &mut Bytes, request: &HoldRequest) {
    let flags = u8::from(request.allow_standing)
        | u8::from(request.allow_seat_change) << 1
        | u8::from(request.together == Together::SameCarriage) << 2;
    bytes.extend_from_slice(&[
        request.channel.code(),
        request.class.code(),
        request.interval.from(),
        request.interval.to(),
        flags,
    ]);
    for passenger in &request.passengers {
        let (kind, detail) = match passenger.preference {
            Preference::None => (0, 0),
            Preference::Letter(letter) => (1, letter),
            Preference::Window => (2, 0),
            Preference::Aisle => (3, 0),
            Preference::Berth(level) => (4, level as u8),
        };
        bytes.extend_from_slice(&passenger.person.0);
        bytes.extend_from_slice(&[kind, detail, u8::from(passenger.elderly)]);
    }
}

fn wish(bytes: &mut Bytes, wish: &Wish) {
    bytes.extend_from_slice(&[
        wish.channel.code(),
        wish.class.code(),
        wish.interval.from(),
        wish.interval.to(),
        u8::from(wish.standing),
    ]);
    for person in &wish.persons {
        bytes.extend_from_slice(&person.0);
    }
}
