//! Timetable search and availability from memory.
