//! The page of an operation. The server renders it; see [`crate::pages`].

use super::{
    model::{Call, Manner, OperationId, OperationState, OperationView, Stage, Verb},
    service,
    store::OperationRow,
    task::{self, TaskSeen},
    task_view::{StopTask, TaskPanel, wants_all_lines},
};
use crate::{
    containers::model::Status,
    error::AppError,
    pages::{
        model::RenderedPage,
        parts::{Crumbs, exact, rendered},
        query::Query,
    },
    paths,
    server::{Context, Error},
    ui::{
        icons::{Glyph, Icon},
        parts::ErrorNote,
    },
};
use leptos::prelude::*;

/// `/operations/{id}`. `refused` is what a form without JavaScript has to say.
pub async fn operation(context: &Context, id: &OperationId, query: &Query, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let row = service::read_operation(context, id).await?;
    let tasks = task::look_at(context, &row.upids.0, wants_all_lines(query)).await?;
    let now = context.state.db().now_ms().await.map_err(|e| Error::Db("tell the time", e))?;
    let title = format!("{} {}", row.verb.label(), row.hostname);
    Ok(rendered(title, row.state == OperationState::Open, move || view! { <Operation row tasks now refused /> }))
}

#[component]
fn Operation(row: OperationRow, tasks: Vec<TaskSeen>, now: i64, refused: Option<AppError>) -> impl IntoView {
    let shown = OperationView::from(row.clone());
    let container = paths::container(&row.container_id);
    let steps = vec![(row.hostname.clone(), Some(container.clone()))];
    let lasts = shown.lasts(now / 1000);
    let lasts = if shown.is_open() { format!("{lasts} so far") } else { format!("took {lasts}") };
    let end = (!shown.is_open()).then(|| view! { <End operation=shown.clone() container=container.clone() /> });
    let source = row.source.clone().map(|source| format!(" from {source}"));
    let stop = task::awaited(&row).and_then(|upid| tasks.iter().find(|task| task.upid == *upid)).map(|task| {
        let may = task.stop;
        view! { <StopTask action="/api/stop_operation" name="id" value=row.id.to_string() may what=what_a_stop_does(row.verb) /> }
    });
    let page = paths::operation(&row.id);
    let log = (tasks.iter().filter(|task| task.log.is_ok()).count() > 1).then(|| view! { <a class="btn btn-sm" href=paths::operation_log(&row.id) rel="external" download=""><Icon name="download" class="i-sm" />"Download all logs"</a> });
    let has_more = log.is_some() || stop.is_some();
    let none = tasks.is_empty().then(|| view! { <p class="text-ink-3">"Proxmox has no task for it."</p> });
    let tasks = tasks.into_iter().map(|task| view! { <TaskPanel task page=page.clone() now /> }).collect_view();
    view! {
        <Crumbs steps />
        <div class="px-page pb-6 grid gap-5 max-w-[60rem]">
            {refused.map(|error| view! { <ErrorNote error /> })}
            <div class="grid gap-1 max-[860px]:pt-3">
                <h1 class="text-xl flex items-center gap-2.5">
                    <Glyph name=shown.glyph() />
                    {format!("{} {}", row.verb.label(), row.hostname)}
                </h1>
                <p class="text-ink-3">
                    {row.actor.to_string()} {source} " · " <time title="By Berth's database">{exact(row.started_at)}</time> " · " {lasts} " · CT "
                    {row.vmid.to_string()} " on " {row.node.to_string()}
                </p>
            </div>
            {end}
            <section class="panel" aria-labelledby="phases">
                <div class="panel-h">
                    <h2 id="phases">"Steps"</h2>
                </div>
                <ol class="phases">{phases(&row).into_iter().map(|phase| view! { <PhaseLine phase /> }).collect_view()}</ol>
            </section>
            {tasks}
            {none}
            {has_more.then(|| view! { <div class="flex flex-wrap items-center gap-2">{log} {stop}</div> })}
            <p class="text-xs text-ink-3">
                {if shown.is_open() { "Leaving this page changes nothing: the operation runs on the server. " } else { "" }} "Operation "
                <code>{row.id.to_string()}</code>
            </p>
        </div>
    }
    .into_any()
}

