//! The list of containers.
//!
//! What a row says of an operation comes from the operation, which the list carries, in this tab as in any other; a list that is fetched
//! anew changes figures, not rows.

use super::{
    api::list_containers,
    model::{ContainerList, ContainerRow, NodeRow, Status, Usage, may},
};
use crate::{
    error::AppError,
    operations::{
        desk::{Desk, leave_if_signed_out},
        model::{ContainerId, OperationLine, Verb},
    },
    paths,
    proxmox::ids::NodeName,
    ui::{
        flash::take_flash,
        format,
        icons::{Glyph, Icon},
        parts::{ErrorNote, Meter, PageHead, Percent, Tag, figure_class},
        toasts::Toasts,
        wire::{Loaded, load},
    },
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// Everything the rows need.
#[derive(Clone, Copy)]
struct Page {
    list: Loaded<Result<ContainerList, AppError>>,
    /// The last list that was any good.
    good: RwSignal<Option<ContainerList>>,
    /// Why there is nothing newer.
    failed: RwSignal<Option<AppError>>,
    desk: Desk,
    toasts: Toasts,
}

/// `/`.
#[component]
pub fn ContainersPage() -> impl IntoView {
    let desk: Desk = expect_context();
    let list = load(move || desk.news(), |_| list_containers());
    let page = Page { list, good: RwSignal::new(None), failed: RwSignal::new(None), desk, toasts: expect_context() };
    view! {
        <Title text="Containers" />
        <PageHead title="Containers">
            <Freshness page />
        </PageHead>
        <Transition fallback=Skeleton>
            // taken in first, so that what stands below is there in the same rendering
            {move || page.list.get().map(|answer| page.take(answer))}
            <Answer page />
        </Transition>
    }
    .into_any()
}

impl Page {
    /// Takes in a list; a failed one leaves the last good one on screen.
    fn take(self, answer: Result<ContainerList, AppError>) {
        match answer {
            // nothing is known, after a restart of Berth perhaps; what is on screen is better
            Ok(list) if list.as_of.is_none() && self.good.with_untracked(Option::is_some) => self.fail(list.trouble),
            Ok(list) => {
                self.fail(list.trouble.clone());
                self.announce_ends(&list);
                self.good.set(Some(list));
            }
            Err(error) => {
                leave_if_signed_out(&error);
                self.fail(Some(error));
            }
        }
    }

    /// Notes why there is nothing newer. The same trouble keeps its first number, so that nothing changes while somebody reads it out.
    fn fail(self, error: Option<AppError>) {
        let kind = |error: &Option<AppError>| error.as_ref().map(std::mem::discriminant);
        if self.failed.with_untracked(kind) != kind(&error) {
            self.failed.set(error);
        }
    }

    /// Tells who listens rather than looks of what has ended since the last list.
    fn announce_ends(self, new: &ContainerList) {
        self.good.with_untracked(|old| {
            let Some(old) = old else { return };
            let was_told = |line: &OperationLine| old.operations.iter().any(|other| other.id == line.id && other.under_way.is_none());
            for line in new.operations.iter().filter(|line| line.under_way.is_none() && !was_told(line)) {
                self.toasts.announce(line.sentence.clone());
            }
        });
    }

    fn row(self, id: &ContainerId) -> Option<ContainerRow> {
        self.good.with(|list| list.as_ref()?.rows.iter().find(|row| row.id == *id).cloned())
    }

    /// What is under way on a container, or has ended lately: the latest that is known.
    fn operation(self, id: &ContainerId) -> Option<OperationLine> {
        self.good.with(|list| list.as_ref()?.operations.iter().filter(|o| o.container == *id).max_by(|a, b| a.id.cmp(&b.id)).cloned())
    }
}

/// A status in a word.
pub fn word(status: Status) -> &'static str {
    match status {
        Status::Running => "Running",
        Status::Stopped => "Stopped",
        Status::Unknown => "Unknown",
    }
}

/// The glyph of a status.
pub fn glyph(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Stopped => "stopped",
        Status::Unknown => "unknown",
    }
}

