//! How operations read, on buttons, in rows and on pages.

use super::model::{Manner, OperationLine, OperationState, OperationView, Verb};
use crate::{containers::model::Status, error::AppError, ui::format};

impl Verb {
    /// All of them, in the order of a menu.
    pub const ALL: [Self; 5] = [Self::Start, Self::Shutdown, Self::Restart, Self::Stop, Self::Delete];

    /// Where its form is sent to.
    pub fn action(self) -> &'static str {
        match self {
            Self::Start => "/api/start_container",
            Self::Stop => "/api/stop_container",
            Self::Shutdown => "/api/shutdown_container",
            Self::Restart => "/api/restart_container",
            Self::Delete => "/api/delete_container",
        }
    }

    /// Its icon.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Start => "play",
            Self::Stop => "square",
            Self::Shutdown => "power",
            Self::Restart => "rotate-cw",
            Self::Delete => "trash-2",
        }
    }

    /// Once it is done: "web is running".
    pub fn done(self, name: &str, manner: Option<Manner>, warnings: bool) -> String {
        let what = match (self, manner) {
            (Self::Start, _) => "is running",
            (Self::Restart, Some(Manner::Forced)) => "was stopped hard, because it did not shut down in time, and is running again",
            (Self::Restart, _) => "is running again",
            (Self::Shutdown, Some(Manner::Forced)) => "was stopped hard, because it did not shut down in time",
            (Self::Stop | Self::Shutdown, _) => "is stopped",
            (Self::Delete, _) => "is deleted",
        };
        format!("{name} {what}{}", if warnings { ", with warnings" } else { "" })
    }

    /// Where it did not come to a good end: "Start failed".
    pub fn not_done(self, state: OperationState) -> String {
        let end = match state {
            OperationState::Interrupted => "interrupted",
            OperationState::Unknown => "outcome unknown",
            _ => "failed",
        };
        format!("{} {end}", self.label())
    }
}

impl OperationView {
    /// Whether its end is still to come.
    pub fn is_open(&self) -> bool {
        self.state == OperationState::Open
    }

    /// How long it takes or took. `now` is in epoch seconds.
    pub fn lasts(&self, now: i64) -> String {
        let end = self.ended_at.unwrap_or(now * 1000);
        format::duration((end - self.started_at) / 1000)
    }

    /// Why nothing else can be done meanwhile. `now` is in epoch seconds.
    pub fn in_the_way(&self, now: i64) -> String {
        format!("{} By {}, since {}. Allowed again when that ends.", self.verb.under_way(), self.actor, self.lasts(now))
    }

    /// Where it stands, in a sentence without a full stop.
    pub fn sentence(&self) -> String {
        match self.state {
            OperationState::Open => format!("{}: {}", self.name, self.verb.under_way()),
            OperationState::Succeeded => self.verb.done(&self.name, self.manner, self.warnings),
            state => format!("{}: {}", self.name, self.verb.not_done(state)),
        }
    }

    /// What the list says of it, beside a container that is seen to do this; none where it is not in the list.
    pub fn in_list(&self, status: Option<Status>, now: i64) -> OperationLine {
        let ended_badly = !matches!(self.state, OperationState::Open | OperationState::Succeeded);
        let line = match &self.error {
            _ if self.is_open() => format!("{} · {}", self.actor, self.lasts(now)),
            // somebody has reached by now what it was for
            _ if !ended_badly || status.is_some() && status == self.verb.goal() => String::new(),
            Some(error) if error.incident().is_some() => {
                let reference = error.incident().map(|number| number.to_string()).unwrap_or_default();
                format!("{} · {reference}", self.verb.not_done(self.state))
            }
            _ => self.verb.not_done(self.state),
        };
        OperationLine {
            id: self.id.clone(),
            container: self.container.clone(),
            under_way: self.is_open().then_some(self.verb),
            is_bad: ended_badly,
            line,
            sentence: self.sentence(),
            why: if self.is_open() { self.in_the_way(now) } else { self.error.as_ref().map(AppError::to_string).unwrap_or_default() },
        }
    }

    /// Its glyph.
    pub fn glyph(&self) -> &'static str {
        match self.state {
            OperationState::Open => "pending",
            OperationState::Succeeded if self.warnings || self.is_forced_shutdown() => "warn",
            OperationState::Succeeded => "ok",
            OperationState::Failed => "fail",
            OperationState::Interrupted | OperationState::Unknown => "cut",
        }
    }

    fn is_forced_shutdown(&self) -> bool {
        self.manner == Some(Manner::Forced) && self.verb != Verb::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_that_was_forced_says_so() {
        assert_eq!(Verb::Shutdown.done("web", Some(Manner::Graceful), false), "web is stopped");
        assert_eq!(
            Verb::Shutdown.done("web", Some(Manner::Forced), true),
            "web was stopped hard, because it did not shut down in time, with warnings"
        );
        assert_eq!(Verb::Stop.done("web", Some(Manner::Forced), false), "web is stopped");
    }

    #[cfg(feature = "ssr")]
    #[test]
    fn a_form_is_sent_to_the_verbs_own_function() {
        use crate::containers::api::{DeleteContainer, RestartContainer, ShutdownContainer, StartContainer, StopContainer};
        use leptos::server_fn::ServerFn;
        let paths = [StartContainer::PATH, ShutdownContainer::PATH, RestartContainer::PATH, StopContainer::PATH, DeleteContainer::PATH];
        assert_eq!(Verb::ALL.map(Verb::action), paths);
    }
}
