use domain::{Invalid, Run};
use rpc::{Failure, reason};
use tonic::Status;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field that is no value of its type.
    #[error("{field}: {invalid}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        invalid: Invalid,
    },
    /// A text that no station is called by.
    #[error("{field}: no station or city is called {text:?}{}", did_you_mean(suggestions))]
    UnknownStation {
        /// The field.
        field: &'static str,
        /// What came.
        text: String,
        /// The closest names; may be empty.
        suggestions: Vec<String>,
    },
    /// A journey that ends where it begins.
    #[error("from and to mean the same stations")]
    SameStations,
    /// A page token of another search, or none at all.
    #[error("page_token: not one that this search has given")]
    PageToken,
    /// The timetable has no such train.
    #[error("the timetable has no train {}", run.train)]
    UnknownTrain {
        /// The run asked for.
        run: Run,
    },
    /// The train does not leave its origin on that date.
    #[error("train {} does not run on {}", run.train, run.date)]
    NotRunning {
        /// The run asked for.
        run: Run,
    },
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() { String::new() } else { format!("; did you mean {}?", suggestions.join(", ")) }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid { field, invalid } => Self::invalid_field(field, &invalid),
            Error::UnknownStation { field, suggestions, .. } => {
                let description =
                    format!("a station's name, pinyin or telecode, or a city{}", did_you_mean(&suggestions));
                let failure = Self { message, ..Self::bad_field(field, description) };
                if suggestions.is_empty() { failure } else { failure.with("suggestions", suggestions.join(",")) }
            }
            Error::SameStations => Self { message, ..Self::bad_field("to", "another station or city than from") },
            Error::PageToken => {
                Self { message, ..Self::bad_field("page_token", "the next_page_token of the same search, or nothing") }
            }
            Error::UnknownTrain { run } | Error::NotRunning { run } => {
                Self::not_found(reason::TRAIN_NOT_FOUND, message).with("run", run)
            }
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
