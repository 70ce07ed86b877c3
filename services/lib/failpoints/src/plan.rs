use std::fmt;

use crate::Point;

/// The longest delay, in ms: longer ones are better made by a stopped process.
const DELAY_MS_MAX: u64 = 600_000;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process ends at once.
    Kill,
    /// The task waits.
    Delay {
        /// How long, in ms.
        ms: u64,
    },
    /// The step fails as if its other side had not answered.
    Fail,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("kill"),
            Self::Delay { ms } => write!(f, "delay:{ms}"),
            Self::Fail => f.write_str("fail"),
        }
    }
}

/// A point and what happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// The point.
    pub point: Point,
    /// What happens.
    pub action: Action,
    /// At which hit only, from 1; else at every one.
    pub only_hit: Option<u64>,
}

/// What happens where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(Vec<Armed>);

/// A plan that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An entry of another form.
    #[error("expected POINT=kill, POINT=fail or POINT=delay:MS, each perhaps with @HIT, not {0:?}")]
    Form(String),
    /// No such point.
    #[error("no failpoint is called {0:?}; `chunyun failpoints` lists them")]
    Unknown(String),
}

impl Plan {
    /// Reads `POINT=ACTION[@HIT]`, several with commas between.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Its points.
    pub fn points(&self) -> &[Armed] {
        &self.0
    }

    /// Its points, taken.
    pub fn into_points(self) -> Vec<Armed> {
        self.0
    }
}

fn read(entry: &str) -> Result<Armed, PlanError> {
    let form = || PlanError::Form(entry.to_owned());
    let (name, rest) = entry.split_once('=').ok_or_else(form)?;
    let point = Point::of_name(name).ok_or_else(|| PlanError::Unknown(name.to_owned()))?;
    let (action, hit) = rest.split_once('@').map_or((rest, None), |(action, hit)| (action, Some(hit)));
    let only_hit = match hit {
        None => None,
        Some(hit) => Some(hit.parse().ok().filter(|hit| *hit > 0).ok_or_else(form)?),
    };
    let action = match (action, action.strip_prefix("delay:")) {
        ("kill", _) => Action::Kill,
        ("fail", _) => Action::Fail,
        (_, Some(ms)) => {
            let ms = ms.parse().ok().filter(|ms| *ms <= DELAY_MS_MAX).ok_or_else(form)?;
            Action::Delay { ms }
        }
        _ => return Err(form()),
    };
    Ok(Armed { point, action, only_hit })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, armed) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}={}", armed.point.name(), armed.action)?;
            if let Some(hit) = armed.only_hit {
                write!(f, "@{hit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(Plan::parse("nowhere=kill"), Err(PlanError::Unknown("nowhere".into())));
        for wrong in ["gateway.before_hold", "gateway.before_hold=", "gateway.before_hold=stop"] {
            assert_eq!(Plan::parse(wrong), Err(PlanError::Form(wrong.into())), "{wrong}");
        }
        for wrong in ["kill@0", "kill@x", "delay:x", "delay:600001"] {
            assert!(Plan::parse(&format!("gateway.before_hold={wrong}")).is_err(), "{wrong}");
        }
        assert_eq!(Plan::parse(" , "), Ok(Plan::default()));
    }
}
