//! The history of a container as a list, the newest first: events of ours, and tasks of Proxmox's. The server renders it; see
//! [`crate::pages`].

use super::{
    filter::{Ended, Filter, What, task_title},
    model::EventKind,
    service::{Entry, History},
    store::EventRow,
};
use crate::{
    error::AppError,
    operations::{
        model::{Manner, OperationState, OperationView, Verb},
        store::OperationRow,
    },
    pages::parts::{When, exact},
    paths,
    proxmox::{Cause, ids::Upid, wire::NodeTask},
    ui::{format, icons::Glyph, parts::ErrorNote},
};
use leptos::prelude::*;
use strum::IntoEnumIterator;

/// How much of a history is on a page of its own.
pub const PER_PAGE: u32 = 25;
/// How much of it is on another page.
pub const LATEST: u32 = 6;

/// The history, a part at a time, with its filter.
#[component]
pub fn Timeline(
    /// A part of it.
    history: History,
    /// The address of its page.
    page: String,
    /// Whom to find under "You".
    me: String,
) -> impl IntoView {
    let pairs = history.filter.pairs();
    let link = |more: Vec<(&'static str, String)>| {
        let all: Vec<_> = pairs.iter().chain(&more).map(|(name, value)| (*name, value.as_str())).collect();
        paths::with_query(&page, &all)
    };
    let older = history.older.as_ref().map(|older| link(older.pairs().into()));
    let older = older.map(|to| view! { <a class="a" href=to rel="next">"Older"</a> });
    let newest = history.is_older_part.then(|| view! { <a class="a" href=link(vec![])>"Newest"</a> });
    let has_foot = older.is_some() || newest.is_some();
    let filter =
        view! { <FilterForm filter=history.filter.clone() actors=history.actors.iter().cloned().collect() page=page.clone() me /> };
    view! {
        <section class="panel" id="history" aria-labelledby="history-h">
            <div class="panel-h panel-l flex-wrap py-1.5">
                <h2 id="history-h">"Operations and events"</h2>
                {filter}
            </div>
            <Lines history />
            {has_foot.then(|| view! { <nav class="tl-foot" aria-label="Parts of the history">{newest} {older}</nav> })}
        </section>
    }
    .into_any()
}

/// The latest lines, with the way to all.
#[component]
pub fn Latest(
    /// The newest part.
    history: History,
    /// The address of the whole.
    whole: String,
) -> impl IntoView {
    view! {
        <section class="panel" id="history" aria-labelledby="history-h">
            <div class="panel-h panel-l">
                <h2 id="history-h">"Operations and events"</h2>
            </div>
            <Lines history />
            <div class="tl-foot">
                <a class="a ml-auto" href=whole>"Show all"</a>
            </div>
        </section>
    }
    .into_any()
}

#[component]
fn Lines(history: History) -> impl IntoView {
    let History { entries, operations, now, trouble, filter, is_older_part, .. } = history;
    let trouble = trouble.map(|error| {
        view! {
            <div class="px-4 py-3">
                <ErrorNote error more="What was done elsewhere, in Proxmox itself, is missing here.".to_owned() />
            </div>
        }
    });
    let none = entries.is_empty().then(|| {
        let text = match (filter.is_empty(), is_older_part) {
            (false, _) => "Nothing of this kind is here. Another type, user or result may show more.",
            (true, true) => "There is nothing older.",
            (true, false) => "Nothing was done to it through Berth yet. What is done from now on stands here, with who did it.",
        };
        view! { <p class="px-4 py-3 text-ink-3">{text}</p> }
    });
    let lines = entries.into_iter().map(|entry| match entry {
        Entry::Operation(row) => view! { <OpenLine row now /> }.into_any(),
        Entry::Event(event) => {
            let operation = event.operation_id.as_ref().and_then(|id| operations.get(id)).cloned();
            view! { <Line event operation now /> }.into_any()
        }
        Entry::Task(task) => view! { <TaskLine task now /> }.into_any(),
    });
    let lines = lines.collect_view();
    view! {
        {trouble}
        {none}
        <ol class="tl">{lines}</ol>
    }
    .into_any()
}

/// What to show of it: links would do for one thing at a time, a form does for all three.
#[component]
fn FilterForm(filter: Filter, actors: Vec<String>, page: String, me: String) -> impl IntoView {
    let whats = What::iter().map(|what| (what.to_string(), what.label().to_owned()));
    let actors = actors.into_iter().map(|actor| {
        let label = if actor == me { format!("{actor} (you)") } else { actor.clone() };
        (actor, label)
    });
    let results = Ended::iter().map(|result| (result.to_string(), result.label().to_owned()));
    let [what, by, result] = filter.pairs().map(|(_, value)| value);
    let reset = (!filter.is_empty()).then(|| view! { <a class="btn btn-ghost btn-sm" href=page.clone()>"Show all"</a> });
    view! {
        <form class="filter" method="get" action=page aria-label="What is shown">
            <Choice name="what" label="Type" all="All types" chosen=what options=whats.collect() />
            <Choice name="by" label="User" all="Anyone" chosen=by options=actors.collect() />
            <Choice name="result" label="Result" all="Any result" chosen=result options=results.collect() />
            <button type="submit" class="btn btn-sm">"Filter"</button>
            {reset}
        </form>
    }
    .into_any()
}

