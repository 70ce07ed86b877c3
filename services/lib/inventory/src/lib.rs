//! The seat kernel of a train-date: decides who sits where. No I/O, clock or randomness.
