//! The running check tasks.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::event::StartCheck;
use crate::health::{
    Report, Target,
    probe::Prober,
    task::{self, Schedule},
};

/// One task for each checked backend.
pub(super) struct Checks {
    reports: mpsc::Sender<Report>,
    tasks: BTreeMap<Target, JoinHandle<()>>,
}

impl Checks {
    pub(super) fn new(reports: mpsc::Sender<Report>) -> Self {
        Self { reports, tasks: BTreeMap::new() }
    }

    /// Starts, or starts anew.
    pub(super) fn start(&mut self, start: StartCheck) {
        let StartCheck { target, check, address, port } = start;
        self.stop(&target);
        let prober = match Prober::new(&target, &check, address, port) {
            Ok(prober) => prober,
            Err(error) => {
                // The files were readable when the configuration was validated.
                tracing::error!(
                    service = %target.service, backend = %target.backend,
                    error = &error as &dyn std::error::Error,
                    "the backend cannot be checked and stays as it is; reload when this is mended"
                );
                return;
            }
        };
        let run = task::run(
            target.clone(),
            prober,
            Schedule::from(&check),
            self.reports.clone(),
            Arc::new(Notify::new()),
        );
        self.tasks.insert(target, tokio::spawn(run));
    }

    pub(super) fn stop(&mut self, target: &Target) {
        if let Some(task) = self.tasks.remove(target) {
            task.abort();
        }
    }

    pub(super) fn stop_all(&mut self) {
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.abort();
        }
    }
}
