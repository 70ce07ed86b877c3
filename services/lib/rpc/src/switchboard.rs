use std::collections::HashMap;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;

use crate::{Link, Stack};

/// The roles that run in this process, by name. Links find them at call time, so roles may refer to each other in a
/// cycle and in any order of starting.
#[derive(Clone, Debug, Default)]
pub struct Switchboard {
    roles: Arc<Roles>,
}

/// The names and stacks. Links hold it weakly: stacks hold services, which hold links.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    by_name: ArcSwap<HashMap<String, Stack>>,
}

impl Roles {
    /// The stack of a role, if it runs here.
    pub(crate) fn find(&self, name: &str) -> Option<Stack> {
        self.by_name.load().get(name).cloned()
    }
}

impl Switchboard {
    /// A switchboard without roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets links reach a role. A role of the same name is replaced.
    pub fn connect(&self, name: &str, stack: Stack) {
        self.roles.by_name.rcu(|roles| {
            let mut roles = HashMap::clone(roles);
            roles.insert(name.to_owned(), stack.clone());
            roles
        });
    }

    /// Lets no link reach a role any more.
    pub fn disconnect(&self, name: &str) {
        self.roles.by_name.rcu(|roles| {
            let mut roles = HashMap::clone(roles);
            roles.remove(name);
            roles
        });
    }

    /// A link to a role of this process, now or later.
    pub fn link(&self, name: &str) -> Link {
        Link::local(self.downgrade(), name)
    }

    fn downgrade(&self) -> Weak<Roles> {
        Arc::downgrade(&self.roles)
    }
}
