//! Trades, captures, refunds and the ledger.
