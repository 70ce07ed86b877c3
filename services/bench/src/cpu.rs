//! How much processor time the processes that take part have used.

use std::time::Duration;

/// A clock tick of `/proc`, in ms: fixed by the kernel's interface.
const TICK_MS: u64 = 10;

/// The processes whose time counts: this one, and the servers' with all their children.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    servers: Vec<u32>,
}

impl Processes {
    /// This process and these servers.
    pub fn with_servers(servers: Vec<u32>) -> Self {
        Self { servers }
    }

    /// User and system time up to now. What cannot be read counts nothing.
    pub fn used(&self) -> Duration {
        let own = stat(std::process::id()).map_or(0, |stat| stat.ticks);
        let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
        let is_ours = |id: &u32, parent: u32| self.servers.contains(id) || self.servers.contains(&parent);
        let servers = ids.filter_map(|id| stat(id).filter(|stat| is_ours(&id, stat.parent)).map(|stat| stat.ticks));
        Duration::from_millis((own + servers.sum::<u64>()) * TICK_MS)
    }
}

/// User and system time of one process up to now.
pub(crate) fn used_by(id: u32) -> Duration {
    Duration::from_millis(stat(id).map_or(0, |stat| stat.ticks) * TICK_MS)
}

/// The parent of a process: of a Postgres backend it is the server.
pub(crate) fn parent_of(id: u32) -> Option<u32> {
    stat(id).map(|stat| stat.parent)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(id: u32) -> Option<Stat> {
    let line = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program, in brackets, may hold spaces; the fields after it do not. Counted from it: the state, the
    // parent, and 11 and 12 user and system time.
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { parent, ticks: user + system })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_is_counted() {
        let processes = Processes::default();
        let before = processes.used();
        let begun = Instant::now();
        let mut sum = 0u64;
        while processes.used() < before + Duration::from_millis(30) && begun.elapsed() < Duration::from_secs(20) {
            sum = (0..1_000_000u64).fold(sum, |sum, number| sum.wrapping_mul(31).wrapping_add(number));
        }
        assert!(processes.used() >= before + Duration::from_millis(30), "{sum}");
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
    }
}
