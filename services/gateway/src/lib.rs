//! The public face of the fleet.
