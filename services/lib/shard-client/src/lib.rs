//! Finds the shard of a run by the ring and calls it: one link per shard, hints followed, retries with a budget.
