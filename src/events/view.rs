//! The history of a container as a list of events, the newest first. The server renders it; see [`crate::pages`].

use super::{
    model::{EventId, EventKind},
    store::EventRow,
};
use crate::{
    error::AppError,
    operations::{
        model::{Manner, OperationId, OperationState, OperationView, Verb},
        store::OperationRow,
    },
    pages::parts::{When, exact},
    paths,
    ui::icons::Glyph,
};
use leptos::prelude::*;
use std::collections::HashMap;

/// A page of a history.
pub struct History {
    /// The newest first.
    pub events: Vec<EventRow>,
    /// Whether there are older ones.
    pub more: bool,
    /// Whether there may be newer ones.
    pub is_older_page: bool,
    /// The operations that the events belong to.
    pub operations: HashMap<OperationId, OperationRow>,
    /// Epoch milliseconds.
    pub now: i64,
}

/// The history.
#[component]
pub fn Timeline<F: Fn(Option<&EventId>) -> String + 'static>(
    /// What is on this page of it.
    history: History,
    /// The address of the part before an event, or of the newest part.
    page: F,
) -> impl IntoView {
    let History { events, more, is_older_page, operations, now } = history;
    let last = events.last().map(|event| event.id.clone());
    let older = last.filter(|_| more).map(|last| view! { <a class="a" href=page(Some(&last)) rel="next">"Older"</a> });
    let newest = is_older_page.then(|| view! { <a class="a" href=page(None)>"Newest"</a> });
    let none = events.is_empty().then(|| {
        let text = if is_older_page {
            "There is nothing older."
        } else {
            "Nothing was done to it through Berth yet. What is done from now on stands here, with who did it."
        };
        view! { <p class="px-4 py-3 text-ink-3">{text}</p> }
    });
    let lines = events.into_iter().map(|event| {
        let operation = event.operation_id.as_ref().and_then(|id| operations.get(id)).cloned();
        view! { <Line event operation now /> }
    });
    let lines = lines.collect_view();
    view! {
        <section class="panel" id="history" aria-labelledby="history-h">
            <div class="panel-h">
                <h2 id="history-h">"Operations and events"</h2>
            </div>
            {none}
            <ol class="tl">{lines}</ol>
            {(is_older_page || more).then(|| view! { <nav class="tl-foot" aria-label="Parts of the history">{newest} {older}</nav> })}
        </section>
    }
}

