//! Tells people and programs that a virtual router or a sync group has changed its state: a command
//! with keepalived's arguments, a mail, a webhook.
//!
//! ```text
//! tell ──> one queue per subject ──┬─> command   one at a time, in order
//!          (the oldest give way)   ├─> mail
//!                                  └─> webhook
//! ```
//! Each arrow is a task of its own, so whoever is slow holds up nobody else, and the agent's loop
//! least of all. What fails is logged.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    task::JoinSet,
};

use crate::{config::notify::Notify, vrrp::machine::State};

mod command;
mod mail;
#[cfg(test)]
mod tests;
mod webhook;

/// Notices of one subject that wait: some minutes of a router that goes up and down with every
/// advertisement interval of a second, while a webhook does not answer.
const QUEUE: usize = 64;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A virtual router.
    Instance,
    /// A sync group.
    Group,
}

impl Kind {
    /// keepalived's word for scripts.
    const fn argument(self) -> &'static str {
        match self {
            Self::Instance => "INSTANCE",
            Self::Group => "GROUP",
        }
    }

    /// The word of the webhook.
    const fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Group => "group",
        }
    }

    /// keepalived's words for mails.
    const fn title(self) -> &'static str {
        match self {
            Self::Instance => "VRRP Instance",
            Self::Group => "VRRP Group",
        }
    }
}

/// A change of state that somebody is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What has changed.
    pub kind: Kind,
    /// Its name in the configuration.
    pub name: String,
    /// State before.
    pub old: State,
    /// State after.
    pub new: State,
    /// Effective priority, 0..=255; keepalived gives 0 for a group.
    pub priority: u8,
    /// Why, in words.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

/// keepalived's word for a state: what scripts in the field expect.
const fn keepalived_state(state: State) -> &'static str {
    match state {
        State::Init => "STOP",
        State::Backup => "BACKUP",
        State::Active => "MASTER",
        State::Fault => "FAULT",
    }
}

/// Takes notices and passes them on. Dropped, it forgets what waits, and kills a running command.
#[derive(Debug)]
pub struct Notifier {
    sinks: Arc<Sinks>,
    queues: HashMap<(Kind, String), broadcast::Sender<Arc<Notice>>>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Sinks {
    node: String,
    config: Notify,
}

/// One way of telling.
#[derive(Clone, Copy, Debug)]
enum Way {
    Command,
    Mail,
    Webhook,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "command",
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        })
    }
}

/// A notifier for what the configuration names, on this node. Nothing is opened before there is
/// something to tell.
#[must_use]
pub fn spawn(config: &Notify, node: &str) -> Notifier {
    let sinks = Arc::new(Sinks { node: node.to_owned(), config: config.clone() });
    Notifier { sinks, queues: HashMap::new(), tasks: JoinSet::new() }
}

impl Notifier {
    /// Queues a notice; never blocks and never fails. Notices of one subject are passed on in
    /// order, each way by itself. Of more than 64 that wait, the oldest are dropped and logged.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn tell(&mut self, notice: Notice) {
        let subject = (notice.kind, notice.name.clone());
        let queue = match self.queues.get(&subject) {
            Some(queue) => queue,
            None => {
                let queue = self.open();
                self.queues.entry(subject).or_insert(queue)
            }
        };
        // Nobody listens where no way is configured.
        let _listeners = queue.send(Arc::new(notice));
    }

    fn open(&mut self) -> broadcast::Sender<Arc<Notice>> {
        let (queue, _) = broadcast::channel(QUEUE);
        let Notify { command, mail, webhook } = &self.sinks.config;
        let ways = [
            (command.is_some(), Way::Command),
            (mail.is_some(), Way::Mail),
            (webhook.is_some(), Way::Webhook),
        ];
        for (_, way) in ways.into_iter().filter(|(configured, _)| *configured) {
            self.tasks.spawn(pass_on(way, Arc::clone(&self.sinks), queue.subscribe()));
        }
        queue
    }

    /// Waits until everything is told, but no longer than `patience`; then what is left is
    /// forgotten. For the end of the agent and for a new configuration.
    pub async fn finish(mut self, patience: Duration) {
        self.queues.clear();
        let told = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, told).await.is_err() {
            tracing::warn!(?patience, "some notices were not told: they took too long");
        }
    }
}

async fn pass_on(way: Way, sinks: Arc<Sinks>, mut queue: broadcast::Receiver<Arc<Notice>>) {
    loop {
        match queue.recv().await {
            Ok(notice) => match sinks.tell(way, &notice).await {
                Ok(()) => tracing::debug!(%way, name = %notice.name, "notice told"),
                Err(error) => tracing::warn!(
                    %way,
                    name = %notice.name,
                    state = notice.new.word(),
                    "a notice was not told: {error}"
                ),
            },
            Err(RecvError::Lagged(dropped)) => tracing::warn!(
                %way,
                dropped,
                "notices come faster than they can be told: the oldest were dropped"
            ),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Why a notice was not told.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error(transparent)]
    Command(#[from] command::CommandFault),
    #[error(transparent)]
    Mail(#[from] mail::MailFault),
    #[error(transparent)]
    Webhook(#[from] webhook::WebhookFault),
}

impl Sinks {
    async fn tell(&self, way: Way, notice: &Notice) -> Result<(), Untold> {
        let Notify { command, mail, webhook } = &self.config;
        match way {
            Way::Command => {
                if let Some(command) = command {
                    command::run(command, &self.node, notice).await?;
                }
            }
            Way::Mail => {
                if let Some(mail) = mail {
                    mail::send(mail, &self.node, notice).await?;
                }
            }
            Way::Webhook => {
                if let Some(webhook) = webhook {
                    webhook::post(webhook, &self.node, notice).await?;
                }
            }
        }
        Ok(())
    }
}
