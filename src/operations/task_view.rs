//! A task of Proxmox's with its log: on the page of the operation that it belongs to, or on one of its own. The server renders both; see
//! [`crate::pages`].

use super::{
    store::list_upids,
    task::{self, LINES, LogSeen, StopRefusal, TaskSeen},
};
use crate::{
    containers::store as containers,
    error::AppError,
    events::{
        filter::{Ended, task_title},
        service::SLACK_MS,
    },
    pages::{
        model::RenderedPage,
        parts::{Crumbs, exact, rendered},
        query::Query,
    },
    paths,
    proxmox::ids::Upid,
    server::{Context, Error},
    ui::{
        format,
        icons::{Glyph, Icon},
        parts::ErrorNote,
    },
};
use leptos::prelude::*;

/// Whether an address asks for all lines.
pub fn wants_all_lines(query: &Query) -> bool {
    query.get("lines") == Some("all")
}

/// `/tasks/{upid}`. `refused` is what a form without JavaScript has to say.
pub async fn task(context: &Context, upid: &Upid, query: &Query, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let vmid = task::audited_task(context, upid).await?;
    let db = context.state.db();
    let living = containers::find_living(db, &context.cluster.name, vmid).await.map_err(|e| Error::Db("read a container", e))?;
    let mut seen = task::look_at(context, std::slice::from_ref(upid), wants_all_lines(query)).await?;
    let Some(seen) = seen.pop() else { return Err(Error::Answer(AppError::NoSuchTask)) };
    // Proxmox's own rule about tasks is narrower than that about containers
    if matches!(seen.ended, Err(AppError::NoSuchTask | AppError::Forbidden { .. })) {
        return Err(Error::Answer(AppError::NoSuchTask));
    }
    let now = db.now_ms().await.map_err(|e| Error::Db("tell the time", e))?;
    let around = [upid.starttime() * 1000 - SLACK_MS, upid.starttime() * 1000 + SLACK_MS];
    let ours = list_upids(db, &context.cluster.name, vmid, around[0], around[1]).await;
    let is_foreign = !ours.map_err(|e| Error::Db("read the tasks of operations", e))?.contains(upid);
    let container = match living {
        Some(living) => (living.hostname, paths::container(&living.id)),
        None => (format!("CT {vmid}"), paths::number(&context.cluster.name, vmid)),
    };
    let title = format!("{} {}", task_title(upid.kind()), container.0);
    let is_under_way = matches!(seen.ended, Ok(Ended::Running));
    Ok(rendered(title.clone(), is_under_way, move || view! { <Task seen title container is_foreign now refused /> }))
}

#[component]
fn Task(
    seen: TaskSeen,
    title: String,
    container: (String, String),
    is_foreign: bool,
    now: i64,
    refused: Option<AppError>,
) -> impl IntoView {
    let upid = seen.upid.clone();
    let glyph = glyph(&seen);
    let stop = matches!(seen.ended, Ok(Ended::Running)).then(|| {
        let what = "What it has not done yet is not done. What it has done stays as it is.";
        view! { <StopTask action="/api/stop_task" name="upid" value=upid.to_string() may=seen.stop what /> }
    });
    let page = paths::task(&upid);
    let trouble = seen.ended.as_ref().err().cloned().map(|error| view! { <ErrorNote error /> });
    view! {
        <Crumbs steps=vec![(container.0, Some(container.1))] />
        <div class="px-page pb-6 grid gap-5 max-w-[60rem]">
            {refused.map(|error| view! { <ErrorNote error /> })}
            <div class="grid gap-1 max-[860px]:pt-3">
                <h1 class="text-xl flex items-center gap-2.5">
                    <Glyph name=glyph />
                    {title}
                </h1>
                <p class="text-ink-3">
                    {upid.user().to_owned()} " · " <span title="By the clock of its node">{exact(upid.starttime() * 1000)}</span> " · "
                    {said(&seen, now)} " · CT " {upid.id().to_owned()} " on " {upid.node().to_string()}
                </p>
                {is_foreign.then_some(view! { <p class="text-ink-3">"Begun in Proxmox, or by one of its jobs, and not through Berth."</p> })}
            </div>
            {trouble}
            <TaskPanel task=seen page now />
            {stop}
        </div>
    }
    .into_any()
}

fn glyph(task: &TaskSeen) -> &'static str {
    task.ended.as_ref().map_or("unknown", |ended| ended.glyph())
}

/// How it ended or how long it takes: "failed after 31 s".
fn said(task: &TaskSeen, now: i64) -> String {
    let began = task.upid.starttime();
    let took = task.endtime.map(|end| format!(" after {}", format::duration_in_two(end - began))).unwrap_or_default();
    match task.ended {
        Ok(Ended::Running) => format!("{} so far", format::duration_in_two(now / 1000 - began)),
        Ok(Ended::Ok) => format!("done{took}"),
        Ok(Ended::Warnings) => format!("done, with warnings{took}"),
        Ok(_) if task.was_broken_off => format!("broken off{took}"),
        Ok(_) => format!("failed{took}"),
        Err(AppError::Forbidden { .. }) => format!("of {}", task.upid.user()),
        Err(_) => "nobody could see how it ended".to_owned(),
    }
}

