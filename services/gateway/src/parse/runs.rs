use domain::{Invalid, Run};
use proto::common::v1 as wire;

use crate::error::Error;

/// A run of the wire, with the path of the field that holds it.
pub fn run_in(field: &str, run: Option<&wire::Run>) -> Result<Run, Error> {
    let run = run.ok_or_else(|| Error::field(field, "expected a train code and a service date"))?;
    let train = run.train_code.parse().map_err(Error::invalid(format!("{field}.train_code")))?;
    let date = run.service_date.parse().map_err(Error::invalid(format!("{field}.service_date")))?;
    let ordinal = u8::try_from(run.ordinal.max(1)).map_err(|_| {
        let invalid = Invalid::new("ordinal", "1 to 255, or 0 for 1", &run.ordinal.to_string());
        Error::invalid(format!("{field}.ordinal"))(invalid)
    })?;
    Ok(Run { train, date, ordinal })
}
