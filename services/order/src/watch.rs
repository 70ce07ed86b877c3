//! Tells those who watch an order in this process that it has changed. Changes by other replicas are found by reading.

use std::collections::HashMap;
use std::sync::Arc;

use domain::OrderId;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Who watches which order. Bounded: one channel of one value per watched order.
#[derive(Clone, Debug)]
pub struct Watchers {
    orders: Arc<Mutex<HashMap<OrderId, watch::Sender<u64>>>>,
    orders_max: usize,
}

/// One watcher of one order. Dropping it stops watching.
#[derive(Debug)]
pub struct Watcher {
    id: OrderId,
    version: Option<watch::Receiver<u64>>,
    watchers: Watchers,
}

impl Watchers {
    /// Watchers of at most so many orders.
    pub fn new(orders_max: usize) -> Self {
        Self { orders: Arc::default(), orders_max }
    }

    /// Watches an order. `None` when as many are watched as may be.
    pub fn watch(&self, id: OrderId) -> Option<Watcher> {
        let mut orders = self.orders.lock();
        if orders.len() >= self.orders_max && !orders.contains_key(&id) {
            return None;
        }
        let version = orders.entry(id).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Some(Watcher { id, version: Some(version), watchers: self.clone() })
    }

    /// Tells that an order has reached a version.
    pub fn tell(&self, id: OrderId, version: u64) {
        let orders = self.orders.lock();
        if let Some(sender) = orders.get(&id) {
            sender.send_if_modified(|known| {
                let newer = version > *known;
                *known = version.max(*known);
                newer
            });
        }
    }

    /// How many orders are watched.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.orders.lock().len()
    }
}

impl Watcher {
    /// Waits until the order has changed.
    pub async fn changed(&mut self) {
        if let Some(version) = &mut self.version
            && version.changed().await.is_ok()
        {
            return;
        }
        // Not reached: the sender lives as long as this watcher does.
        std::future::pending::<()>().await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut orders = self.watchers.orders.lock();
        self.version = None;
        if orders.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            orders.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watchers_hear_newer_versions_and_leave_nothing_behind() {
        let watchers = Watchers::new(1);
        let id = OrderId::from_u128(1);
        let (mut a, mut b) = (watchers.watch(id).unwrap(), watchers.watch(id).unwrap());
        assert!(watchers.watch(OrderId::from_u128(2)).is_none(), "one order may be watched");
        watchers.tell(id, 3);
        a.changed().await;
        b.changed().await;
        watchers.tell(id, 3);
        watchers.tell(id, 2);
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), a.changed()).await;
        assert!(nothing.is_err(), "a version is told once");
        drop(a);
        assert_eq!(watchers.len(), 1);
        drop(b);
        assert_eq!(watchers.len(), 0);
    }
}
