//! [`AppError`]: the only error that a server function returns.
//!
//! It is made so that it cannot carry a text of Proxmox's, a path or a secret: its variants hold ids, small enums and incident numbers.
//! The code is the contract, the sentence is its `Display`.

use crate::{
    operations::model::Verb,
    proxmox::ids::{ClusterName, NodeName, OtherFactor, UserId, Vmid},
};
use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{IntoStaticStr, VariantNames};

/// A number under which the log holds what the user is not told, such as `7F3J-98`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incident(pub u32);

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Crockford's alphabet: nothing that is mistaken for something else when read aloud
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        for (position, shift) in [25, 20, 15, 10, 5, 0].into_iter().enumerate() {
            let digit = char::from(DIGITS[(self.0 >> shift) as usize % 32]);
            write!(f, "{}{digit}", if position == 4 { "-" } else { "" })?;
        }
        Ok(())
    }
}

/// A field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Of the sign-in form.
    Cluster,
    /// Of the sign-in form.
    Username,
    /// Of the sign-in form.
    Realm,
    /// Of the sign-in form.
    Password,
    /// A second factor: what an authenticator app shows.
    Code,
    /// A second factor: what was written down for the day when the app is lost.
    RecoveryKey,
    /// The container's name, typed once more.
    Confirm,
    /// Before many are deleted: the verb and their number.
    ConfirmMany,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// Nothing was entered.
    Empty,
    /// There is none of that name.
    Unknown,
    /// It cannot be one.
    Malformed,
}

/// Why a configuration is locked (`lock` in pve-container LXC/Config.pm:513).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lock {
    /// A backup runs.
    Backup,
    /// It is being created.
    Create,
    /// It is being deleted.
    Destroyed,
    /// A disk is being changed.
    Disk,
    /// Its file systems are being trimmed.
    Fstrim,
    /// It moves to another node.
    Migrate,
    /// Its file systems are mounted on the node; it can be started and stopped nevertheless.
    Mounted,
    /// It goes back to a snapshot.
    Rollback,
    /// A snapshot is taken.
    Snapshot,
    /// A snapshot is deleted.
    SnapshotDelete,
    /// A word that we do not know.
    #[serde(other)]
    Other,
}

impl Lock {
    /// Reads the word of a configuration.
    pub fn of(word: &str) -> Self {
        match word {
            "backup" => Self::Backup,
            "create" => Self::Create,
            "destroyed" => Self::Destroyed,
            "disk" => Self::Disk,
            "fstrim" => Self::Fstrim,
            "migrate" => Self::Migrate,
            "mounted" => Self::Mounted,
            "rollback" => Self::Rollback,
            "snapshot" => Self::Snapshot,
            "snapshot-delete" => Self::SnapshotDelete,
            _ => Self::Other,
        }
    }

    /// In a row: "Locked: backup".
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Create => "being created",
            Self::Destroyed => "being deleted",
            Self::Disk => "disk change",
            Self::Fstrim => "trim",
            Self::Migrate => "migration",
            Self::Mounted => "mounted",
            Self::Rollback => "rollback",
            Self::Snapshot => "snapshot",
            Self::SnapshotDelete => "snapshot deletion",
            Self::Other => "by Proxmox",
        }
    }
}

