//! What is shown of a history: which kinds of things, by whom, with which end. The same words sort events of ours and tasks of Proxmox's.

use crate::{
    operations::model::Verb,
    pages::query::Query,
    proxmox::{ids::UserId, wire::NodeTask},
};
use strum::{Display, EnumIter, EnumString};

/// A kind of things that are done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum What {
    /// Its start.
    Start,
    /// The clean end.
    Shutdown,
    /// Both.
    Restart,
    /// The hard end.
    Stop,
    /// Its removal.
    Delete,
    /// Its making: new, from a backup, as a copy.
    Create,
    /// A backup of it.
    Backup,
    /// Taking, removing or going back to a snapshot.
    Snapshot,
    /// A disk that grew or moved.
    Disk,
    /// Going to another node.
    Move,
    /// Somebody looked inside.
    Console,
    /// Something about what runs in it.
    Service,
    /// All else.
    Other,
}

impl What {
    /// In the list of kinds.
    pub fn label(self) -> &'static str {
        match self {
            Self::Start => Verb::Start.label(),
            Self::Shutdown => Verb::Shutdown.label(),
            Self::Restart => Verb::Restart.label(),
            Self::Stop => Verb::Stop.label(),
            Self::Delete => Verb::Delete.label(),
            Self::Create => "Create",
            Self::Backup => "Back up",
            Self::Snapshot => "Snapshot",
            Self::Disk => "Disk",
            Self::Move => "Move",
            Self::Console => "Console",
            Self::Service => "Service",
            Self::Other => "Other",
        }
    }

    /// Of a verb.
    fn of_verb(verb: Verb) -> Self {
        match verb {
            Verb::Start => Self::Start,
            Verb::Stop => Self::Stop,
            Verb::Shutdown => Self::Shutdown,
            Verb::Restart => Self::Restart,
            Verb::Delete => Self::Delete,
        }
    }

    /// Of a task's type (pve-manager `www/manager6/Utils.js`, task_desc_table).
    fn of_task(kind: &str) -> Self {
        match kind {
            "vzstart" | "hastart" => Self::Start,
            "vzshutdown" => Self::Shutdown,
            "vzreboot" => Self::Restart,
            "vzstop" | "hastop" => Self::Stop,
            "vzdestroy" => Self::Delete,
            "vzcreate" | "vzrestore" | "vzclone" | "vztemplate" => Self::Create,
            "vzdump" => Self::Backup,
            "vzsnapshot" | "vzdelsnapshot" | "vzrollback" => Self::Snapshot,
            "resize" | "move_volume" | "imgdel" => Self::Disk,
            "vzmigrate" | "hamigrate" => Self::Move,
            "vncproxy" | "spiceproxy" | "vncshell" => Self::Console,
            _ => Self::Other,
        }
    }
}

/// What a task does, in words.
pub fn task_title(kind: &str) -> String {
    let title = match kind {
        "vzstart" => "Start",
        "hastart" => "Start by HA",
        "vzshutdown" => "Shut down",
        "vzreboot" => "Restart",
        "vzstop" => "Stop hard",
        "hastop" => "Stop by HA",
        "vzdestroy" => "Delete",
        "vzcreate" => "Create",
        "vzrestore" => "Restore from a backup",
        "vzclone" => "Clone",
        "vztemplate" => "Make a template",
        "vzdump" => "Back up",
        "vzsnapshot" => "Take a snapshot",
        "vzdelsnapshot" => "Delete a snapshot",
        "vzrollback" => "Roll back to a snapshot",
        "vzsuspend" => "Suspend",
        "vzresume" => "Resume",
        "resize" => "Grow a disk",
        "move_volume" => "Move a disk",
        "imgdel" => "Delete a volume",
        "vzmigrate" => "Move to another node",
        "hamigrate" => "Move by HA",
        "vncproxy" | "spiceproxy" | "vncshell" => "Console",
        // a type that is newer than this list
        other => return format!("Task {other}"),
    };
    title.to_owned()
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Ended {
    /// It goes on.
    Running,
    /// Well.
    Ok,
    /// Well, with something to say; or by force.
    Warnings,
    /// Not well.
    Failed,
    /// It was not tried.
    Refused,
}

impl Ended {
    /// In the list of results.
    pub fn label(self) -> &'static str {
        match self {
            Self::Running => "Under way",
            Self::Ok => "Done",
            Self::Warnings => "Done, with warnings or by force",
            Self::Failed => "Failed",
            Self::Refused => "Refused",
        }
    }

    /// Its glyph.
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Running => "pending",
            Self::Ok => "ok",
            Self::Warnings => "warn",
            Self::Failed => "fail",
            Self::Refused => "cut",
        }
    }

    /// Of a task by its exit status: absent or `RUNNING` in a list while it runs.
    pub fn of_exit(exit: Option<&str>) -> Self {
        match exit {
            None | Some("RUNNING") => Self::Running,
            Some("OK") => Self::Ok,
            Some(exit) if exit.starts_with("WARNINGS: ") => Self::Warnings,
            Some(_) => Self::Failed,
        }
    }
}

