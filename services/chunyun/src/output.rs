//! The one place that prints: results to standard output, everything said beside them to standard error.

use std::io::Write;

/// One line, or several, of a result.
pub fn line(text: &str) {
    // A closed pipe (`chunyun search | head -1`) ends the reader's interest, not in an error of ours.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A result as one JSON document on one line.
pub fn document(value: &serde_json::Value) {
    line(&value.to_string());
}

/// Something worth saying that is not the result.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
