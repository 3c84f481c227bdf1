//! The list of containers.
//!
//! A row's state is kept by container, apart from the list and from any single action: two rows clicked at once both keep their end,
//! and a list that is fetched anew changes figures, not rows.

use super::{
    api::{
        DeleteContainer, RestartContainer, ShutdownContainer, StartContainer, StopContainer, delete_container, list_containers,
        restart_container, shutdown_container, start_container, stop_container,
    },
    model::{ContainerList, ContainerRow, NodeRow, Status, Usage, may},
};
use crate::{
    error::AppError,
    operations::model::{Outcome, Verb},
    proxmox::ids::{NodeName, Vmid},
    ui::{
        flash::take_flash,
        format,
        icons::{Glyph, Icon},
        parts::{ErrorNote, Meter, PageHead, Percent, Tag, figure_class},
        toasts::Toasts,
        wire::{Loaded, load},
    },
};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};
use leptos_meta::Title;
use std::collections::HashMap;

/// What was done to a row in this tab, and how it stands.
#[derive(Debug, Clone, PartialEq)]
enum Attempt {
    /// It goes on.
    UnderWay(Verb),
    /// It ended with this status; the list does not say so yet.
    Done {
        /// What the container does now.
        status: Status,
        /// A list that still says otherwise was asked for before the end; the second one is right.
        lists: u8,
    },
    /// The wait ended before the task, or the container does not follow yet.
    StillRunning {
        /// What goes on.
        verb: Verb,
        /// For how many more lists that is believed.
        lists: u8,
    },
    /// It failed.
    Failed(Verb, AppError),
}

/// For how many lists a verb that Proxmox goes on with is shown: about two minutes.
const FOLLOWED: u8 = 12;

impl Attempt {
    /// Whether it still has something to say beside what a new list says of its container.
    fn outlives(&mut self, row: Option<&ContainerRow>) -> bool {
        let status = row.map(|row| row.status);
        match self {
            Self::UnderWay(_) => true,
            // what somebody else has done since is the truth
            Self::Failed(verb, _) => status != verb.goal(),
            Self::StillRunning { verb, lists } => {
                *lists = lists.saturating_sub(1);
                status != verb.goal() && *lists > 0
            }
            Self::Done { status: end, lists } => {
                let waits = status != Some(*end) && *lists > 0;
                *lists = lists.saturating_sub(1);
                waits
            }
        }
    }
}

/// Everything the rows need.
#[derive(Clone, Copy)]
struct Page {
    list: Loaded<Result<ContainerList, AppError>>,
    /// The last list that was any good.
    good: RwSignal<Option<ContainerList>>,
    /// Why there is nothing newer.
    failed: RwSignal<Option<AppError>>,
    attempts: RwSignal<HashMap<Vmid, Attempt>>,
    toasts: Toasts,
}