/// How fresh the list is, in a word beside the title.
#[component]
fn Freshness(page: Page) -> impl IntoView {
    let said = |list: ContainerList| {
        let (name, text) = match (list.trouble, list.as_of) {
            (None, _) => ("running", "Up to date".to_owned()),
            (Some(_), Some(as_of)) => ("unknown", format::ago(as_of, list.now)),
            (Some(_), None) => return None,
        };
        Some(view! {
            <span class="live">
                <Glyph name=name class="dot" />
                {text}
            </span>
        })
    };
    view! { <Transition>{move || page.list.get().and_then(Result::ok).and_then(said)}</Transition> }
}

/// What a list's answer looks like: its trouble, and the last good list.
#[component]
fn Answer(page: Page) -> impl IntoView {
    let flash = take_flash().map(|flash| view! { <div class="px-page pb-3 max-[860px]:pt-3"><ErrorNote error=flash.error /></div> });
    let age = Signal::derive(move || {
        page.good.with(|list| match list.as_ref().and_then(|list| Some((list.as_of?, list.now, list.trouble.is_some()))) {
            Some((as_of, now, true)) => format!("Shown is what it said {}.", format::ago(as_of, now)),
            // Berth itself did not answer: how old the list is by now, only Berth could say
            Some((_, _, false)) => "Shown is the last good list.".to_owned(),
            None => "Nothing is known of its containers yet.".to_owned(),
        })
    });
    // where a form without JavaScript has led back with its operation
    let query = use_query_map();
    let asked = Memo::new(move |_| query.with(|query| query.get("op")));
    let outcome = move || {
        let id = asked.get()?;
        let find = |list: &ContainerList| list.operations.iter().find(|operation| operation.id.as_str() == id).cloned();
        let operation = page.good.with(|list| list.as_ref().and_then(find))?;
        let glyph = if operation.under_way.is_some() {
            "pending"
        } else if operation.is_bad {
            "fail"
        } else {
            "ok"
        };
        Some(view! {
            {operation.under_way.map(|_| view! { <Refresh /> })}
            <a class="banner" class:banner-bad=operation.is_bad href=paths::operation(&operation.id)>
                <Glyph name=glyph />
                <span class="min-w-0" role="status">{operation.sentence}</span>
                <span class="ml-auto text-link whitespace-nowrap">"Show operation"</span>
            </a>
        })
    };
    let trouble = move || {
        page.failed.get().map(|error| {
            view! {
                <div class="px-page pb-3 max-[860px]:pt-3">
                    <ErrorNote error more=age>
                        <a class="a" href=paths::home() rel="external">"Look again"</a>
                    </ErrorNote>
                </div>
            }
        })
    };
    let empty = move || {
        (page.good.with(|list| list.as_ref().is_some_and(|list| list.rows.is_empty())) && page.failed.with(Option::is_none)).then(|| {
            view! {
                <div class="empty">
                    <h2>"No containers that you may see"</h2>
                    <p>
                        "Your account may see a container once it has the privilege VM.Audit on it, for example by the role PVEVMUser on "
                        <code>"/vms"</code> ". Who administers the cluster can grant it under Permissions."
                    </p>
                    <div class="act">
                        <a class="btn" href=paths::home() rel="external">"Look again"</a>
                    </div>
                </div>
            }
        })
    };
    let some = Memo::new(move |_| page.good.with(|list| list.as_ref().is_some_and(|list| !list.rows.is_empty())));
    view! {
        {flash}
        {outcome}
        {trouble}
        {empty}
        <Show when=move || some.get()>
            <Overview page />
            <Table page />
        </Show>
    }
    .into_any()
}

/// Where there is no JavaScript, the page asks for itself again until the operation that it was led to has ended.
#[component]
pub fn Refresh() -> impl IntoView {
    view! { <noscript inner_html="<meta http-equiv=\"refresh\" content=\"2\">"></noscript> }
}

