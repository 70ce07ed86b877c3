//! Stations, trains, compositions and fares: the model, its CSV format, importers and checker.