/// How it ended, and what to do next.
#[component]
fn End(operation: OperationView, container: String) -> impl IntoView {
    let next = view! { <a class="a" href=container>{format!("Go to {}", operation.name)}</a> };
    match operation.error.clone() {
        Some(error) => {
            let more = what_next(&error).to_owned();
            view! { <ErrorNote error more>{next}</ErrorNote> }.into_any()
        }
        None => view! {
            <div class="note">
                <Glyph name=operation.glyph() />
                <div>
                    <b class="font-medium text-ink" role="status">{operation.sentence()} "."</b>
                    <span class="block text-ink-2">{manner_of(&operation)}</span>
                    {(operation.verb != Verb::Delete).then_some(view! { <span class="block mt-1">{next}</span> })}
                </div>
            </div>
        }
        .into_any(),
    }
}

fn manner_of(operation: &OperationView) -> &'static str {
    match (operation.verb, operation.manner) {
        (Verb::Shutdown | Verb::Restart, Some(Manner::Graceful)) => "It shut down by itself.",
        (Verb::Shutdown | Verb::Restart, Some(Manner::Forced)) => "What it had not written to disk by then is lost.",
        (Verb::Delete, _) => "Its operations and events are kept.",
        _ => "",
    }
}

/// What a tired reader can do about it.
fn what_next(error: &AppError) -> &'static str {
    match error {
        AppError::TaskFailed { .. } => "The log below says why; its end stands in Berth's log too, under the reference.",
        AppError::DidNotStop { .. } => "It still runs. A shutdown that may end in a hard stop, or a stop, brings it to stand.",
        AppError::Interrupted { .. } => "What was done before that stands below. The next step can be asked for again.",
        AppError::OutcomeUnknown { .. } => "Its status is what Proxmox says now; the tasks below tell the rest.",
        AppError::Cancelled { .. } => "What it had done before that stands.",
        _ => "",
    }
}

/// A step of an operation as it is shown.
#[derive(Debug, PartialEq, Eq)]
struct Phase {
    glyph: &'static str,
    word: &'static str,
    detail: &'static str,
}

#[component]
fn PhaseLine(phase: Phase) -> impl IntoView {
    let tone = match phase.glyph {
        "pending" => "font-medium text-link",
        "fail" => "font-medium text-bad-ink",
        "wait" | "cut" => "text-ink-3",
        _ => "",
    };
    view! {
        <li>
            <Glyph name=phase.glyph />
            <span class=tone>{phase.word}</span>
            <span class="text-ink-3">{phase.detail}</span>
        </li>
    }
}

/// The calls that an operation consists of, as far as they are known now.
fn calls(row: &OperationRow) -> Vec<Call> {
    let ran = row.before == Some(Status::Running);
    let mut calls = match row.verb {
        Verb::Start => vec![Call::Start],
        Verb::Stop => vec![Call::Stop],
        Verb::Shutdown => vec![Call::Shutdown],
        Verb::Restart if ran => vec![Call::Shutdown, Call::Start],
        Verb::Restart => vec![Call::Start],
        Verb::Delete if ran => vec![Call::Stop, Call::Delete],
        Verb::Delete => vec![Call::Delete],
    };
    let fell_back = matches!(row.call, Some(Call::Stop | Call::Abort)) || row.upids.0.iter().any(|upid| upid.kind() == "vzstop");
    if fell_back && calls[0] == Call::Shutdown {
        calls.insert(1, Call::Stop);
    }
    calls
}

/// Where each of its calls stands.
fn phases(row: &OperationRow) -> Vec<Phase> {
    let calls = calls(row);
    let current = match row.call {
        Some(Call::Abort) => Some(Call::Stop),
        call => call,
    };
    let current = current.and_then(|call| calls.iter().position(|other| *other == call)).unwrap_or(0);
    let given_up = calls.get(1) == Some(&Call::Stop) && calls[0] == Call::Shutdown;
    let phase = |(position, call): (usize, &Call)| {
        let call = *call;
        let is_past = row.state == OperationState::Succeeded || position < current;
        let (glyph, detail) = match row.state {
            _ if is_past && call == Call::Shutdown && given_up => ("warn", "it did not in time"),
            _ if is_past && call == Call::Shutdown && row.manner == Some(Manner::Forced) => {
                ("warn", "it did not in time, and Proxmox stopped it hard")
            }
            _ if is_past => ("ok", ""),
            _ if position > current => ("wait", if row.state == OperationState::Open { "" } else { "not begun" }),
            OperationState::Open => ("pending", under_way(row, call)),
            OperationState::Failed => ("fail", "failed"),
            OperationState::Interrupted => ("cut", "interrupted"),
            OperationState::Unknown | OperationState::Succeeded => ("cut", "outcome unknown"),
        };
        Phase { glyph, word: word(call), detail }
    };
    calls.iter().enumerate().map(phase).collect()
}

