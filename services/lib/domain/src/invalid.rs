use std::fmt;

/// Why an input is not a value of its type: which field, what came, what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// What kind of value was meant, in the field's words: `train code`, `service date`.
    pub what: &'static str,
    /// What is allowed, as a sentence part: `a letter or none, then 1 to 5 digits`.
    pub allowed: &'static str,
    /// What came, shortened; empty where it must not be repeated (documents, names).
    pub got: String,
}

impl Invalid {
    /// An error that repeats the input, cut to 40 characters.
    pub fn new(what: &'static str, allowed: &'static str, got: &str) -> Self {
        Self { what, allowed, got: got.chars().take(40).collect() }
    }

    /// An error about personal data: the input is never repeated.
    pub fn private(what: &'static str, allowed: &'static str) -> Self {
        Self { what, allowed, got: String::new() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.got.is_empty() {
            write!(f, "invalid {}: expected {}", self.what, self.allowed)
        } else {
            write!(f, "invalid {} {:?}: expected {}", self.what, self.got, self.allowed)
        }
    }
}
