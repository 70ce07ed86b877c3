//! Gives those who watch an order in this process each newer state of it. Changes by other replicas are found by reading.

use std::collections::HashMap;
use std::sync::Arc;

use domain::OrderId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::order::Order;

/// The newest state that this process has written since somebody watches.
type Newest = Option<Arc<Order>>;

/// Who watches which order. Bounded: one channel of one value per watched order.
#[derive(Clone, Debug)]
pub struct Watchers {
    orders: Arc<Mutex<HashMap<OrderId, watch::Sender<Newest>>>>,
    orders_max: usize,
}

/// One watcher of one order. Dropping it stops watching.
#[derive(Debug)]
pub struct Watcher {
    id: OrderId,
    newest: Option<watch::Receiver<Newest>>,
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
        let newest = orders.entry(id).or_default().subscribe();
        Some(Watcher { id, newest: Some(newest), watchers: self.clone() })
    }

    /// Tells that an order has come to be as it is now.
    pub fn tell(&self, order: &Order) {
        let orders = self.orders.lock();
        if let Some(sender) = orders.get(&order.id) {
            sender.send_if_modified(|newest| {
                let newer = newest.as_ref().is_none_or(|known| order.version > known.version);
                if newer {
                    *newest = Some(Arc::new(order.clone()));
                }
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
    /// Waits until the order has changed: its newest state.
    pub async fn changed(&mut self) -> Arc<Order> {
        if let Some(newest) = &mut self.newest
            && newest.changed().await.is_ok()
            && let Some(order) = newest.borrow_and_update().clone()
        {
            return order;
        }
        // Not reached: the sender lives as long as this watcher does, and sends orders alone.
        std::future::pending().await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut orders = self.watchers.orders.lock();
        self.newest = None;
        if orders.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            orders.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::template::template;

    #[tokio::test]
    async fn watchers_get_newer_states_and_leave_nothing_behind() {
        let watchers = Watchers::new(1);
        let order = |version| Order { version, ..template(1) };
        let id = order(0).id;
        watchers.tell(&order(2));
        let (mut a, mut b) = (watchers.watch(id).unwrap(), watchers.watch(id).unwrap());
        let another = OrderId::from_u128(id.as_u128() + 1);
        assert!(watchers.watch(another).is_none(), "one order may be watched");
        watchers.tell(&order(3));
        assert_eq!(a.changed().await.version, 3);
        watchers.tell(&order(5));
        assert_eq!(b.changed().await.version, 5, "the newest of several");
        assert_eq!(a.changed().await.version, 5);
        watchers.tell(&order(5));
        watchers.tell(&order(4));
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(20), a.changed()).await;
        assert!(nothing.is_err(), "a version is told once");
        drop(a);
        assert_eq!(watchers.len(), 1);
        drop(b);
        assert_eq!(watchers.len(), 0);
    }
}
