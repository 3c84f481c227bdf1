//! From what went wrong inside to what a user is told. The chain is logged here, once, under the number that the user sees.

use super::{secrets::SecretError, telemetry::chain};
use crate::{
    error::{AppError, Incident, Lock},
    proxmox::{
        self, Cause,
        error::Thing,
        ids::{ClusterName, NodeName, Vmid},
    },
};
use ring::rand::{SecureRandom, SystemRandom};

/// What can go wrong in a slice. A variant names the operation; its cause is its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No session, or one whose cluster is gone.
    #[error("not signed in")]
    NotSignedIn,
    /// The slice decided; nothing broke.
    #[error("answered: {0}")]
    Answer(AppError),
    /// A call to a cluster.
    #[error("calling {cluster}")]
    Proxmox {
        /// Which cluster.
        cluster: ClusterName,
        /// The node that the call was about.
        node: Option<NodeName>,
        /// The container that the call was about.
        vmid: Option<Vmid>,
        /// What happened.
        source: Box<proxmox::Error>,
    },
    /// The session store.
    #[error("the session store failed")]
    Session(#[from] tower_sessions::session::Error),
    /// A query.
    #[error("the database failed to {0}")]
    Db(&'static str, #[source] sqlx::Error),
    /// Sealing or opening.
    #[error("a secret cannot be handled")]
    Secret(#[from] SecretError),
    /// A background task panicked or was cancelled.
    #[error("work in the background ended early")]
    Background(#[from] tokio::task::JoinError),
    /// Another replica has taken an operation over.
    #[error("the lease of an operation is somebody else's by now")]
    LeaseLost,
    /// A server function was called where there is no request.
    #[error("called outside of a request")]
    OutsideRequest,
}

/// A new incident number: 30 random bits.
pub fn incident() -> Incident {
    let mut bytes = [0; 4];
    // without randomness all incidents have the number 0; the log still has their chains
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::error!("no randomness for an incident number");
    }
    Incident(u32::from_be_bytes(bytes) >> 2)
}

impl From<Error> for AppError {
    fn from(error: Error) -> AppError {
        let line = chain(&error);
        let told = match error {
            Error::NotSignedIn => AppError::SignedOut,
            // nothing broke, or it was logged when it became an answer
            Error::Answer(answer) => return answer,
            Error::Proxmox { cluster, node, vmid, source } => of_cause(&source.cause, cluster, node, vmid),
            Error::Session(_) | Error::Db(..) | Error::Secret(_) | Error::Background(_) | Error::LeaseLost | Error::OutsideRequest => {
                AppError::Internal { incident: incident() }
            }
        };
        match told.incident() {
            Some(incident) if matches!(told, AppError::Internal { .. }) => tracing::error!(%incident, "{line}"),
            Some(incident) => tracing::warn!(%incident, "{line}"),
            None => tracing::debug!("{line}"),
        }
        told
    }
}

fn of_cause(cause: &Cause, cluster: ClusterName, node: Option<NodeName>, vmid: Option<Vmid>) -> AppError {
    let incident = incident();
    match (cause, vmid) {
        (Cause::SignedOut(_), _) => AppError::SignedOut,
        (Cause::Unreachable(_), _) => AppError::ClusterUnreachable { cluster, incident },
        (Cause::TimedOut(_), _) => AppError::ClusterSlow { cluster, incident },
        (Cause::Untrusted { .. }, _) => AppError::CertificateUntrusted { cluster, incident },
        (Cause::Protocol(_), _) => AppError::Unintelligible { incident },
        (Cause::NodeUnreachable { .. } | Cause::NotFound { what: Thing::Node, .. }, _) => AppError::NodeUnreachable { node, incident },
        (Cause::Forbidden { .. }, vmid) => AppError::Forbidden { vmid },
        // of another node's, or of another container's configuration this says nothing
        (Cause::NotFound { what: Thing::Container, text }, Some(vmid))
            if node.as_ref().is_some_and(|node| *text == proxmox::error::missing_configuration(node, vmid)) =>
        {
            AppError::ContainerNotFound { vmid }
        }
        (Cause::Locked(lock), Some(vmid)) => AppError::ContainerLocked { vmid, lock: Lock::of(lock) },
        (Cause::AlreadyRunning, Some(vmid)) => AppError::AlreadyRunning { vmid },
        (Cause::NotRunning, Some(vmid)) => AppError::NotRunning { vmid },
        (Cause::IsTemplate, Some(vmid)) => AppError::IsTemplate { vmid },
        (Cause::MustBeStopped, Some(vmid)) => AppError::MustBeStopped { vmid },
        (Cause::DidNotStop, Some(vmid)) => AppError::DidNotStop { vmid },
        (Cause::Protected, Some(vmid)) => AppError::Protected { vmid },
        (Cause::HaManaged, Some(vmid)) => AppError::HaManaged { vmid },
        (Cause::Cancelled, Some(vmid)) => AppError::Cancelled { vmid },
        (Cause::TaskFailed { meaning: Some(meaning), .. }, Some(_)) if has_an_answer(meaning) => of_cause(meaning, cluster, node, vmid),
        (Cause::TaskFailed { .. }, Some(vmid)) => AppError::TaskFailed { vmid, incident },
        // about no container, what no verb of ours can meet yet, or a sentence that we do not know
        (
            Cause::NotFound { .. }
            | Cause::Locked(_)
            | Cause::Busy(_)
            | Cause::AlreadyExists(_)
            | Cause::AlreadyRunning
            | Cause::NotRunning
            | Cause::MustBeStopped
            | Cause::DidNotStop
            | Cause::Protected
            | Cause::HaManaged
            | Cause::IsTemplate
            | Cause::Cancelled
            | Cause::DigestMismatch
            | Cause::StorageUnavailable(_)
            | Cause::NoQuorum
            | Cause::TaskFailed { .. }
            | Cause::Invalid { .. }
            | Cause::NotImplemented(_)
            | Cause::Other { .. },
            _,
        ) => AppError::Refused { incident },
    }
}

/// Whether a user can be told more of it than that a task failed.
fn has_an_answer(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::NotFound { what: Thing::Container | Thing::Node, .. }
            | Cause::Locked(_)
            | Cause::AlreadyRunning
            | Cause::NotRunning
            | Cause::IsTemplate
            | Cause::MustBeStopped
            | Cause::DidNotStop
            | Cause::Protected
            | Cause::HaManaged
            | Cause::Cancelled
    )
}
