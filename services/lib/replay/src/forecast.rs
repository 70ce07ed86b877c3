/// What a policy is told about the demand for one class before sale: expectations, never the requests themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// How many passengers are expected to ask for each interval over the whole sale, in the order of
    /// [`domain::Interval::all`].
    pub passengers: Vec<f64>,
    /// The share of accepted passengers who give their tickets back, at a moment spread evenly between purchase and the
    /// end of sale.
    pub cancelled_share: f64,
    /// Where the expectations come from.
    pub source: ForecastSource,
}

/// Where a forecast comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForecastSource {
    /// The distribution that the requests were drawn from.
    Model,
    /// What was recorded for the same train on other dates.
    OtherDates,
    /// What was recorded on this very date, since there is no other one: hindsight, and better than any forecast.
    SameDate,
}

impl Forecast {
    /// How many passengers are expected to ask for an interval after so much of the sale has passed, and to travel.
    pub fn travelling_after(&self, interval: usize, passed: f64) -> f64 {
        self.passengers[interval] * (1.0 - passed) * (1.0 - self.cancelled_share)
    }

    /// The share of tickets live after so much of the sale that will still be given back.
    ///
    /// A ticket bought at `u` and given back at all goes between `u` and 1 with equal chance, so it is still live at `t` with
    /// chance `(1 - t) / (1 - u)`; over purchases spread evenly up to `t` that is `(1 - t) / t * ln(1 / (1 - t))`.
    pub fn still_cancelled(&self, passed: f64) -> f64 {
        if passed >= 1.0 {
            return 0.0;
        }
        let still = if passed < 1e-6 { 1.0 } else { (1.0 - passed) / passed * -(1.0 - passed).ln() };
        let live_to_go = self.cancelled_share * still;
        live_to_go / (1.0 - self.cancelled_share + live_to_go)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancellations_to_come_shrink_from_the_share_to_nothing() {
        let forecast = Forecast { passengers: vec![100.0], cancelled_share: 0.25, source: ForecastSource::Model };
        assert!((forecast.still_cancelled(0.0) - 0.25).abs() < 1e-3);
        // At half time: 0.25 * ln 2 = 0.1733 still to go beside 0.75 who stay.
        assert!((forecast.still_cancelled(0.5) - 0.1733 / 0.9233).abs() < 1e-4);
        assert_eq!(forecast.still_cancelled(1.0), 0.0);
        assert_eq!(forecast.travelling_after(0, 0.2), 60.0);
    }
}
