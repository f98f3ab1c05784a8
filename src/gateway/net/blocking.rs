//! Work that blocks, beside the runtime.

use tokio::sync::oneshot;

/// Runs what blocks on a thread of its own, named `name`: those of the runtime would be waited for at the end of the
/// service.
pub async fn run_blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = oneshot::channel();
    // Nobody waits any more when the service stops.
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || drop(answer.send(work())));
    match started {
        Ok(_) => answered.await.unwrap_or_else(|_| Err("it ended without a result".to_owned())),
        Err(error) => Err(format!("no thread: {error}")),
    }
}
