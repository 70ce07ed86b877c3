use std::collections::BTreeSet;
use std::str::FromStr;

use domain::Invalid;

/// What a process can host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A shard of inventory, or all of them.
    InventoryShard,
    /// Timetable search and availability.
    Query,
    /// The sandbox payment provider.
    SandboxProvider,
    /// Trades and the ledger.
    Payment,
    /// Orders and tickets.
    Order,
    /// Standing demand.
    Waitlist,
    /// The public face.
    Gateway,
}

impl Role {
    /// Every role, in the order of starting: who is called starts before who calls.
    pub const ALL: [Self; 7] = [
        Self::InventoryShard,
        Self::Query,
        Self::SandboxProvider,
        Self::Payment,
        Self::Order,
        Self::Waitlist,
        Self::Gateway,
    ];

    /// The name on the command line and between roles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InventoryShard => "inventory-shard",
            Self::Query => "query",
            Self::SandboxProvider => "sandbox-provider",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Waitlist => "waitlist",
            Self::Gateway => "gateway",
        }
    }
}

/// The roles of one process: `all`, or names with commas between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSet(BTreeSet<Role>);

impl RoleSet {
    /// Every role.
    pub fn all() -> Self {
        Self(Role::ALL.into())
    }

    /// Whether a role is among them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// The roles in the order of starting.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }
}

impl FromStr for RoleSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "all" {
            return Ok(Self::all());
        }
        let role = |name: &str| {
            Role::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
                let allowed =
                    "all, or some of gateway, query, inventory-shard, order, payment, waitlist, sandbox-provider";
                Invalid::new("role", allowed, name)
            })
        };
        text.split(',').map(str::trim).map(role).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_as_typed() {
        let roles: RoleSet = "gateway, order".parse().unwrap();
        assert!(roles.has(Role::Order) && roles.has(Role::Gateway) && !roles.has(Role::Query));
        assert_eq!("all".parse::<RoleSet>().unwrap(), RoleSet::all());
        assert!("gatewy".parse::<RoleSet>().unwrap_err().to_string().contains("inventory-shard"));
    }
}
