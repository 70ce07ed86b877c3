use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::BenchError;

/// One thread with a runtime of its own: what would be a process of its own in a fleet.
pub(crate) struct Stage {
    handle: Handle,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stage {
    pub fn start(name: &str) -> Result<Self, BenchError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(BenchError::because("a runtime could not be started"))?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled_owned()))
            .map_err(BenchError::because("a thread could not be started"))?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Does something on this thread, and waits for what comes of it.
    ///
    /// # Panics
    /// With the panic of what was done.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.handle.spawn(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // What panicked there was already told to whoever waited for it.
            let _ = thread.join();
        }
    }
}
