//! Logs, traces and metrics of a process, switched on by configuration.
