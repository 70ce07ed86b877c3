//! A payment provider to develop and test against, with signed callbacks.