/// The figures and the nodes above the list. The figures add up.
#[component]
fn Overview(page: Page) -> impl IntoView {
    let count = move |status: Option<Status>| {
        page.good.with(|list| list.as_ref().map_or(0, |list| status.map_or(list.rows.len(), |status| list.count(status))))
    };
    let figure = move |status: Status| {
        view! {
            <div class="fig">
                <b>{move || count(Some(status))}</b>
                <span>
                    <Glyph name=glyph(status) />
                    {word(status)}
                </span>
            </div>
        }
    };
    let nodes = Memo::new(move |_| page.good.with(|list| list.as_ref().map(|list| list.nodes.clone()).unwrap_or_default()));
    view! {
        <div class="overview">
            <section class="figs-wrap px-6" aria-label="Containers by status">
                <div class="figs">
                    <div class="fig">
                        <b>{move || count(None)}</b>
                        <span>"All"</span>
                    </div>
                    {figure(Status::Running)}
                    {figure(Status::Stopped)}
                    {figure(Status::Unknown)}
                </div>
            </section>
            <section class="nodes" aria-label="Nodes" tabindex="0">
                {move || nodes.get().into_iter().map(|node| view! { <NodeCard page node /> }).collect_view()}
            </section>
        </div>
    }
    .into_any()
}

#[component]
fn NodeCard(page: Page, node: NodeRow) -> impl IntoView {
    let name = node.name.clone();
    let running = move || {
        page.good.with(|list| {
            list.as_ref().map_or(0, |list| list.rows.iter().filter(|row| row.node == name && row.status == Status::Running).count())
        })
    };
    let figures = [("CPU", node.cpu_percent), ("Mem", node.memory_percent), ("Disk", node.disk_percent)];
    if !node.online {
        let gone = node.name.clone();
        return view! {
            <div class="node gone">
                <span class="node-head text-ink-2">
                    <Glyph name="unknown" class="dot" />
                    {node.name.to_string()}
                    <span class="ml-auto pill pill-warn">"Offline"</span>
                </span>
                <span class="node-said">{move || format!("Does not answer. {}", counted(page, &gone))}</span>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="node">
            <span class="node-head">
                <Glyph name="running" class="dot" />
                {node.name.to_string()}
                <span class="ml-auto text-xs text-ink-3 font-normal">{running} " running"</span>
            </span>
            {figures
                .into_iter()
                .filter_map(|(label, percent)| {
                    let percent = percent?;
                    Some(
                        view! {
                            <span class="node-figure">
                                <span class="text-ink-3">{label}</span>
                                <Meter percent=Signal::stored(percent) label />
                                <Percent percent=Signal::stored(percent) />
                            </span>
                        },
                    )
                })
                .collect_view()}
        </div>
    }
    .into_any()
}

/// "2 containers are there."
fn counted(page: Page, node: &NodeName) -> String {
    match page.good.with(|list| list.as_ref().map_or(0, |list| list.rows.iter().filter(|row| row.node == *node).count())) {
        0 => "No container of yours is there.".to_owned(),
        1 => "1 container is there.".to_owned(),
        count => format!("{count} containers are there."),
    }
}

#[component]
fn Table(page: Page) -> impl IntoView {
    let rows = Memo::new(move |_| {
        page.good.with(|list| list.as_ref().map(|list| list.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>()).unwrap_or_default())
    });
    view! {
        <table class="ct">
            <caption class="sr-only">"Containers"</caption>
            <colgroup>
                <col class="c-name" />
                <col class="c-status" />
                <col class="c-id" />
                <col class="c-node" />
                <col class="c-tags" />
                <col class="c-cpu" />
                <col class="c-mem" />
                <col class="c-up" />
                <col class="c-verbs" />
            </colgroup>
            <thead>
                <tr>
                    <th class="c-name" scope="col">"Name"</th>
                    <th class="c-status" scope="col">"Status"</th>
                    <th class="num c-id" scope="col">"CT"</th>
                    <th class="c-node" scope="col">"Node"</th>
                    <th class="c-tags" scope="col">"Tags"</th>
                    <th class="num c-cpu" scope="col"><span class="w-only">"CPU"</span><span class="m-only">"CPU, mem"</span></th>
                    <th class="num c-mem" scope="col">"Memory"</th>
                    <th class="num c-up" scope="col">"Uptime"</th>
                    <th class="c-verbs" scope="col"><span class="sr-only">"Actions"</span></th>
                </tr>
            </thead>
            <tbody>
                <For each=move || rows.get() key=|id| id.clone() children=move |id| view! { <Row page id /> } />
            </tbody>
        </table>
    }
    .into_any()
}

/// What a row shows: the list's row, with what is under way on it.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    row: ContainerRow,
    /// What was asked for in this tab and is not answered yet.
    pending: Option<Verb>,
    /// What is under way, or has ended lately.
    operation: Option<OperationLine>,
    now: i64,
}

