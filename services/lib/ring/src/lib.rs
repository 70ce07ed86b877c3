//! Consistent hashing of slots onto shards. No I/O.
