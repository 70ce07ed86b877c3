//! The seat kernel of a train-date: decides who sits where. No I/O, clock or randomness.

mod answer;
mod apply;
mod board;
mod class_state;
mod command;
mod decide;
pub mod encoding;
mod event;
mod hash;
mod hold;
mod limits;
mod line;
mod payload;
mod plan;
mod policy;
pub mod protection;
mod refusal;
mod repeat;
mod sale;
mod seat_map;
pub mod seats;
mod shared_list;
mod snapshot;
mod train_date;

pub use answer::{Answer, Assigned, AssignedParts, Executed, Held};
pub use board::{Board, ClassBoard, StopSale};
pub use command::{
    Command, CommandId, CommandMeta, HoldRequest, Passenger, Preference, RequestId, Together, Wish, WishId,
};
pub use event::{Event, Part, Parts, Record};
pub use hold::{HoldStage, HoldView};
pub use plan::{Carriage, PARTY_MAX, PLACES_MAX, Plan, PlanError, PlanStop, SaleTerms, StandingAllowance};
pub use policy::{Allotment, Protection, ProtectionStep, Quota, QuotaError, QuotaKind, QuotaPolicy, QuotaStep};
pub use refusal::{Refusal, Rule, Segments};
pub use seat_map::{BerthLevel, Layout, LayoutError, Place};
pub use snapshot::{FrozenTrainDate, SnapshotError, WrittenState};
pub use train_date::{BrokenInvariant, TrainDate};
