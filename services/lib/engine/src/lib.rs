//! The owner of slots: journal protocol as a state machine without I/O, and the shell that runs it.