/// What is asked for; nothing said means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// This kind alone.
    pub what: Option<What>,
    /// This user alone, with their tokens.
    pub by: Option<String>,
    /// This end alone.
    pub result: Option<Ended>,
}

impl Filter {
    /// What an address asks for.
    pub fn of(query: &Query) -> Self {
        Self { what: query.read("what"), by: query.get("by").map(str::to_owned), result: query.read("result") }
    }

    /// Whether everything is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the pairs of a query.
    pub fn pairs(&self) -> [(&'static str, String); 3] {
        let text = |word: Option<String>| word.unwrap_or_default();
        [
            ("what", text(self.what.map(|what| what.to_string()))),
            ("by", text(self.by.clone())),
            ("result", text(self.result.map(|result| result.to_string()))),
        ]
    }

    /// Whether it lets a task through.
    pub fn fits(&self, task: &NodeTask) -> bool {
        self.what.is_none_or(|what| what == What::of_task(task.upid.kind()))
            && self.by.as_ref().is_none_or(|by| task.upid.is_of(by))
            && self.result.is_none_or(|result| result == Ended::of_exit(task.status.as_deref()))
    }

    /// Whether it lets through what a user is at.
    pub fn fits_open(&self, verb: Verb, actor: &UserId) -> bool {
        self.what.is_none_or(|what| what == What::of_verb(verb))
            && self.by.as_ref().is_none_or(|by| by == actor.as_str())
            && self.result.is_none_or(|result| result == Ended::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    fn task(kind: &str, user: &str, status: Option<&str>) -> NodeTask {
        let upid = format!("UPID:pve1:00000741:00029807:6B0325C5:{kind}:103:{user}:").parse().unwrap();
        NodeTask { upid, endtime: None, status: status.map(str::to_owned) }
    }

    #[test]
    fn a_filter_lets_through_what_it_names() {
        let filter = Filter { what: Some(What::Backup), by: Some("root@pam".to_owned()), result: Some(Ended::Ok) };
        assert!(filter.fits(&task("vzdump", "root@pam", Some("OK"))));
        assert!(filter.fits(&task("vzdump", "root@pam!cron", Some("OK"))));
        assert!(!filter.fits(&task("vzdump", "root@pamx", Some("OK"))));
        assert!(!filter.fits(&task("vzstart", "root@pam", Some("OK"))));
        assert!(!filter.fits(&task("vzdump", "root@pam", Some("job errors"))));
        assert!(Filter::default().fits(&task("new", "a@b", None)));
    }

    #[test]
    fn what_an_address_says_is_what_a_link_says() {
        for (what, result) in What::iter().zip(Ended::iter().cycle()) {
            let filter = Filter { what: Some(what), by: Some("a@pve".to_owned()), result: Some(result) };
            let query: Vec<_> = filter.pairs().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(Filter::of(&Query::of(&query.join("&"))), filter);
        }
    }

    #[test]
    fn an_exit_status_is_read_as_proxmox_means_it() {
        let ends = [None, Some("RUNNING"), Some("OK"), Some("WARNINGS: 1"), Some("unexpected status")].map(Ended::of_exit);
        assert_eq!(ends, [Ended::Running, Ended::Running, Ended::Ok, Ended::Warnings, Ended::Failed]);
    }
}
