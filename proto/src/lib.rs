//! Generated types of every chunyun package, and the descriptor set for reflection.
