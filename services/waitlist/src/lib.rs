//! Standing demand: passengers who wait for a seat.
