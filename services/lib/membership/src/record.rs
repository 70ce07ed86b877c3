use std::collections::BTreeMap;

use ring::{Layout, LayoutError, ShardId};

use crate::RingSettings;

/// What all roles share of the ring. Invariant: at least one member counts, so that its layout makes a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingRecord {
    version: u64,
    settings: RingSettings,
    standings: BTreeMap<ShardId, Standing>,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it owns slots.
    pub counted: bool,
    /// How often it was lost since it was last forgiven: each doubles how long it must serve before it counts again.
    pub flaps: u32,
}

impl RingRecord {
    /// The first record: every member counts, because a fleet starts all of them at once.
    ///
    /// # Errors
    /// Settings that make no ring.
    pub fn founded(settings: RingSettings) -> Result<Self, LayoutError> {
        let counted = Standing { counted: true, flaps: 0 };
        let standings = settings.members.iter().map(|member| (member.shard.clone(), counted)).collect();
        Self::new(1, settings, standings)
    }

    /// A record as it was stored. Standings of strangers are dropped; a member without one does not count.
    ///
    /// # Errors
    /// Settings that make no ring, or nobody who counts.
    pub fn new(
        version: u64,
        settings: RingSettings,
        mut standings: BTreeMap<ShardId, Standing>,
    ) -> Result<Self, LayoutError> {
        settings.validate()?;
        standings.retain(|shard, _| settings.has(shard));
        if !standings.values().any(|standing| standing.counted) {
            return Err(LayoutError::NoMembers);
        }
        Ok(Self { version, settings, standings })
    }

    /// The record after an edit: new members count once they serve, removed ones no more. The settings' version becomes
    /// the next one, whatever it was.
    ///
    /// # Errors
    /// Settings that make no ring, or leave nobody who counts now.
    pub fn edited(&self, mut settings: RingSettings) -> Result<Self, LayoutError> {
        settings.version = self.settings.version + 1;
        Self::new(self.version + 1, settings, self.standings.clone())
    }

    /// Counts up with each change of settings or standings.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What operators decided.
    pub fn settings(&self) -> &RingSettings {
        &self.settings
    }

    /// How a shard stands; a stranger does not count.
    pub fn standing(&self, shard: &ShardId) -> Standing {
        self.standings.get(shard).copied().unwrap_or_default()
    }

    /// Every member with how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (&ShardId, Standing)> {
        self.settings.members.iter().map(|member| (&member.shard, self.standing(&member.shard)))
    }

    /// The layout of those who count. Pins to a member that does not count rest until it does.
    pub fn layout(&self) -> Layout {
        let counted = |shard: &ShardId| self.standing(shard).counted;
        let members = self.settings.members.iter().filter(|member| counted(&member.shard)).cloned().collect();
        let pins = self.settings.pins.iter().filter(|(_, shard)| counted(shard));
        Layout { version: self.version, members, pins: pins.map(|(slot, shard)| (*slot, shard.clone())).collect() }
    }

    /// The next record with other standings; none when nobody would count or nothing changes: the present one stands.
    pub(crate) fn with_standings(&self, changed: BTreeMap<ShardId, Standing>) -> Option<Self> {
        let mut standings = self.standings.clone();
        standings.extend(changed);
        if standings == self.standings {
            return None;
        }
        Self::new(self.version + 1, self.settings.clone(), standings).ok()
    }
}
