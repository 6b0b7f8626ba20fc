//! aya-log's records, when `run --log-drops` asks for them.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::unix::AsyncFd;

/// Hands the program's records to the log, until the runtime ends.
pub fn spawn(object: &mut Ebpf) {
    let logger = match EbpfLogger::init(object) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "drops cannot be logged");
            return;
        }
    };
    tokio::spawn(async move {
        // SAFETY: the logger owns its descriptor and answers with the same one for all its life.
        let mut logger = match unsafe { AsyncFd::register(logger) } {
            Ok(logger) => logger,
            Err(error) => {
                tracing::error!(%error, "drops cannot be logged");
                return;
            }
        };
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
}