#[component]
fn Line(event: EventRow, operation: Option<OperationRow>, now: i64) -> impl IntoView {
    let shown = operation.map(OperationView::from);
    let error = shown.as_ref().and_then(|operation| operation.error.clone());
    let title = title(&event);
    let title = match &shown {
        Some(operation) => view! { <a class="tl-what" href=paths::operation(&operation.id)>{title}</a> }.into_any(),
        None => view! { <span class="tl-what">{title}</span> }.into_any(),
    };
    let details = [
        Some(event.actor.to_string()),
        event.source.as_ref().map(|source| format!("from {source}")),
        shown.as_ref().filter(|operation| !operation.is_open()).map(|operation| format!("after {}", operation.lasts(now / 1000))),
        event.upid.as_ref().map(|upid| format!("{} on {}", upid.kind(), upid.node())),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    let reference = error.as_ref().and_then(AppError::incident).map(|number| view! { " · " <code>{number.to_string()}</code> });
    view! {
        <li>
            <Glyph name=glyph(&event, shown.as_ref()) />
            <div>
                {title} <span class=tone(&event)>{said(&event, error.as_ref())}</span>
                <span class="tl-who" title=exact(event.at)>{details.join(" · ")} {reference}</span>
            </div>
            <When at=event.at now />
        </li>
    }
}

/// What happened.
fn title(event: &EventRow) -> String {
    title_of(event.kind, event.verb)
}

/// What happened, by its kind and what was asked for.
pub fn title_of(kind: EventKind, verb: Option<Verb>) -> String {
    match (kind, verb) {
        (EventKind::Started, Some(Verb::Restart)) => "Restarted".to_owned(),
        (EventKind::Started, _) => "Started".to_owned(),
        (EventKind::Stopped, Some(Verb::Stop)) => "Stopped hard".to_owned(),
        (EventKind::Stopped, Some(Verb::Restart)) => "Shut down for a restart".to_owned(),
        (EventKind::Stopped, _) => "Shut down".to_owned(),
        (EventKind::Deleted, _) => "Deleted".to_owned(),
        (EventKind::Created, _) => "Created".to_owned(),
        (EventKind::ServiceReady, _) => "Service ready".to_owned(),
        (EventKind::ScriptCompleted, _) => "Script completed".to_owned(),
        (EventKind::Failed, verb) => format!("{} failed", verb.map_or("Operation", Verb::label)),
        (EventKind::Refused, verb) => format!("{} refused", verb.map_or("Operation", Verb::label)),
    }
}

/// What else there is to say about it.
fn said(event: &EventRow, error: Option<&AppError>) -> String {
    match (event.kind, event.manner) {
        (EventKind::Failed | EventKind::Refused, _) => error.map_or_else(|| in_words(&event.code).to_owned(), ToString::to_string),
        (EventKind::Stopped, Some(Manner::Forced)) if event.verb != Some(Verb::Stop) => {
            "stopped hard, because it did not in time".to_owned()
        }
        (EventKind::Stopped, Some(Manner::Graceful)) => "by itself".to_owned(),
        (EventKind::Deleted, _) if event.code == "already_gone" => "it was gone already".to_owned(),
        _ if event.code == "warnings" => "with warnings".to_owned(),
        _ => String::new(),
    }
}

/// A code in words where there is no operation to say more. The codes are those of [`AppError`].
fn in_words(code: &str) -> &'static str {
    match code {
        "forbidden" => "Proxmox does not allow it to this account.",
        "container_locked" => "It was locked.",
        "already_running" => "It was running.",
        "not_running" => "It was not running.",
        "is_template" => "It is a template.",
        "protected" => "It was protected.",
        "ha_managed" => "It was managed by HA.",
        "status_unknown" => "Proxmox did not say whether it runs.",
        "identity_changed" => "Another container bears its number.",
        "identity_unclear" => "Nothing told whether it is still the same container.",
        "container_not_found" => "It was gone from Proxmox.",
        "cluster_unreachable" => "The cluster could not be reached.",
        "cluster_slow" => "The cluster did not answer in time.",
        "certificate_untrusted" => "The cluster's certificate was not the one Berth trusts.",
        "node_unreachable" => "Its node did not answer.",
        "interrupted" => "Berth was restarted before the next step.",
        "outcome_unknown" => "Nobody could see how it ended.",
        "task_failed" => "Proxmox tried, and the task failed.",
        "did_not_stop" => "It did not shut down by itself.",
        "cancelled" => "Somebody broke the task off.",
        _ => "Proxmox refused.",
    }
}

fn glyph(event: &EventRow, operation: Option<&OperationView>) -> &'static str {
    match event.kind {
        EventKind::Refused => "cut",
        EventKind::Failed => match operation.map(|operation| operation.state) {
            Some(OperationState::Interrupted | OperationState::Unknown) => "cut",
            _ => "fail",
        },
        EventKind::Stopped if event.manner == Some(Manner::Forced) && event.verb != Some(Verb::Stop) => "warn",
        _ if event.code == "warnings" => "warn",
        _ => "ok",
    }
}

fn tone(event: &EventRow) -> &'static str {
    match event.kind {
        EventKind::Failed => "text-bad-ink",
        EventKind::Stopped if event.manner == Some(Manner::Forced) => "text-warn-ink",
        _ => "text-ink-2",
    }
}

/// The operations of some events, for how long they took and what they ended with.
pub fn named_in(events: &[EventRow]) -> Vec<&OperationId> {
    let mut ids: Vec<_> = events.iter().filter_map(|event| event.operation_id.as_ref()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// How much of a history is on a page.
pub const PER_PAGE: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_an_event_can_have_has_words_of_its_own() {
        for code in ["forbidden", "container_locked", "protected", "ha_managed", "identity_changed", "node_unreachable", "interrupted"] {
            assert!(<AppError as strum::VariantNames>::VARIANTS.contains(&code), "{code}");
            assert_ne!(in_words(code), in_words("refused"), "{code}");
        }
    }
}
