//! Keeps passengers unnamed: keyed person tokens, look-up hashes and envelope encryption of documents.
