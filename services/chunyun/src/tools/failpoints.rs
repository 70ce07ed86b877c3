use ::failpoints::Point;

use crate::output;

/// `chunyun failpoints`: every place, with what it stands before or after.
pub fn failpoints() {
    for point in Point::ALL {
        output::line(&format!("{:<40}{}", point.name(), point.what()));
    }
}
