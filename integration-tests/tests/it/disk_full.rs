//! The disk of a SQLite journal is full, or the journal cannot be written at all.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::process::{audit_is_clean, binary};
use crate::support::shard::{Acknowledged, Hold, PATIENCE, Shard, place, says_when_to_come_again};
use crate::support::skipped;

const TRAIN: &str = "G71";
/// A disk of this size holds an empty journal and some thousand batches.
const DISK: &str = "8m";
/// More holds than the rest of the disk has room for.
const HOLDS_MAX: u128 = 1_500;
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A small disk of its own. Gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={DISK}");
        let mounted = runs(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at));
        mounted.then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        let filler = Command::new("dd")
            .args(["if=/dev/zero", "bs=4096"])
            .arg(format!("of={}", self.filler().display()))
            .stderr(Stdio::null())
            .status();
        assert!(!filler.unwrap().success(), "it stops only where there is no more room");
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn make_read_only(&self) {
        assert!(runs(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0)));
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = runs(Command::new("umount").arg("-l").arg(&self.0));
    }
}

#[tokio::test]
async fn a_full_disk_promises_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else {
        return skipped("a full disk", "this process may not mount a small one");
    };
    let journal = format!("sqlite:{}", disk.0.join("journal.db").display());
    let shard = Shard::start(dir.path(), "inventory-shard-0", &journal);
    let mut client = shard.client().await;
    client.open_sale(TRAIN).await;
    let mut told = Acknowledged::default();
    for order in 0..20 {
        let held = client.hold(TRAIN, order, PATIENCE).await.unwrap();
        told.note(TRAIN, order, Hold::Held(place(&held.places)));
    }

    disk.fill();
    // What the files have room for inside may still be taken; then nothing more.
    let mut refusal = None;
    for order in 100..100 + HOLDS_MAX {
        match client.hold(TRAIN, order, PATIENCE).await {
            Ok(held) => told.note(TRAIN, order, Hold::Held(place(&held.places))),
            Err(status) => {
                refusal = Some(status);
                break;
            }
        }
    }
    let refusal = refusal.expect("a full disk takes no more");
    assert!(says_when_to_come_again(&refusal), "{refusal:?}");
    for order in 10_000..10_005 {
        let status = client.hold(TRAIN, order, PATIENCE).await.expect_err("nothing is acknowledged");
        assert!(says_when_to_come_again(&status), "{status:?}");
    }

    disk.free();
    let back = async {
        loop {
            if let Ok(held) = client.hold(TRAIN, 20_000, PATIENCE).await {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let held = tokio::time::timeout(BACK_WITHIN, back).await.expect("it recovers by itself");
    told.note(TRAIN, 20_000, Hold::Held(place(&held.places)));
    told.is_durable_at(&mut client).await;
    for order in 10_000..10_005 {
        assert_eq!(client.get_hold(TRAIN, order, PATIENCE).await.unwrap(), None, "what was refused left nothing");
    }
    assert_eq!(shard.serving.terminate(), Some(0));
    audit_is_clean(&journal, &[]);
}

#[test]
fn a_journal_that_cannot_be_written_is_said_so_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    // Root may write whatever its mode: a directory in the file's place cannot be written by anybody.
    std::fs::create_dir(dir.path().join("journal.db")).unwrap();
    let said = starts_in_vain(dir.path(), "inventory-shard", "JOURNAL", &dir.path().join("journal.db"));
    assert!(said.contains("unable to open database file"), "{said}");
}

#[tokio::test]
async fn a_file_on_a_read_only_disk_is_said_so_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else {
        return skipped("a read-only disk", "this process may not mount a small one");
    };
    // Files that were written before, by a process that left them in order: nothing of theirs has to be migrated.
    let journal = disk.0.join("journal.db");
    let shard = Shard::start(dir.path(), "inventory-shard-0", &format!("sqlite:{}", journal.display()));
    assert_eq!(shard.serving.terminate(), Some(0));
    disk.make_read_only();
    starts_in_vain(dir.path(), "inventory-shard", "JOURNAL", &journal);
    starts_in_vain(dir.path(), "order", "ORDER", &disk.0.join("order.db"));
}

/// Starts a role on a file that cannot be written: it must end at once, and say which file and what to do. What it says.
fn starts_in_vain(dir: &Path, role: &str, keeper: &str, file: &Path) -> String {
    let config = dir.join("chunyun.toml");
    std::fs::write(&config, "[[shards.list]]\nname = \"inventory-shard-0\"\n").unwrap();
    let output = Command::new(binary())
        .args(["serve", "--roles", role, "--config"])
        .arg(&config)
        .arg("--data")
        .arg(dir)
        .env(format!("CHUNYUN_STORAGE__{keeper}"), format!("sqlite:{}", file.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{role} started");
    let told = [role, &format!("cannot write {}", file.display()), "make it so, or name another file"];
    assert!(told.iter().all(|word| said.contains(word)), "{said}");
    said
}