/// `/`.
#[component]
pub fn ContainersPage() -> impl IntoView {
    let list = load(|| (), |()| list_containers());
    let page = Page {
        list,
        good: RwSignal::new(None),
        failed: RwSignal::new(None),
        attempts: RwSignal::new(HashMap::new()),
        toasts: expect_context(),
    };
    keep_fresh(page);
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
                self.attempts
                    .update(|attempts| attempts.retain(|vmid, attempt| attempt.outlives(list.rows.iter().find(|row| row.vmid == *vmid))));
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

    fn row(self, vmid: Vmid) -> Option<ContainerRow> {
        self.good.with(|list| list.as_ref()?.rows.iter().find(|row| row.vmid == vmid).cloned())
    }

    /// Carries a verb out. A second click while one goes on does nothing.
    fn act(self, verb: Verb, vmid: Vmid, name: String) {
        if self.attempts.with_untracked(|a| matches!(a.get(&vmid), Some(Attempt::UnderWay(_)))) {
            return;
        }
        let Some(id) = self.good.with_untracked(|list| list.as_ref()?.rows.iter().find(|row| row.vmid == vmid).map(|row| row.id.clone()))
        else {
            return;
        };
        self.attempts.update(|attempts| drop(attempts.insert(vmid, Attempt::UnderWay(verb))));
        self.toasts.announce(format!("{name}: {}", verb.under_way()));
        spawn_local(async move {
            let end = match verb {
                Verb::Start => start_container(id, None).await,
                Verb::Shutdown => shutdown_container(id, None, None).await,
                Verb::Stop => stop_container(id, None).await,
                Verb::Restart => restart_container(id, None).await,
                Verb::Delete => delete_container(id, name.clone()).await,
            };
            let attempt = match end {
                Ok(Outcome::Done(report)) => {
                    let with = if report.warnings { ", with warnings" } else { "" };
                    let is = report.status_after.map_or("gone", word).to_ascii_lowercase();
                    self.toasts.announce(format!("{name} is {is}{with}"));
                    Attempt::Done { status: report.status_after.unwrap_or(Status::Unknown), lists: 1 }
                }
                Ok(Outcome::Running { .. }) => Attempt::StillRunning { verb, lists: FOLLOWED },
                Err(AppError::SignedOut) => return leave_if_signed_out(&AppError::SignedOut),
                Err(error) => {
                    self.toasts.fail(format!("{} failed for {name}.", verb.label()), error.clone());
                    Attempt::Failed(verb, error)
                }
            };
            self.attempts.update(|attempts| drop(attempts.insert(vmid, attempt)));
            self.list.refetch();
        });
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Running => "Running",
        Status::Stopped => "Stopped",
        Status::Unknown => "Unknown",
    }
}

fn glyph(status: Status) -> &'static str {
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
    let trouble = move || {
        page.failed.get().map(|error| {
            view! {
                <div class="px-page pb-3 max-[860px]:pt-3">
                    <ErrorNote error more=age>
                        <a class="a" href=crate::paths::home() rel="external">"Look again"</a>
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
                        <a class="btn" href=crate::paths::home() rel="external">"Look again"</a>
                    </div>
                </div>
            }
        })
    };
    let some = Memo::new(move |_| page.good.with(|list| list.as_ref().is_some_and(|list| !list.rows.is_empty())));
    view! {
        {flash}
        {trouble}
        {empty}
        <Show when=move || some.get()>
            <Overview page />
            <Table page />
        </Show>
    }
    .into_any()
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
        page.good.with(|list| list.as_ref().map(|list| list.rows.iter().map(|row| row.vmid).collect::<Vec<_>>()).unwrap_or_default())
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
                <For each=move || rows.get() key=|vmid| *vmid children=move |vmid| view! { <Row page vmid /> } />
            </tbody>
        </table>
    }
    .into_any()
}

/// What a row shows: the list's row with what was done to it in this tab.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    row: ContainerRow,
    attempt: Option<Attempt>,
    now: i64,
}

impl Shown {
    fn glyph(&self) -> &'static str {
        match self.attempt {
            Some(Attempt::UnderWay(_)) => "pending",
            _ if self.row.template => "template",
            _ => glyph(self.row.status),
        }
    }

    fn word(&self) -> &'static str {
        match self.attempt {
            Some(Attempt::UnderWay(verb)) => verb.under_way(),
            _ if self.row.template => "Template",
            _ => word(self.row.status),
        }
    }

    /// The class of the status word.
    fn tone(&self) -> &'static str {
        match self.attempt {
            Some(Attempt::UnderWay(_)) => "w-pending",
            _ => "text-ink-2",
        }
    }

    /// Why a verb is not allowed now.
    fn refusal(&self, verb: Verb) -> Option<String> {
        match &self.attempt {
            Some(Attempt::UnderWay(going)) => Some(format!("{} Allowed again when that ends.", going.under_way())),
            _ => may(verb, &self.row).err().map(super::model::Refusal::sentence),
        }
    }
}