impl Shown {
    fn under_way(&self) -> Option<Verb> {
        self.pending.or_else(|| self.operation.as_ref()?.under_way)
    }

    /// The last verb, where it did not end well and nobody has reached by now what it was for.
    fn not_done(&self) -> Option<&OperationLine> {
        self.operation.as_ref().filter(|operation| operation.is_bad && !operation.line.is_empty())
    }

    fn glyph(&self) -> &'static str {
        match self.under_way() {
            Some(_) => "pending",
            None if self.row.template => "template",
            None => glyph(self.row.status),
        }
    }

    fn word(&self) -> &'static str {
        match self.under_way() {
            Some(verb) => verb.under_way(),
            None if self.row.template => "Template",
            None => word(self.row.status),
        }
    }

    /// The class of the status word.
    fn tone(&self) -> &'static str {
        if self.under_way().is_some() { "w-pending" } else { "text-ink-2" }
    }

    /// Why a verb is not allowed now.
    fn refusal(&self, verb: Verb) -> Option<String> {
        match (self.pending, &self.operation) {
            (_, Some(operation)) if operation.under_way.is_some() => Some(operation.why.clone()),
            (Some(going), _) => Some(format!("{} Allowed again when that ends.", going.under_way())),
            _ => may(verb, &self.row).err().map(super::model::Refusal::sentence),
        }
    }
}

#[component]
fn Row(page: Page, id: ContainerId) -> impl IntoView {
    // None only in the moment in which the row leaves the list
    let of_row = id.clone();
    let shown = Memo::new(move |_| {
        let row = page.row(&of_row)?;
        let now = page.good.with(|list| list.as_ref().map_or(0, |list| list.now));
        Some(Shown { row, pending: page.desk.pending(&of_row), operation: page.operation(&of_row), now })
    });
    let of = move |read: fn(&Shown) -> String| move || shown.with(|s| s.as_ref().map(read).unwrap_or_default());
    let name = Memo::new(move |_| of(|s| s.row.name.clone())());
    let usage = Memo::new(move |_| shown.with(|s| s.as_ref().and_then(|s| s.row.usage)));
    let uptime = of(|s| s.row.usage.map_or_else(|| "–".to_owned(), |usage| format::duration(s.now - usage.started_at)));
    let tags = Memo::new(move |_| shown.with(|s| s.as_ref().map(|s| s.row.tags.clone()).unwrap_or_default()));
    let glyph = Signal::derive(move || shown.with(|s| s.as_ref().map_or("unknown", Shown::glyph)));
    view! {
        <tr class:away=move || page.failed.with(Option::is_some) || shown.with(|s| s.as_ref().is_some_and(|s| !s.row.node_online))>
            <td class="c-name">
                <span class="flex items-center gap-2.5 min-w-0">
                    <Glyph name=glyph />
                    <span class="min-w-0 flex-1">
                        <a class="name block truncate leading-4" href=paths::container(&id) title=move || name.get()>{move || name.get()}</a>
                        <span class="sub c-subm">{of(|s| format!("{} · {} · ", s.row.vmid, s.row.node))} <Brief shown /></span>
                    </span>
                </span>
            </td>
            <td class="c-status">
                <span class="two">
                    <Word shown />
                    <SecondLine shown />
                </span>
            </td>
            <td class="num c-id text-ink-2">{of(|s| s.row.vmid.to_string())}</td>
            <td class="c-node text-ink-2">{of(|s| s.row.node.to_string())}</td>
            <td class="c-tags">
                <span class="flex gap-1">{move || tags.get().into_iter().map(|tag| view! { <Tag text=tag.name /> }).collect_view()}</span>
            </td>
            <td class="c-cpu"><Cpu usage /></td>
            <td class="c-mem"><Memory usage /></td>
            <td class="num c-up text-ink-2">{uptime}</td>
            <td class="c-verbs"><Verbs id name shown /></td>
        </tr>
    }
    .into_any()
}

