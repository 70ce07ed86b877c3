//! Stories over real processes and real engines.
