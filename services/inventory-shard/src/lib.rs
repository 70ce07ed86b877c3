//! A shard of inventory: the train-dates of the slots it owns.
