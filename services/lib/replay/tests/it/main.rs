//! What the replay promises, on demand with fixed seeds.

mod figures;
mod recorded;