#[component]
fn Row(page: Page, vmid: Vmid) -> impl IntoView {
    // None only in the moment in which the row leaves the list
    let shown = Memo::new(move |_| {
        let mut row = page.row(vmid)?;
        let attempt = page.attempts.with(|attempts| attempts.get(&vmid).cloned());
        if let Some(Attempt::Done { status, .. }) = attempt {
            row.status = status;
            row.usage = row.usage.filter(|_| status == Status::Running);
        }
        let now = page.good.with(|list| list.as_ref().map_or(0, |list| list.now));
        Some(Shown { row, attempt, now })
    });
    let of = move |read: fn(&Shown) -> String| move || shown.with(|s| s.as_ref().map(read).unwrap_or_default());
    let name = Memo::new(move |_| of(|s| s.row.name.clone())());
    let usage = Memo::new(move |_| shown.with(|s| s.as_ref().and_then(|s| s.row.usage)));
    let uptime = of(|s| s.row.usage.map_or_else(|| "–".to_owned(), |usage| format::duration(s.now - usage.started_at)));
    let tags = Memo::new(move |_| shown.with(|s| s.as_ref().map(|s| s.row.tags.clone()).unwrap_or_default()));
    let glyph = Signal::derive(move || shown.with(|s| s.as_ref().map_or("unknown", Shown::glyph)));
    view! {
        <tr class:away=move || page.failed.with(Option::is_some) || shown.with(|s| s.as_ref().is_some_and(|s| !s.row.node_online)) data-vmid=vmid.to_string()>
            <td class="c-name">
                <span class="flex items-center gap-2.5 min-w-0">
                    <Glyph name=glyph />
                    <span class="min-w-0 flex-1">
                        <span class="name block truncate leading-4" title=move || name.get()>{move || name.get()}</span>
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
            <td class="num c-id text-ink-2">{vmid.to_string()}</td>
            <td class="c-node text-ink-2">{of(|s| s.row.node.to_string())}</td>
            <td class="c-tags">
                <span class="flex gap-1">{move || tags.get().into_iter().map(|text| view! { <Tag text /> }).collect_view()}</span>
            </td>
            <td class="c-cpu"><Cpu usage /></td>
            <td class="c-mem"><Memory usage /></td>
            <td class="num c-up text-ink-2">{uptime}</td>
            <td class="c-verbs"><Verbs page vmid name shown /></td>
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
            match (&s.attempt, s.row.lock) {
                (Some(Attempt::Failed(verb, _)), _) => ("w-error", format!("{} failed", verb.label())),
                (None, Some(lock)) => ("w-lock", format!("Locked: {}", lock.word())),
                _ => (s.tone(), s.word().to_owned()),
            }
        })
    });
    view! { <span class=move || brief.get().0>{move || brief.get().1}</span> }
}

