//! Replays demand against allocation and quota policies and compares them with a clairvoyant bound.