#[component]
fn Word(shown: Memo<Option<Shown>>) -> impl IntoView {
    view! { <span class=move || shown.with(|s| s.as_ref().map_or("", Shown::tone))>{move || shown.with(|s| s.as_ref().map_or("", Shown::word))}</span> }
}

/// On a phone the status has no column: the word, or what is more urgent.
#[component]
fn Brief(shown: Memo<Option<Shown>>) -> impl IntoView {
    let brief = Memo::new(move |_| {
        shown.with(|s| {
            let Some(s) = s else { return Default::default() };
            match (s.under_way(), s.not_done(), s.row.lock) {
                (None, Some(operation), _) => ("w-error", operation.line.clone()),
                (None, None, Some(lock)) => ("w-lock", format!("Locked: {}", lock.word())),
                _ => (s.tone(), s.word().to_owned()),
            }
        })
    });
    view! { <span class=move || brief.get().0>{move || brief.get().1}</span> }
}

/// What there is to say beside the status: by whom something is under way, what failed, a lock, a node that is away.
#[component]
fn SecondLine(shown: Memo<Option<Shown>>) -> impl IntoView {
    move || {
        shown.with(|s| {
            let s = s.as_ref()?;
            let line = |class, operation: &OperationLine| {
                view! { <a class=class href=paths::operation(&operation.id) title=operation.why.clone()>{operation.line.clone()}</a> }
                    .into_any()
            };
            Some(match (s.under_way(), &s.operation, s.not_done(), s.row.lock) {
                (Some(_), Some(operation), ..) if operation.under_way.is_some() => line("sub", operation),
                (Some(_), ..) => return None,
                (None, _, Some(operation), _) => line("sub w-error", operation),
                (None, _, None, Some(lock)) => view! {
                    <span class="sub w-lock flex items-center gap-1">
                        <Glyph name="lock" class="!w-2.5 !h-2.5" />
                        {format!("Locked: {}", lock.word())}
                    </span>
                }
                .into_any(),
                _ if !s.row.node_online => view! { <span class="sub">"Node offline"</span> }.into_any(),
                _ => return None,
            })
        })
    }
}

#[component]
fn Cpu(usage: Memo<Option<Usage>>) -> impl IntoView {
    let cpu = Signal::derive(move || usage.get().map_or(0, |u| u.cpu_percent));
    let memory = Signal::derive(move || usage.get().map_or(0, |u| u.memory_percent()));
    view! {
        <Show when=move || usage.get().is_some() fallback=Nothing>
            <span class="duo">
                <Percent percent=cpu />
                <Meter percent=cpu label="CPU" />
                <Percent percent=memory />
                <Meter percent=memory label="Memory" />
            </span>
            <span class="two num w-only">
                <Percent percent=cpu />
                <Meter percent=cpu label="CPU" />
            </span>
        </Show>
    }
    .into_any()
}

#[component]
fn Memory(usage: Memo<Option<Usage>>) -> impl IntoView {
    let percent = Signal::derive(move || usage.get().map_or(0, |u| u.memory_percent()));
    let text = move || usage.get().map(|u| format::bytes_of(u.memory, u.memory_limit)).unwrap_or_default();
    view! {
        <Show when=move || usage.get().is_some() fallback=Nothing>
            <span class="two num">
                <span class=move || figure_class(percent.get())>{move || text().0}</span>
                <span class="u">{move || format!(" / {}", text().1)}</span>
                <Meter percent label="Memory" />
            </span>
        </Show>
    }
    .into_any()
}

/// An empty value.
#[component]
fn Nothing() -> impl IntoView {
    view! { <span class="num block text-ink-3">"–"</span> }
}

