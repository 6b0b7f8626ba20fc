//! Commands as checks.

use std::net::SocketAddr;

pub use crate::process::CommandError as ExecError;
use crate::{
    config::ExecCheck,
    health::{
        Target,
        failure::{Deadline, Failure, Stage},
    },
    process::{Program, Unfinished},
};

#[cfg(test)]
mod tests;

/// One backend's command.
pub(super) struct Exec {
    program: Program,
}

impl Exec {
    /// `address`, with the port to check, is handed to the command in its environment.
    pub(super) fn new(
        check: &ExecCheck,
        target: &Target,
        address: SocketAddr,
    ) -> Result<Self, ExecError> {
        let environment = [
            ("LB_SERVICE", target.service.clone().into()),
            ("LB_BACKEND", target.backend.clone().into()),
            ("LB_BACKEND_ADDRESS", address.ip().to_string().into()),
            ("LB_BACKEND_PORT", address.port().to_string().into()),
        ];
        Ok(Self { program: Program::new(&check.command, &check.user, environment)? })
    }

    /// Runs the command once. Whatever happens, also when this future is dropped, nothing of it
    /// runs on past the deadline.
    pub(super) async fn check(&self, deadline: Deadline) -> Result<String, Failure> {
        match self.program.run(deadline.at()).await {
            Ok(ending) if ending.success() => Ok(ending.to_string()),
            Ok(ending) => Err(Failure::Ended(ending)),
            Err(Unfinished::TooLong) => Err(deadline.missed(Stage::Command)),
            Err(unfinished) => Err(Failure::Unfinished(unfinished)),
        }
    }
}