/// What a user can be told. The code is the variant's name in snake case: `"signed_out"`, or `{"not_running":{"vmid":101}}` where there
/// is more to say. An inner tag would cost the browser a second JSON reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, VariantNames, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AppError {
    /// There is no session, or its Proxmox ticket is dead.
    SignedOut,
    /// Proxmox refused the user name or the password; it does not say which.
    WrongCredentials {
        /// Who.
        user: UserId,
        /// Where.
        cluster: ClusterName,
    },
    /// The account has a second factor, and none that can be typed.
    SecondFactorUnsupported {
        /// What it has.
        factor: OtherFactor,
    },
    /// Proxmox refused the code of an authenticator app.
    WrongCode,
    /// Proxmox refused a recovery key.
    WrongRecoveryKey,
    /// A password was accepted, and the second factor came too late, or from another browser.
    SignInExpired,
    /// A field of a form.
    Invalid {
        /// Which.
        field: Field,
        /// What is wrong.
        flaw: Flaw,
    },
    /// Proxmox says that the user may not do that.
    Forbidden {
        /// To which container, where it is about one.
        vmid: Option<Vmid>,
    },
    /// No container has this id, or the user may not see it.
    NoSuchContainer,
    /// No operation has this id, or the user may not see its container.
    NoSuchOperation,
    /// No task has this UPID, or the user may not see what it is about.
    NoSuchTask,
    /// What was to be stopped does not run, or is not Proxmox's to stop.
    NothingToStop,
    /// No batch has this id, or somebody else has asked for it.
    NoSuchBatch,
    /// Its node has no such container any more.
    ContainerNotFound {
        /// Which.
        vmid: Vmid,
    },
    /// Something holds the container's configuration.
    ContainerLocked {
        /// Which.
        vmid: Vmid,
        /// What holds it.
        lock: Lock,
    },
    /// Start, and it runs.
    AlreadyRunning {
        /// Which.
        vmid: Vmid,
    },
    /// Stop or shut down, and it does not run.
    NotRunning {
        /// Which.
        vmid: Vmid,
    },
    /// A template cannot be started.
    IsTemplate {
        /// Which.
        vmid: Vmid,
    },
    /// Delete, and it runs.
    MustBeStopped {
        /// Which.
        vmid: Vmid,
    },
    /// Delete, and it is protected.
    Protected {
        /// Which.
        vmid: Vmid,
    },
    /// Delete, and high availability looks after it.
    HaManaged {
        /// Which.
        vmid: Vmid,
    },
    /// Proxmox does not say whether it runs.
    StatusUnknown {
        /// Which.
        vmid: Vmid,
    },
    /// Another operation works on it.
    Busy {
        /// On which.
        vmid: Vmid,
        /// What is done to it.
        verb: Verb,
        /// By whom.
        by: UserId,
        /// For how many seconds so far.
        since: u64,
    },
    /// Another container bears this number now.
    IdentityChanged {
        /// Which number.
        vmid: Vmid,
    },
    /// Nothing tells whether this is still the same container: its name has to be typed.
    IdentityUnclear {
        /// Which.
        vmid: Vmid,
    },
    /// A clean shutdown to which it did not listen, where no other was wanted.
    DidNotStop {
        /// Which.
        vmid: Vmid,
    },
    /// Somebody broke the task off at Proxmox.
    Cancelled {
        /// Which.
        vmid: Vmid,
    },
    /// Berth was restarted before the next step, which was not taken.
    Interrupted {
        /// Which.
        vmid: Vmid,
    },
    /// Nobody could see how it ended.
    OutcomeUnknown {
        /// Which.
        vmid: Vmid,
    },
    /// Proxmox took the task on, and it failed.
    TaskFailed {
        /// Which.
        vmid: Vmid,
        /// In the log: the exit status and the end of the task's log.
        incident: Incident,
    },
    /// No cluster is configured yet.
    NoCluster,
    /// No address of the cluster answers.
    ClusterUnreachable {
        /// Which.
        cluster: ClusterName,
        /// In the log: what the network said.
        incident: Incident,
    },
    /// The cluster took too long.
    ClusterSlow {
        /// Which.
        cluster: ClusterName,
        /// In the log: which call.
        incident: Incident,
    },
    /// The cluster's certificate is not the one we trust; nothing was sent.
    CertificateUntrusted {
        /// Which.
        cluster: ClusterName,
        /// In the log: the fingerprints.
        incident: Incident,
    },
    /// The cluster answers, the container's node does not.
    NodeUnreachable {
        /// Which, where it is known.
        node: Option<NodeName>,
        /// In the log: what the cluster said.
        incident: Incident,
    },
    /// Proxmox refused for a reason that Berth does not know.
    Refused {
        /// In the log: Proxmox's words.
        incident: Incident,
    },
    /// Proxmox answered something that cannot be read.
    Unintelligible {
        /// In the log: what.
        incident: Incident,
    },
    /// The request's arguments cannot be read.
    BadRequest,
    /// The request is larger than any that Berth sends.
    TooLarge,
    /// The request was sent by another site's page.
    ForeignOrigin,
    /// There is no such page or function.
    NoSuchPage,
    /// The browser cannot reach Berth. Never sent: it arises in the browser.
    Offline,
    /// An answer that this page cannot read: Berth was replaced by another version, or something answers in its place. Never sent.
    Outdated,
    /// Berth's own fault.
    Internal {
        /// In the log: what.
        incident: Incident,
    },
}

