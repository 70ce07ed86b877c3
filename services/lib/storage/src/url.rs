use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// Where a database is: `sqlite:PATH` or `postgres://user:password@host/name?sslmode=verify-full`.
///
/// Never prints what may hold a password: `Debug` and `Display` name the engine, and the path of a SQLite file.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// A SQLite file on a local disk.
    Sqlite(PathBuf),
    /// A Postgres database, with the whole URL.
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// A SQLite file.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self::Sqlite(path.as_ref().to_owned())
    }

    /// Whether both name the same database by the same text.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(a), Self::Sqlite(b)) => a == b,
            (Self::Postgres(a), Self::Postgres(b)) => a.expose_secret() == b.expose_secret(),
            _ => false,
        }
    }
}

/// Why a text is no [`DatabaseUrl`]. Never repeats the text: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid database url: {0}")]
pub struct InvalidUrl(&'static str);

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // `sqlite://a.db` is how other tools write a relative path, `sqlite:///a.db` an absolute one.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(InvalidUrl("a path is missing after sqlite:")),
                ":memory:" => Err(InvalidUrl("a database in memory is not durable, name a file")),
                _ if path.contains(['?', '#']) => Err(InvalidUrl("a sqlite path takes no parameters")),
                _ => Ok(Self::sqlite(path)),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return match text.parse::<sqlx::postgres::PgConnectOptions>() {
                Ok(options) if options.get_database().is_none() => {
                    Err(InvalidUrl("a database name is missing after the host: postgres://HOST/NAME"))
                }
                Ok(_) => Ok(Self::Postgres(text.to_owned().into())),
                Err(_) => Err(InvalidUrl("expected postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=MODE")),
            };
        }
        Err(InvalidUrl("expected sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME"))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://..."),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_and_without_slashes() {
        for (text, path) in [("sqlite:a.db", "a.db"), ("sqlite://a.db", "a.db"), ("sqlite:///var/a.db", "/var/a.db")] {
            assert!(text.parse::<DatabaseUrl>().unwrap().is_same(&DatabaseUrl::sqlite(path)), "{text}");
        }
    }

    #[test]
    fn wrong_urls_say_what_is_expected() {
        for (text, said) in [
            ("sqlite:", "path is missing"),
            ("sqlite::memory:", "not durable"),
            ("sqlite:a.db?mode=ro", "no parameters"),
            ("mysql://h/d", "expected sqlite:PATH or postgres"),
            ("postgres://host", "database name is missing"),
            ("postgres://u:canary@host:port/d", "expected postgres://USER"),
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let url: DatabaseUrl = "postgres://u:canary@host/d".parse().unwrap();
        assert!(!format!("{url} {url:?}").contains("canary"));
    }
}