/// What there is to say beside the status: an action that failed, a lock, a node that is away.
#[component]
fn SecondLine(shown: Memo<Option<Shown>>) -> impl IntoView {
    move || {
        shown.with(|s| {
            let s = s.as_ref()?;
            Some(match (&s.attempt, s.row.lock) {
                (Some(Attempt::UnderWay(_)), _) => return None,
                (Some(Attempt::Failed(verb, error)), _) => {
                    let reference = error.incident().map(|n| format!(" · {n}")).unwrap_or_default();
                    view! { <span class="sub w-error" title=error.to_string()>{format!("{} failed{reference}", verb.label())}</span> }
                        .into_any()
                }
                (Some(Attempt::StillRunning { verb, .. }), _) => {
                    view! { <span class="sub w-pending">{format!("{} · still going on at Proxmox", verb.under_way())}</span> }.into_any()
                }
                (_, Some(lock)) => view! {
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
fn Verbs(page: Page, vmid: Vmid, name: Memo<String>, shown: Memo<Option<Shown>>) -> impl IntoView {
    let form = format!("form-{vmid}");
    let menu = format!("menu-{vmid}");
    let refusal = move |verb| Signal::derive(move || shown.with(|s| s.as_ref().and_then(|s| s.refusal(verb))));
    let press = |verb, refused: Signal<Option<String>>| {
        let menu = menu.clone();
        move |event: leptos::ev::MouseEvent| {
            event.prevent_default();
            if refused.get_untracked().is_none() {
                close(&menu);
                page.act(verb, vmid, name.get_untracked());
            }
        }
    };
    let small = |verb: Verb, icon| {
        let refused = refusal(verb);
        view! {
            <button
                type="submit"
                class="vb w-only"
                form=form.clone()
                formaction=action(verb)
                aria-label=move || format!("{} {}", verb.label(), name.get())
                aria-disabled=move || refused.get().is_some().to_string()
                title=move || refused.get().unwrap_or_else(|| format!("{} {}", verb.label(), name.get()))
                on:click=press(verb, refused)
            >
                <Icon name=icon class="i-sm" />
            </button>
        }
    };
    let item = |verb: Verb, icon| {
        let refused = refusal(verb);
        view! {
            <button
                type="submit"
                class="mi"
                form=form.clone()
                formaction=action(verb)
                aria-disabled=move || refused.get().is_some().to_string()
                on:click=press(verb, refused)
            >
                <Icon name=icon />
                <span>{verb.label()}</span>
                <span class="why">{move || refused.get()}</span>
            </button>
        }
    };
    let stop = {
        let refused = refusal(Verb::Stop);
        view! {
            <details class="mi-ask">
                <summary class="mi" aria-disabled=move || refused.get().is_some().to_string()>
                    <Icon name="square" />
                    <span>"Stop…"</span>
                    <span class="why">{move || refused.get()}</span>
                </summary>
                <div class="ask">
                    <p>"Stops it at once, like pulling the plug. What is not written to disk is lost."</p>
                    <button
                        type="submit"
                        class="btn btn-error btn-sm"
                        form=form.clone()
                        formaction=action(Verb::Stop)
                        aria-disabled=move || refused.get().is_some().to_string()
                        on:click=press(Verb::Stop, refused)
                    >
                        {move || format!("Stop {}", name.get())}
                    </button>
                </div>
            </details>
        }
    };
    view! {
        <form id=form.clone() method="post" action=action(Verb::Start)>
            <input type="hidden" name="id" value=move || shown.with(|s| s.as_ref().map(|s| s.row.id.to_string())) />
        </form>
        <span class="verbs">
            {small(Verb::Start, "play")}
            {small(Verb::Shutdown, "power")}
            <button type="button" class="vb" popovertarget=menu.clone() aria-label=move || format!("More for {}", name.get())>
                <Icon name="ellipsis" class="i-sm" />
            </button>
        </span>
        <div class="pop mn" id=menu.clone() popover="auto" role="group" aria-label=move || format!("Actions for {}", name.get())>
            {item(Verb::Start, "play")}
            {item(Verb::Shutdown, "power")}
            <hr />
            {stop}
        </div>
    }
    .into_any()
}

fn action(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => StartContainer::PATH,
        Verb::Shutdown => ShutdownContainer::PATH,
        Verb::Stop => StopContainer::PATH,
        Verb::Restart => RestartContainer::PATH,
        Verb::Delete => DeleteContainer::PATH,
    }
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

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        use crate::{paths, ui::browser};
        use std::time::Duration;

        /// Proxmox refreshes its own figures about every ten seconds.
        const BEAT: Duration = Duration::from_secs(10);

        /// Asks again on every beat, as long as somebody looks.
        fn keep_fresh(page: Page) {
            let beat = set_interval_with_handle(
                move || {
                    if browser::is_visible() {
                        page.list.refetch();
                    }
                },
                BEAT,
            );
            if let Ok(beat) = beat {
                on_cleanup(move || beat.clear());
            }
        }

        fn close(menu: &str) {
            browser::close_popover(menu);
        }

        /// The session has ended: on to the sign-in form, which leads back here.
        fn leave_if_signed_out(error: &AppError) {
            if *error == AppError::SignedOut {
                browser::leave_for(&paths::login_then(&browser::here()));
            }
        }
    } else {
        fn keep_fresh(_: Page) {}
        fn close(_: &str) {}
        fn leave_if_signed_out(_: &AppError) {}
    }
}