impl AppError {
    /// Its code alone, such as `not_running`.
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// The HTTP status that goes with it where a program asked. A browser's plain form gets a redirect instead.
    pub fn status(&self) -> u16 {
        match self {
            Self::SignedOut
            | Self::WrongCredentials { .. }
            | Self::SecondFactorUnsupported { .. }
            | Self::WrongCode
            | Self::WrongRecoveryKey
            | Self::SignInExpired => 401,
            Self::Forbidden { .. } | Self::ForeignOrigin => 403,
            Self::NoSuchContainer
            | Self::NoSuchOperation
            | Self::NoSuchTask
            | Self::NoSuchBatch
            | Self::ContainerNotFound { .. }
            | Self::NoSuchPage => 404,
            Self::NothingToStop
            | Self::ContainerLocked { .. }
            | Self::AlreadyRunning { .. }
            | Self::NotRunning { .. }
            | Self::IsTemplate { .. }
            | Self::MustBeStopped { .. }
            | Self::Protected { .. }
            | Self::HaManaged { .. }
            | Self::StatusUnknown { .. }
            | Self::Busy { .. }
            | Self::IdentityChanged { .. }
            | Self::IdentityUnclear { .. } => 409,
            Self::TooLarge => 413,
            Self::Invalid { .. } => 422,
            Self::BadRequest => 400,
            Self::Internal { .. } => 500,
            Self::TaskFailed { .. }
            | Self::DidNotStop { .. }
            | Self::Cancelled { .. }
            | Self::Interrupted { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Refused { .. }
            | Self::Unintelligible { .. }
            | Self::CertificateUntrusted { .. } => 502,
            Self::NoCluster | Self::ClusterUnreachable { .. } | Self::NodeUnreachable { .. } | Self::Offline | Self::Outdated => 503,
            Self::ClusterSlow { .. } => 504,
        }
    }

    /// The number under which the log holds more, where it does.
    pub fn incident(&self) -> Option<Incident> {
        match self {
            Self::TaskFailed { incident, .. }
            | Self::ClusterUnreachable { incident, .. }
            | Self::ClusterSlow { incident, .. }
            | Self::CertificateUntrusted { incident, .. }
            | Self::NodeUnreachable { incident, .. }
            | Self::Refused { incident }
            | Self::Unintelligible { incident }
            | Self::Internal { incident } => Some(*incident),
            _ => None,
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignedOut => f.write_str("You are signed out."),
            Self::WrongCredentials { .. } => f.write_str("Wrong user name or password."),
            Self::SecondFactorUnsupported { factor } => f.write_str(match factor {
                OtherFactor::WebAuthn => "Your second factor is a security key (WebAuthn), which Berth cannot ask for.",
                OtherFactor::U2f => "Your second factor is a security key (U2F), which Berth cannot ask for.",
                OtherFactor::Yubico => "Your second factor is a Yubico key, which Berth cannot ask for.",
                OtherFactor::Spent => "All your recovery keys are used up.",
                OtherFactor::Unknown => "Your second factor is of a kind that Berth cannot ask for.",
            }),
            Self::WrongCode => f.write_str("Proxmox refused this code. Enter the next one."),
            Self::WrongRecoveryKey => f.write_str("Proxmox refused this key. Each one works once."),
            Self::SignInExpired => f.write_str("This sign-in has expired. Enter your password again."),
            Self::Invalid { field, flaw } => f.write_str(match (field, flaw) {
                (Field::Cluster, _) => "Choose a cluster.",
                (Field::Username, Flaw::Empty) => "Enter your user name.",
                (Field::Username, _) => "A user name has no blank, colon or slash, and at most 64 characters with its realm.",
                (Field::Realm, Flaw::Unknown) => "This cluster has no such realm.",
                (Field::Realm, _) => "Choose a realm.",
                (Field::Password, _) => "Enter your password.",
                (Field::Code, Flaw::Empty) => "Enter the code.",
                (Field::Code, _) => "A code has six digits.",
                (Field::RecoveryKey, Flaw::Empty) => "Enter a recovery key.",
                (Field::RecoveryKey, _) => "A recovery key is like 1a2b-3c4d-5e6f-7a8b.",
                (Field::Confirm, _) => "Type the container's name to confirm.",
                (Field::ConfirmMany, _) => "Type “delete” and the number, as it stands above the field.",
            }),
            Self::Forbidden { vmid: Some(vmid) } => write!(f, "Your Proxmox account may not do that to CT {vmid}."),
            Self::Forbidden { vmid: None } => f.write_str("Your Proxmox account may not do that."),
            Self::NoSuchContainer => f.write_str("There is no such container that you may see."),
            Self::NoSuchOperation => f.write_str("There is no such operation that you may see."),
            Self::NoSuchTask => f.write_str("There is no such task that you may see."),
            Self::NothingToStop => f.write_str("Nothing runs there that could be stopped."),
            Self::NoSuchBatch => f.write_str("There is no such batch of yours."),
            Self::ContainerNotFound { vmid } => write!(f, "Proxmox has no CT {vmid} on its node any more."),
            Self::ContainerLocked { vmid, lock: Lock::Other } => write!(f, "CT {vmid} is locked. Allowed again when the lock is gone."),
            Self::ContainerLocked { vmid, lock } => write!(f, "CT {vmid} is locked: {}. Allowed again when it ends.", lock.word()),
            Self::AlreadyRunning { vmid } => write!(f, "CT {vmid} is already running."),
            Self::NotRunning { vmid } => write!(f, "CT {vmid} is not running."),
            Self::IsTemplate { vmid } => write!(f, "CT {vmid} is a template and cannot be started."),
            Self::MustBeStopped { vmid } => write!(f, "CT {vmid} is running. Allowed again when it is stopped."),
            Self::Protected { vmid } => write!(f, "CT {vmid} is protected. Allowed again when its protection is taken away in Proxmox."),
            Self::HaManaged { vmid } => write!(f, "CT {vmid} is managed by HA. Allowed again when it is removed from HA in Proxmox."),
            Self::StatusUnknown { vmid } => write!(f, "Proxmox does not say whether CT {vmid} runs. Allowed again when it does."),
            Self::Busy { vmid, verb, by, since } => write!(f, "CT {vmid} is busy: {} by {by}, since {since} s.", verb),
            Self::IdentityChanged { vmid } => write!(f, "Another container bears the number {vmid} now. Nothing was done to it."),
            Self::IdentityUnclear { vmid } => {
                write!(f, "Nothing tells whether CT {vmid} is still the same container. Type its name to go on.")
            }
            Self::DidNotStop { vmid } => write!(f, "CT {vmid} did not shut down by itself."),
            Self::Cancelled { vmid } => write!(f, "Somebody broke the task for CT {vmid} off."),
            Self::Interrupted { vmid } => write!(f, "Berth was restarted before the next step for CT {vmid}, which was not taken."),
            Self::OutcomeUnknown { vmid } => write!(f, "Nobody could see how the operation on CT {vmid} ended."),
            Self::TaskFailed { vmid, .. } => write!(f, "Proxmox tried, and the task for CT {vmid} failed."),
            Self::NoCluster => f.write_str("No cluster is connected yet."),
            Self::ClusterUnreachable { cluster, .. } => write!(f, "{cluster} cannot be reached."),
            Self::ClusterSlow { cluster, .. } => write!(f, "{cluster} does not answer in time."),
            Self::CertificateUntrusted { cluster, .. } => {
                write!(f, "The certificate of {cluster} is not the one Berth trusts. Nothing was sent to it.")
            }
            Self::NodeUnreachable { node: Some(node), .. } => write!(f, "{node} does not answer."),
            Self::NodeUnreachable { node: None, .. } => f.write_str("The node does not answer."),
            Self::Refused { .. } => f.write_str("Proxmox refused."),
            Self::Unintelligible { .. } => f.write_str("Proxmox gave an answer that Berth cannot read."),
            Self::BadRequest => f.write_str("The request cannot be read."),
            Self::TooLarge => f.write_str("The request is too large."),
            Self::ForeignOrigin => f.write_str("The request came from another site and was not carried out."),
            Self::NoSuchPage => f.write_str("There is no such page."),
            Self::Offline => f.write_str("Berth cannot be reached. Check your connection."),
            Self::Outdated => f.write_str("This page is out of date. Reload it."),
            Self::Internal { .. } => f.write_str("Something went wrong in Berth."),
        }
    }
}

impl std::error::Error for AppError {}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            // in the browser: nothing came back, or nothing that can be read
            ServerFnErrorErr::Request(_) => Self::Offline,
            ServerFnErrorErr::Response(_) | ServerFnErrorErr::Deserialization(_) => Self::Outdated,
            // on the server, before the function's body runs
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::UnsupportedRequestMethod(_) => Self::BadRequest,
            _ => Self::Internal { incident: Incident(0) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_is_read_aloud_without_mistake() {
        assert_eq!(Incident(0).to_string(), "0000-00");
        assert_eq!(Incident((1 << 30) - 1).to_string(), "ZZZZ-ZZ");
        assert_eq!(Incident(u32::MAX).to_string(), "ZZZZ-ZZ");
    }

    #[test]
    fn the_codes_are_a_contract() {
        let codes = "signed_out wrong_credentials second_factor_unsupported wrong_code wrong_recovery_key sign_in_expired invalid forbidden \
                     no_such_container no_such_operation no_such_task nothing_to_stop no_such_batch container_not_found container_locked already_running \
                     not_running is_template must_be_stopped protected ha_managed status_unknown busy identity_changed identity_unclear did_not_stop cancelled \
                     interrupted outcome_unknown task_failed no_cluster cluster_unreachable cluster_slow certificate_untrusted node_unreachable refused \
                     unintelligible bad_request too_large foreign_origin no_such_page offline outdated internal";
        assert_eq!(AppError::VARIANTS.join(" "), codes);
    }

    #[test]
    fn what_does_not_come_back_is_offline_and_what_cannot_be_read_is_a_bad_request() {
        let error = |e| AppError::from_server_fn_error(e);
        assert_eq!(error(ServerFnErrorErr::Request("secret".into())), AppError::Offline);
        assert_eq!(error(ServerFnErrorErr::Args("secret".into())), AppError::BadRequest);
    }
}