fn word(call: Call) -> &'static str {
    match call {
        Call::Start => "Start",
        Call::Stop | Call::Abort => "Stop hard",
        Call::Shutdown => "Shut down",
        Call::Delete => "Delete",
    }
}

/// What is being waited for.
fn under_way(row: &OperationRow, call: Call) -> &'static str {
    match (row.stage, call) {
        (Stage::Begun, _) => "about to begin",
        (Stage::Intended, _) if row.call == Some(Call::Abort) => "breaking off the shutdown first",
        (Stage::Intended, _) => "asked for; Proxmox has not named a task yet",
        (Stage::Waiting, Call::Shutdown) if row.graceful_only => "waiting for it to shut down by itself, for as long as Proxmox does",
        (Stage::Waiting, Call::Shutdown) => "waiting for it to shut down by itself; it is stopped hard if it does not",
        (Stage::Waiting, _) => "Proxmox is at it",
        (Stage::Observing, _) => "HA has its order; waiting until the container follows",
    }
}

/// What comes of it where the task is stopped that it waits for.
fn what_a_stop_does(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "The start is broken off. The container may be left half started.",
        Verb::Stop | Verb::Shutdown => "Nothing more is done to stop the container; it may go on running.",
        Verb::Restart => "The restart ends here. The container may be left stopped.",
        Verb::Delete => "The deletion is broken off. The container may be left without some of its disks.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::db::JsonText;

    fn row(verb: Verb, call: Option<Call>, state: OperationState) -> OperationRow {
        let id = "0190163d8694739baea5966c26f8ad91";
        OperationRow {
            id: id.parse().unwrap(),
            container_id: id.parse().unwrap(),
            cluster: "homelab".parse().unwrap(),
            vmid: 101.try_into().unwrap(),
            hostname: "web".into(),
            node: "pve1".parse().unwrap(),
            verb,
            graceful_only: false,
            actor: "alice@pve".parse().unwrap(),
            source: None,
            state,
            stage: Stage::Waiting,
            call,
            intent_at: None,
            upid: None,
            upids: JsonText(vec![]),
            before: Some(Status::Running),
            after: None,
            manner: None,
            code: None,
            error: None,
            started_at: 0,
            deadline_at: 0,
            updated_at: 0,
            ended_at: None,
        }
    }

    fn shown(row: &OperationRow) -> Vec<(&'static str, &'static str)> {
        phases(row).into_iter().map(|phase| (phase.glyph, phase.word)).collect()
    }

    #[test]
    fn each_call_of_a_verb_is_a_step_and_stands_where_the_operation_does() {
        let open = OperationState::Open;
        assert_eq!(shown(&row(Verb::Restart, Some(Call::Shutdown), open)), [("pending", "Shut down"), ("wait", "Start")]);
        assert_eq!(shown(&row(Verb::Restart, Some(Call::Start), open)), [("ok", "Shut down"), ("pending", "Start")]);
        assert_eq!(shown(&row(Verb::Delete, Some(Call::Delete), OperationState::Failed)), [("ok", "Stop hard"), ("fail", "Delete")]);
        assert_eq!(shown(&row(Verb::Delete, None, OperationState::Interrupted)), [("cut", "Stop hard"), ("wait", "Delete")]);
    }

    #[test]
    fn a_shutdown_that_was_given_up_has_a_stop_behind_it() {
        let open = OperationState::Open;
        assert_eq!(shown(&row(Verb::Shutdown, Some(Call::Abort), open)), [("warn", "Shut down"), ("pending", "Stop hard")]);
        assert_eq!(
            shown(&row(Verb::Restart, Some(Call::Stop), open)),
            [("warn", "Shut down"), ("pending", "Stop hard"), ("wait", "Start")]
        );
        let by_proxmox =
            OperationRow { manner: Some(Manner::Forced), ..row(Verb::Shutdown, Some(Call::Shutdown), OperationState::Succeeded) };
        assert_eq!(shown(&by_proxmox), [("warn", "Shut down")]);
    }
}