#[component]
fn Choice(name: &'static str, label: &'static str, all: &'static str, chosen: String, options: Vec<(String, String)>) -> impl IntoView {
    let is_all = chosen.is_empty();
    let options = options.into_iter().map(|(value, text)| {
        let is_chosen = value == chosen;
        view! { <option value=value selected=is_chosen>{text}</option> }
    });
    let options = options.collect_view();
    view! {
        <select class="select" name=name aria-label=label>
            <option value="" selected=is_all>{all}</option>
            {options}
        </select>
    }
    .into_any()
}

/// What goes on.
#[component]
fn OpenLine(row: OperationRow, now: i64) -> impl IntoView {
    let shown = OperationView::from(row.clone());
    let source = row.source.map(|source| format!(" · from {source}"));
    view! {
        <li>
            <Glyph name="pending" />
            <div>
                <a class="tl-what" href=paths::operation(&row.id)>{row.verb.label()}</a>
                " "
                <span class="text-link">{format!("{} for {}", row.verb.under_way(), shown.lasts(now / 1000))}</span>
                <span class="tl-who">{row.actor.to_string()} {source}</span>
            </div>
            <span class="tl-now">"now"</span>
        </li>
    }
    .into_any()
}

/// What was done elsewhere.
#[component]
fn TaskLine(task: NodeTask, now: i64) -> impl IntoView {
    let ended = Ended::of_exit(task.status.as_deref());
    let began = task.upid.starttime();
    let (said, tone) = match ended {
        Ended::Running => ("under way", "text-link"),
        Ended::Warnings => ("with warnings", "text-warn-ink"),
        Ended::Failed if was_broken_off(task.status.as_deref()) => ("broken off", "text-bad-ink"),
        Ended::Failed => ("failed", "text-bad-ink"),
        Ended::Ok | Ended::Refused => ("", ""),
    };
    let end = task.endtime.or_else(|| (ended == Ended::Running).then_some(now / 1000));
    let lasts = end.map(|end| format!(" · {}", format::duration_in_two(end - began)));
    view! {
        <li>
            <Glyph name=ended.glyph() />
            <div>
                <a class="tl-what" href=paths::task(&task.upid)>{task_title(task.upid.kind())}</a>
                " "
                <span class=tone>{said}</span>
                <span class="tl-who" title=exact(began * 1000)>
                    {task.upid.user().to_owned()} " · " <span class="from">"from Proxmox"</span> {lasts}
                </span>
            </div>
            <When at=began * 1000 now />
        </li>
    }
    .into_any()
}

/// Whether somebody asked the task to end, as Proxmox's own words for it say.
pub fn was_broken_off(exit: Option<&str>) -> bool {
    exit.and_then(Cause::of_text).is_some_and(|cause| matches!(cause, Cause::Cancelled))
}

#[component]
fn Line(event: EventRow, operation: Option<OperationRow>, now: i64) -> impl IntoView {
    let shown = operation.map(OperationView::from);
    let error = shown.as_ref().and_then(|operation| operation.error.clone());
    let title = title(&event);
    let to = match (&shown, &event.upid) {
        (Some(operation), _) => Some(paths::operation(&operation.id)),
        (None, upid) => upid.as_ref().map(paths::task),
    };
    let title = match to {
        Some(to) => view! { <a class="tl-what" href=to>{title}</a> }.into_any(),
        None => view! { <span class="tl-what">{title}</span> }.into_any(),
    };
    // whoever stopped its task did not do what the operation did
    let shown = shown.filter(|_| event.kind != EventKind::TaskStopped);
    let error = error.filter(|_| event.kind != EventKind::TaskStopped);
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
                {title} " " <span class=tone(&event)>{said(&event, error.as_ref())}</span>
                <span class="tl-who" title=exact(event.at)>{details.join(" · ")} {reference}</span>
            </div>
            <When at=event.at now />
        </li>
    }
    .into_any()
}

/// What happened.
fn title(event: &EventRow) -> String {
    title_of(event.kind, event.verb, event.upid.as_ref())
}

/// What happened, by its kind, what was asked for, and the task that it was about.
pub fn title_of(kind: EventKind, verb: Option<Verb>, upid: Option<&Upid>) -> String {
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
        (EventKind::TaskStopped, _) => {
            format!("Stopped a task: {}", upid.map_or_else(String::new, |upid| task_title(upid.kind())))
        }
        (EventKind::Failed | EventKind::Refused, None) if upid.is_some() => "Stop of a task not done".to_owned(),
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
