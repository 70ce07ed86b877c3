//! Recomputes seats, journal chain and money from the databases alone, by code that shares nothing with the services.