/// A task with its log, which begins at its end: that is where it grows, and where it says what went wrong.
#[component]
pub fn TaskPanel(
    /// The task.
    task: TaskSeen,
    /// The page that it stands on.
    page: String,
    /// Epoch milliseconds.
    now: i64,
) -> impl IntoView {
    let upid = task.upid.clone();
    let id = format!("log-{:x}-{:x}", upid.starttime(), upid.pid());
    let (heading, labelled_by) = (format!("{id}-h"), format!("{id}-h"));
    let (glyph, said) = (glyph(&task), said(&task, now));
    let is_running = matches!(task.ended, Ok(Ended::Running));
    let bar = task.log.is_ok().then(|| {
        view! {
            <span class="ml-auto flex gap-1">
                {is_running.then(|| view! { <span class="live mr-1"><Glyph name="pending" /><span class="max-[860px]:sr-only">"Following"</span></span> })}
                <label class="vb toggle" title="Wrap long lines">
                    <input type="checkbox" class="sr-only" checked aria-label="Wrap long lines" data-own />
                    <Icon name="wrap-text" class="i-sm" />
                </label>
                <button type="button" class="btn btn-ghost btn-square btn-sm js-only" data-copy=id.clone() aria-label="Copy log" title="Copy log">
                    <Icon name="copy" class="i-sm" />
                </button>
                <a class="btn btn-ghost btn-square btn-sm" href=paths::task_log(&upid) rel="external" download="" aria-label="Download log" title="Download log">
                    <Icon name="download" class="i-sm" />
                </a>
            </span>
        }
    });
    let log = match task.log {
        Ok(log) => view! { <Log log id=id.clone() page /> }.into_any(),
        // nothing went wrong
        Err(AppError::Forbidden { .. }) => {
            let text = "Proxmox shows this log to who began the task, and to who may audit its node.";
            view! { <p class="px-4 py-3 text-ink-3">{text}</p> }.into_any()
        }
        Err(error) => view! {
            <div class="p-4">
                <ErrorNote error more="The log is missing here.".to_owned()>
                    <a class="a" href="">"Look again"</a>
                </ErrorNote>
            </div>
        }
        .into_any(),
    };
    view! {
        <section class="panel overflow-hidden" aria-labelledby=labelled_by>
            <div class="panel-h panel-l">
                <Glyph name=glyph />
                <h2 id=heading class="min-w-0 truncate">{format!("Task {}", upid.kind())} <span class="font-normal text-ink-3">{format!(" on {} · {said}", upid.node())}</span></h2>
                {bar}
            </div>
            {log}
            <p class="log-foot"><code>{upid.to_string()}</code></p>
        </section>
    }
    .into_any()
}

#[component]
fn Log(log: LogSeen, id: String, page: String) -> impl IntoView {
    let left_out = log.total.saturating_sub(log.lines.len() as u64);
    let all = (left_out > 0).then(|| {
        let to = paths::with_query(&page, &[("lines", "all")]);
        view! {
            <p class="log-more">
                {format!("{left_out} lines are before these. ")}
                {(log.lines.len() as u64 <= LINES).then(|| view! { <a class="a" href=to>"Show all"</a> })}
            </p>
        }
    });
    let empty = log.lines.is_empty().then(|| view! { <p class="log-more">"Nothing yet."</p> });
    let lines = log.lines.into_iter().map(|line| {
        let tone = tone(&line);
        view! { <span class=tone>{line}</span> "\n" }
    });
    let lines = lines.collect_view();
    view! {
        <div class="log" tabindex="0" role="region" aria-label="Task log">
            <div>
                {all} {empty}
                <pre id=id>{lines}</pre>
            </div>
        </div>
    }
    .into_any()
}

/// The class of a line: what went wrong and what warns is told apart from what is usual.
fn tone(line: &str) -> Option<&'static str> {
    let lower = line.to_ascii_lowercase();
    if line.starts_with("TASK ERROR") || lower.starts_with("error") || lower.contains(" error:") {
        Some("e")
    } else if line.starts_with("TASK WARNINGS") || lower.starts_with("warn") || lower.contains("level=warn") {
        Some("w")
    } else {
        (line == "TASK OK").then_some("d")
    }
}

/// The button that asks before it stops a task.
#[component]
pub fn StopTask(
    /// Where the form goes.
    action: &'static str,
    /// Its one field.
    name: &'static str,
    /// What stands in it.
    value: String,
    /// Whether this user may.
    may: Result<(), StopRefusal>,
    /// What comes of it.
    what: &'static str,
) -> impl IntoView {
    match may {
        Err(StopRefusal::NotRunning) => ().into_any(),
        Err(refusal) => view! {
            <span class="ml-auto flex items-center gap-3">
                <span class="text-xs text-ink-3" id="stop-why">{refusal.sentence()}</span>
                <button type="button" class="btn btn-danger" aria-disabled="true" aria-describedby="stop-why">"Stop task…"</button>
            </span>
        }
        .into_any(),
        Ok(()) => view! {
            <details class="stop-task">
                <summary class="btn btn-danger">"Stop task…"</summary>
                <form class="pop" method="post" action=action>
                    <p>{what}</p>
                    <input type="hidden" name=name value=value />
                    <button type="submit" class="btn btn-error btn-sm">"Stop task"</button>
                </form>
            </details>
        }
        .into_any(),
    }
}