/// The verbs of a row: real buttons of a real form, at the same place in every row, disabled with the reason.
#[component]
fn Verbs(id: ContainerId, name: Memo<String>, shown: Memo<Option<Shown>>) -> impl IntoView {
    let form = format!("form-{id}");
    let menu = format!("menu-{id}");
    let refusal = move |verb| Signal::derive(move || shown.with(|s| s.as_ref().and_then(|s| s.refusal(verb))));
    let small = |verb: Verb| {
        let refused = refusal(verb);
        view! {
            <button
                type="submit"
                class="vb w-only"
                form=form.clone()
                formaction=verb.action()
                aria-label=move || format!("{} {}", verb.label(), name.get())
                aria-disabled=move || refused.get().is_some().to_string()
                title=move || refused.get().unwrap_or_else(|| format!("{} {}", verb.label(), name.get()))
            >
                <Icon name=verb.icon() class="i-sm" />
            </button>
        }
    };
    view! {
        <form id=form.clone() method="post" action=Verb::Start.action() data-name=move || name.get()>
            <input type="hidden" name="id" value=id.to_string() />
        </form>
        <span class="verbs">
            {[Verb::Start, Verb::Shutdown, Verb::Restart].map(small)}
            <button type="button" class="vb" popovertarget=menu.clone() aria-label=move || format!("More for {}", name.get())>
                <Icon name="ellipsis" class="i-sm" />
            </button>
        </span>
        <div class="pop mn" id=menu.clone() popover="auto" role="group" aria-label=move || format!("Actions for {}", name.get())>
            <MenuItems id name=name.into() form=form.clone() refusal />
        </div>
    }
    .into_any()
}

/// All verbs, in a menu. What can lose data asks first: a stop in the menu itself, a deletion on a page of its own.
#[component]
pub fn MenuItems<F>(
    /// Of which container.
    id: ContainerId,
    /// Its name.
    name: Signal<String>,
    /// The form that the buttons submit.
    form: String,
    /// Why a verb is not allowed now.
    refusal: F,
) -> impl IntoView
where
    F: Fn(Verb) -> Signal<Option<String>> + Clone + 'static,
{
    let item = |verb: Verb, words: &'static str, why_else: &'static str| {
        let refused = refusal(verb);
        // only a shutdown has two
        let graceful = (!why_else.is_empty()).then_some("graceful_only");
        view! {
            <button
                type="submit"
                class="mi"
                form=form.clone()
                formaction=verb.action()
                name=graceful
                value=graceful.map(|_| "true")
                aria-disabled=move || refused.get().is_some().to_string()
            >
                <Icon name=verb.icon() />
                <span>{words}</span>
                <span class="why">{move || refused.get().unwrap_or_else(|| why_else.to_owned())}</span>
            </button>
        }
    };
    let stop = refusal(Verb::Stop);
    let delete = refusal(Verb::Delete);
    let question = paths::delete(&id);
    view! {
        {item(Verb::Start, "Start", "")}
        {item(Verb::Shutdown, "Shut down", "")}
        {item(Verb::Shutdown, "Shut down, never stop hard", "Keeps running if it does not listen.")}
        {item(Verb::Restart, "Restart", "")}
        <hr />
        <details class="mi-ask">
            <summary class="mi" aria-disabled=move || stop.get().is_some().to_string()>
                <Icon name="square" />
                <span>"Stop…"</span>
                <span class="why">{move || stop.get()}</span>
            </summary>
            <div class="ask">
                <p>"Stops it at once, like pulling the plug. What is not written to disk is lost."</p>
                <button
                    type="submit"
                    class="btn btn-error btn-sm"
                    form=form.clone()
                    formaction=Verb::Stop.action()
                    aria-disabled=move || stop.get().is_some().to_string()
                >
                    {move || format!("Stop {}", name.get())}
                </button>
            </div>
        </details>
        // where it is not allowed, the page says so too
        <a class="mi" href=question aria-disabled=move || delete.get().is_some().to_string()>
            <Icon name="trash-2" />
            <span>"Delete…"</span>
            <span class="why">{move || delete.get()}</span>
        </a>
    }
    .into_any()
}

/// Rows to come, in their true height.
#[component]
fn Skeleton() -> impl IntoView {
    view! {
        <div class="skeleton" aria-hidden="true">
            {(0..12).map(|_| view! { <div><span class="sk"></span><span class="sk"></span><span class="sk"></span></div> }).collect_view()}
        </div>
    }
}
