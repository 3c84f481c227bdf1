//! The list of containers. The server renders it; see [`crate::pages`].
//!
//! What a row says of an operation comes from the operation, which the list carries, in this tab as in any other.

use super::{
    model::{ContainerRow, ForeignTask, NodeRow, Reach, Status, Usage, Window, hindrance},
    query::{Condition, Field, Query, Sort, Term},
    service,
};
use crate::{
    batches::{self, view::OpenBatch},
    error::AppError,
    events::view::title_of,
    operations::model::{ContainerId, OperationLine, Verb},
    pages::{
        model::{Ended, RenderedPage},
        parts::{PageHead, Parts, Refresh, When, rendered},
    },
    paths,
    preferences::view::{LayoutForm, LayoutSwitch},
    server::{Context, Error},
    services::model::ServiceLine,
    ui::{
        format,
        icons::{Glyph, Icon},
        parts::{Bar, ErrorNote, Meter, Percent, Sparkline, Tag, figure_class},
    },
};
use leptos::prelude::*;
use std::cmp::Reverse;
use strum::IntoEnumIterator;

/// Rows on a page: with them even the fullest has less than 150 kB.
const PER_PAGE: usize = 38;
/// Rows that are sent at once at the most, on paper too.
const MOST: usize = 1000;
/// How many nodes are shown where there are more than fit.
const NODES: usize = 4;

/// `/`, with what stands in its query: [`Query`], `page`, or `from` and `count`, `all`, and `op`. `refused` is what a form without
/// JavaScript has to say.
pub async fn list(context: &Context, url_query: &str, parts: Parts<'_>, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let (query, page) = Query::of_url(url_query);
    let value = |name: &str| url_query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| value(name).and_then(|value| value.parse::<usize>().ok());
    let (from, count) = match (number("from"), number("count"), value("all")) {
        (_, _, Some(_)) => (0, MOST),
        (Some(from), count, _) => (from, count.unwrap_or(PER_PAGE).min(MOST)),
        _ => ((page - 1).saturating_mul(PER_PAGE), PER_PAGE),
    };
    let mut window = service::window(context, &query, from, count).await?;
    if page > 1 && window.rows.is_empty() && window.total > 0 {
        // beyond the end is the last one
        window = service::window(context, &query, (window.total - 1) / PER_PAGE * PER_PAGE, count).await?;
    }
    let asked_for = value("op").and_then(|id| window.operations.iter().find(|operation| operation.id.as_str() == id).cloned());
    let batches = batches::service::list_open(context).await?;
    let is_under_way = !batches.is_empty() || window.operations.iter().any(|operation| operation.under_way.is_some());
    let ended = window.operations.iter().filter(|operation| operation.under_way.is_none());
    let ended =
        ended.map(|operation| Ended { id: operation.id.clone(), sentence: operation.sentence.clone(), is_bad: operation.is_bad }).collect();
    // without JavaScript only who follows an operation looks again by themselves
    let page = rendered("Containers".to_owned(), false, || {
        let list = List { query: &query, window: &window, parts: &parts };
        let (freshness, trouble, content) = (list.freshness().into_any(), list.trouble(), list.content());
        view! {
            <PageHead title="Containers">{freshness}</PageHead>
            {refused.map(|error| view! { <div class="px-page pb-3 max-[860px]:pt-3" id="refused"><ErrorNote error /></div> })}
            {asked_for.map(outcome)}
            {batches.into_iter().map(|batch| view! { <OpenBatch batch /> }).collect_view()}
            {trouble}
            {content}
        }
    });
    Ok(RenderedPage { ended, is_under_way, ..page })
}

/// A condition in a word.
pub fn word_of(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "Running",
        Condition::Stopped => "Stopped",
        Condition::Creating => "Creating",
        Condition::Error => "Error",
        Condition::Unknown => "Unknown",
    }
}

/// The glyph of a condition.
pub fn glyph_of(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "running",
        Condition::Stopped => "stopped",
        Condition::Creating => "creating",
        Condition::Error => "error",
        Condition::Unknown => "unknown",
    }
}

/// Where a form without JavaScript has led back with its operation: how that stands.
fn outcome(operation: OperationLine) -> impl IntoView {
    let glyph = match (operation.under_way, operation.is_bad) {
        (Some(_), _) => "pending",
        (None, true) => "fail",
        (None, false) => "ok",
    };
    view! {
        {operation.under_way.map(|_| view! { <Refresh /> })}
        <a class="banner" id="outcome" class:banner-bad=operation.is_bad href=paths::operation(&operation.id)>
            <Glyph name=glyph />
            <span class="min-w-0" role="status">{operation.sentence}</span>
            <span class="ml-auto text-link whitespace-nowrap">"Show operation"</span>
        </a>
    }
}

/// The address of the list as a query wants it.
fn address(query: &Query, page: usize) -> String {
    match query.to_url(page).as_str() {
        "" => paths::home().to_owned(),
        query => format!("{}?{query}", paths::home()),
    }
}

struct List<'a> {
    query: &'a Query,
    window: &'a Window,
    parts: &'a Parts<'a>,
}

impl List<'_> {
    /// How fresh it is, in a word beside the title.
    fn freshness(&self) -> impl IntoView + use<> {
        let (name, text) = match (&self.window.trouble, self.window.as_of) {
            (None, _) => ("running", "Live".to_owned()),
            (Some(_), Some(as_of)) => ("unknown", format::ago(as_of, self.window.now)),
            (Some(_), None) => return None,
        };
        Some(view! {
            <span class="live">
                <Glyph name class="dot" />
                {text}
            </span>
        })
    }

    /// Why it is not.
    fn trouble(&self) -> impl IntoView + use<> {
        let Window { trouble, as_of, now, cluster, .. } = self.window;
        let error = trouble.clone()?;
        let since =
            cluster.since.filter(|_| cluster.reach != Reach::Answers).map(|since| format!("For {}. ", format::duration(now - since)));
        let more = match as_of {
            Some(as_of) => format!("Shown is what it said {}.", format::ago(*as_of, *now)),
            None => "Nothing is known of its containers yet.".to_owned(),
        };
        let more = since.unwrap_or_default() + &more;
        Some(view! {
            <div class="px-page pb-3 max-[860px]:pt-3" id="trouble">
                <ErrorNote error more>
                    <a class="a" href="">"Look again"</a>
                </ErrorNote>
            </div>
        })
    }

    fn content(&self) -> AnyView {
        let is_known = self.window.as_of.is_some();
        let is_filtered = !self.query.terms.is_empty();
        match (is_known, self.window.counts.total, is_filtered) {
            (false, ..) => ().into_any(),
            (true, 0, false) => self.nothing_there().into_any(),
            _ => view! {
                {self.overview()}
                {self.toolbar()}
                {if self.window.total == 0 { self.nothing_fits().into_any() } else { self.table().into_any() }}
            }
            .into_any(),
        }
    }

    fn nothing_there(&self) -> impl IntoView + use<> {
        if self.window.cluster.may_audit {
            return view! {
                <div class="empty">
                    <h2>"No containers yet"</h2>
                    <p>{format!("{} has none. Create one in Proxmox, with Create CT at the top right: it shows here within ten seconds.", self.window.cluster.name)}</p>
                    <div class="act">
                        <a class="btn" href=paths::home()>"Look again"</a>
                    </div>
                </div>
            }
            .into_any();
        }
        view! {
            <div class="empty">
                <h2>"No containers that you may see"</h2>
                <p>
                    "Your account may see a container once it has the privilege VM.Audit on it, for example by the role PVEVMUser on "
                    <code>"/vms"</code> ". Who administers the cluster can grant it under Permissions."
                </p>
                <div class="act">
                    <a class="btn" href=paths::home()>"Look again"</a>
                </div>
            </div>
        }
        .into_any()
    }

    /// A filter without match names what to drop.
    fn nothing_fits(&self) -> impl IntoView + use<> {
        let drops = self.query.terms.iter().map(|term| {
            let without = address(&self.query.toggled(term.clone()), 1);
            view! { <a class="btn" href=without>"Without " <b class="font-medium">{term.to_string()}</b></a> }
        });
        let all = (self.query.terms.len() > 1).then(|| {
            view! { <a class="btn" href=address(&Query { terms: Vec::new(), ..self.query.clone() }, 1)>"Show all"</a> }
        });
        view! {
            <div class="empty">
                <h2>"No container fits"</h2>
                <p>"None of your containers is " <code>{self.query.text()}</code> "."</p>
                <div class="act">{drops.collect_view()} {all}</div>
            </div>
        }
    }

    /// The figures and the nodes above the list. The figures add up, and each is a filter.
    fn overview(&self) -> impl IntoView + use<> {
        let counts = self.window.counts;
        let chosen = match &self.query.terms.iter().filter(|term| term.field() == Some(Field::Status)).collect::<Vec<_>>()[..] {
            [] => Some(None),
            [term] if !term.excludes() => Condition::iter().find(|condition| condition.to_string().starts_with(term.value())).map(Some),
            _ => None,
        };
        let figure = |condition: Option<Condition>, count: usize| {
            let is_current = chosen == Some(condition);
            view! {
                <a class="fig" href=address(&self.query.with_status(condition), 1) aria-current=is_current.then_some("true")>
                    <b>{count}</b>
                    <span>
                        {condition.map(|condition| view! { <Glyph name=glyph_of(condition) /> })}
                        {condition.map_or("All", word_of)}
                    </span>
                </a>
            }
        };
        let is_shown = |condition: Condition| {
            counts.of(condition) > 0 || chosen == Some(Some(condition)) || !matches!(condition, Condition::Creating | Condition::Error)
        };
        let all = [Condition::Running, Condition::Stopped, Condition::Creating, Condition::Error, Condition::Unknown];
        let figures =
            all.into_iter().filter(|condition| is_shown(*condition)).map(|condition| figure(Some(condition), counts.of(condition)));
        view! {
            <div class="overview" id="overview">
                <nav class="figs-wrap px-6" aria-label="Containers by status">
                    <div class="figs">{figure(None, counts.total)} {figures.collect_view()}</div>
                </nav>
                <section class="nodes" aria-label="Nodes" tabindex="0">{self.nodes()}</section>
            </div>
        }
    }

    fn nodes(&self) -> impl IntoView + use<> {
        // what is asked for first, then what is in trouble; and where they are many, the fullest
        let mut nodes: Vec<&NodeRow> = self.window.nodes.iter().collect();
        let mut more = Vec::new();
        if nodes.len() > NODES {
            nodes.sort_by_key(|node| (!self.is_chosen(node), node.reach == Reach::Answers, Reverse(node.fullest())));
            more = nodes.split_off(NODES - 1);
            more.sort_by_key(|node| &node.name);
        }
        let link = |node: &NodeRow| {
            let figure = node.fullest().filter(|_| node.reach == Reach::Answers).map(|percent| view! { <Percent percent /> });
            view! { <a href=self.toggled(node)>{node.name.to_string()} {figure}</a> }
        };
        let more = (!more.is_empty()).then(|| {
            view! {
                <button type="button" class="node-more" popovertarget="nodes">{more.len()} " more"</button>
                <div class="pop mn node-all" id="nodes" popover="auto" role="group" aria-label="More nodes, with the fullest figure of each">
                    {more.into_iter().map(link).collect_view()}
                </div>
            }
        });
        view! { {nodes.into_iter().map(|node| self.node(node)).collect_view()} {more} }
    }

    fn is_chosen(&self, node: &NodeRow) -> bool {
        self.query.terms.contains(&Term::new(Field::Node, node.name.as_str()))
    }

    /// The list with a node as a filter, or without.
    fn toggled(&self, node: &NodeRow) -> String {
        address(&self.query.toggled(Term::new(Field::Node, node.name.as_str())), 1)
    }

    fn node(&self, node: &NodeRow) -> AnyView {
        let (to, name, current) = (self.toggled(node), node.name.to_string(), self.is_chosen(node).then_some("true"));
        let lasts = node.away_since.map(|since| self.window.now - since).filter(|lasts| *lasts > 0).map(format::duration);
        let after = lasts.as_ref().map(|lasts| format!(" for {lasts}")).unwrap_or_default();
        let trouble = match node.reach {
            Reach::Answers => None,
            Reach::Gone => Some(("Offline", format!("No answer{after}. Containers as last seen."))),
            Reach::Slow => Some(("Slow", format!("Takes long to answer{after}. What is read from it may be missing."))),
            Reach::CertificateChanged => {
                let since = lasts.map_or_else(|| "Its certificate is".to_owned(), |lasts| format!("For {lasts} its certificate has been"));
                Some(("Certificate", format!("{since} another one than the cluster knows.")))
            }
            Reach::Failing => Some(("Failing", format!("Answers with errors{after}."))),
        };
        if let Some((word, said)) = trouble {
            return view! {
                <a class="node gone" href=to aria-current=current>
                    <span class="node-head text-ink-2">
                        <Glyph name=if node.online { "warn" } else { "unknown" } class="dot" />
                        <span class="truncate">{name}</span>
                        <span class="ml-auto pill pill-warn">{word}</span>
                    </span>
                    <span class="node-said">{said}</span>
                </a>
            }
            .into_any();
        }
        let figures = [("CPU", node.cpu_percent), ("Mem", node.memory_percent), ("Disk", node.disk_percent)];
        let storage = node.storage.as_ref().map(|storage| format!("Of its disks and storages {storage} is the fullest"));
        let figure = |(label, percent): (&'static str, Option<u16>)| {
            let percent = percent?;
            let title = storage.clone().filter(|_| label == "Disk");
            Some(view! {
                <span class="node-figure" title=title>
                    <span class="text-ink-3">{label}</span>
                    <Meter percent label />
                    <Percent percent />
                </span>
            })
        };
        let hidden = node.fullest().is_none().then(|| {
            view! { <span class="node-said">"Its figures need Sys.Audit on it."</span> }
        });
        view! {
            <a class="node" href=to aria-current=current>
                <span class="node-head">
                    <Glyph name="running" class="dot" />
                    <span class="truncate">{name}</span>
                </span>
                {figures.into_iter().filter_map(figure).collect_view()}
                {hidden}
            </a>
        }
        .into_any()
    }

    /// The search, and how many fit.
    fn toolbar(&self) -> impl IntoView + use<> {
        let all = self.window.counts.total;
        let fit = match (self.window.total, self.query.terms.is_empty()) {
            (1, true) => "1 container".to_owned(),
            (total, true) => format!("{} containers", format::count(total)),
            (total, false) if all >= total && self.query.terms.iter().all(|term| term.field() == Some(Field::Status)) => {
                format!("{} of {}", format::count(total), format::count(all))
            }
            (1, false) => "1 fits".to_owned(),
            (total, false) => format!("{} fit", format::count(total)),
        };
        let sort =
            (self.query.sort != Sort::default()).then(|| view! { <input type="hidden" name="sort" value=self.query.sort.to_string() /> });
        let descending = self.query.descending.then(|| view! { <input type="hidden" name="desc" value="" /> });
        let reset = (!self.query.terms.is_empty()).then(|| {
            view! { <a class="btn btn-ghost btn-sm" href=address(&Query { terms: Vec::new(), ..self.query.clone() }, 1)>"Show all"</a> }
        });
        view! {
            <form class="toolbar" id="search" method="get" action=paths::home() role="search">
                <label class="input search">
                    <Icon name="search" />
                    <input
                        type="search"
                        name="q"
                        id="q"
                        value=self.query.text()
                        placeholder="name, or field:value"
                        title="status: tag: node: template: lock: name: vmid: and - to leave out"
                        aria-label="Search containers"
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        data-search
                    />
                    <kbd class="kbd needs-js" aria-hidden="true">"/"</kbd>
                </label>
                {sort}
                {descending}
                <span class="text-ink-3" role="status">{fit}</span>
                {reset}
                <label class="vb toggle selecting" title="Select containers">
                    <input type="checkbox" class="sr-only" id="selecting" aria-label="Select containers" data-own />
                    <Icon name="list-checks" />
                </label>
                <LayoutSwitch />
            </form>
            <LayoutForm />
        }
    }

    fn table(&self) -> impl IntoView + use<> {
        let Window { rows, from, total, .. } = self.window;
        // where none has one to go to, a phone has no column for them
        let services = rows.iter().flat_map(|row| &row.services).any(|service| service.web_url.is_some()).then_some("");
        let rows: String = rows.iter().map(|row| self.row(row)).collect();
        let room = |id: &'static str| view! { <tbody id=id class="room" aria-hidden="true"><tr><td></td></tr></tbody> };
        view! {
            <form method="post" action=Verb::Start.action()>
            <table class="ct" id="list" aria-rowcount=(total + 1).to_string() data-services=services>
                <caption class="sr-only">"Containers"</caption>
                <thead>
                    <tr>
                        <th class="c-sel" scope="col">
                            <span class="sr-only">"Selection"</span>
                            <label class="hit needs-js"><input type="checkbox" class="checkbox" id="select-all" aria-label="Select all that fit" /></label>
                        </th>
                        {self.head(Sort::Name, "c-name", "Name")}
                        {self.head(Sort::Status, "c-status", "Status")}
                        {self.head(Sort::Vmid, "num c-id", "CT")}
                        {self.head(Sort::Node, "c-node", "Node")}
                        <th class="c-cluster" scope="col">"Cluster"</th>
                        {self.head(Sort::Tags, "c-tags", "Tags")}
                        {self.head(Sort::Address, "c-ip", "Address")}
                        {self.head(Sort::Cpu, "num c-cpu", "CPU")}
                        <th class="c-hour" scope="col">"Last hour"</th>
                        {self.head(Sort::Memory, "num c-mem", "Memory")}
                        {self.head(Sort::Uptime, "num c-up", "Uptime")}
                        {self.head(Sort::Template, "c-template", "Template")}
                        {self.head(Sort::Services, "c-services", "Services")}
                        {self.head(Sort::Event, "c-event", "Last event")}
                        <th class="c-verbs" scope="col"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                {room("above")}
                <tbody id="rows" data-from=from.to_string() data-total=total.to_string() inner_html=rows></tbody>
                {room("below")}
            </table>
            </form>
            {bulk_bar()}
            {self.pager()}
        }
    }

    /// A column's head: a link that sorts by it, and the other way round where it does already.
    fn head(&self, sort: Sort, class: &'static str, title: &'static str) -> impl IntoView + use<> {
        let is_current = self.query.sort == sort;
        // the most of it first is what one looks for
        let usually = matches!(sort, Sort::Cpu | Sort::Memory | Sort::Uptime | Sort::Event);
        let descending = if is_current { !self.query.descending } else { usually };
        let to = address(&Query { sort, descending, ..self.query.clone() }, 1);
        let state = is_current.then_some(if self.query.descending { "descending" } else { "ascending" });
        let arrow = is_current.then(|| view! { <Icon name=if self.query.descending { "arrow-down" } else { "arrow-up" } class="i-xs" /> });
        // on a phone the column has both
        let title = match sort {
            Sort::Cpu => view! { <span class="w-only">{title}</span> <span class="m-only">"CPU, mem"</span> }.into_any(),
            _ => title.into_any(),
        };
        view! { <th class=class scope="col" aria-sort=state><a href=to>{title} {arrow}</a></th> }
    }

    /// The parts of the list, where no program fetches them.
    fn pager(&self) -> impl IntoView + use<> {
        let Window { from, total, rows, .. } = self.window;
        let page = from / PER_PAGE + 1;
        let link =
            |page: usize, rel: &'static str, text: &'static str| view! { <a class="btn" rel=rel href=address(self.query, page)>{text}</a> };
        let previous = (*from > 0).then(|| link(page - 1, "prev", "Previous"));
        let next = (from + rows.len() < *total).then(|| link(page + 1, "next", "Next"));
        (previous.is_some() || next.is_some()).then(|| {
            view! {
                <nav class="pager" aria-label="Parts of the list">
                    {previous}
                    {next}
                    <span class="text-ink-3">{format!("{}–{} of {}", from + 1, from + rows.len(), format::count(*total))}</span>
                </nav>
            }
        })
    }

    fn row(&self, row: &ContainerRow) -> String {
        let operation = self.window.operations.iter().filter(|o| o.container == row.id).max_by(|a, b| a.id.cmp(&b.id));
        let shown = Shown { row, operation, now: self.window.now, is_stale: self.window.trouble.is_some() };
        self.parts.keyed("tr", &format!("r-{}", row.id), move || shown.view())
    }
}

/// The verbs for those that are selected. Without a program it stands below the list and sends what is ticked; with one it says for how
/// many each verb is, and comes when something is selected ([`crate::tab`]).
fn bulk_bar() -> impl IntoView {
    let button = |verb: Verb| {
        let tone = if verb == Verb::Delete { "btn btn-ghost not-aria-disabled:!text-bad-ink" } else { "btn btn-ghost" };
        // a question follows each of them; the others have it in their name
        let words = if verb == Verb::Delete { "Delete…" } else { verb.label() };
        view! {
            <button class=tone name="verb" value=verb.to_string()>
                <Icon name=verb.icon() />
                {words}
                " "
                <span class="n"></span>
            </button>
        }
    };
    view! {
        <form id="bulk" class="bulk pop" method="get" action=paths::bulk() aria-label="Selected containers" data-own>
            <span class="said">"With those ticked"</span>
            {[Verb::Shutdown, Verb::Restart, Verb::Stop, Verb::Start, Verb::Delete].map(button)}
            <button type="button" class="btn btn-ghost needs-js" data-clear>
                <Icon name="x" />
                <span class="sr-only">"Clear selection"</span>
                <kbd class="kbd" aria-hidden="true">"Esc"</kbd>
            </button>
        </form>
    }
}

/// What a row shows: the list's row, with what is under way on it.
#[derive(Clone, Copy)]
struct Shown<'a> {
    row: &'a ContainerRow,
    /// What is under way, or has ended lately.
    operation: Option<&'a OperationLine>,
    now: i64,
    /// The cluster does not answer now.
    is_stale: bool,
}

/// An empty value, which the style sheet draws.
fn nothing() -> AnyView {
    ().into_any()
}

impl Shown<'_> {
    /// What is under way: ours, or what somebody has begun at Proxmox.
    fn under_way(&self) -> Option<&'static str> {
        let ours = self.operation.and_then(|operation| operation.under_way).map(Verb::under_way);
        ours.or_else(|| self.row.task.as_ref().map(|task| task.kind.under_way()))
    }

    /// The last verb, where it did not end well and nobody has reached by now what it was for.
    fn not_done(&self) -> Option<&OperationLine> {
        self.operation.filter(|operation| operation.is_bad && !operation.line.is_empty())
    }

    fn condition(&self) -> Condition {
        Condition::of(self.row)
    }

    fn glyph(&self) -> &'static str {
        match self.under_way() {
            Some(_) => "pending",
            None if self.row.template => "template",
            None => glyph_of(self.condition()),
        }
    }

    fn word(&self) -> &'static str {
        match self.under_way() {
            Some(word) => word,
            None if self.row.template => "Template",
            None => word_of(self.condition()),
        }
    }

    /// The class of the status word.
    fn tone(&self) -> &'static str {
        match (self.under_way(), self.condition()) {
            (Some(_), _) | (None, Condition::Creating) => "w-pending",
            (None, Condition::Error) => "w-error font-medium",
            _ => "",
        }
    }

    /// Why a verb is not allowed now.
    fn refusal(&self, verb: Verb) -> Option<String> {
        match self.operation {
            // by whom, and since when
            Some(operation) if operation.under_way.is_some() => Some(operation.why.clone()),
            _ => hindrance(verb, self.row, None),
        }
    }

    /// Which verbs are allowed now, for the counts of the bar: a bit for each, in the order of [`Verb::ALL`].
    fn allowed(&self) -> u8 {
        (0..).zip(Verb::ALL).filter(|(_, verb)| self.refusal(*verb).is_none()).map(|(place, _)| 1 << place).sum()
    }

    fn is_away(&self) -> bool {
        self.is_stale || !self.row.node_online || self.row.last_seen.is_some()
    }

    fn view(self) -> impl IntoView + use<> {
        let row = self.row;
        let uptime = row.usage.filter(|_| row.status == Status::Running).map(|usage| format::duration(self.now - usage.started_at));
        let tags = row.tags.iter().map(|tag| {
            let only = address(&Query { terms: vec![Term::new(Field::Tag, &tag.name)], ..Query::default() }, 1);
            view! { <Tag text=tag.name.clone() colour=tag.colour.to_string() href=only /> }
        });
        let where_ = format!("{} · {} · ", row.vmid, row.node);
        view! {
            <tr class=self.is_away().then_some("away") data-may=self.allowed().to_string()>
                <td class="c-sel">
                    <label class="hit">
                        <input type="checkbox" class="checkbox" form="bulk" name="id" value=row.id.to_string() aria-label=format!("Select {}", row.name) />
                    </label>
                </td>
                <td class="c-name">
                    <span>
                        <svg class=format!("g g-{}", self.glyph()) aria-hidden="true" data-glyph>
                            <use href=format!("#s-{}", self.glyph()) />
                        </svg>
                        <span>
                            <a class="name" href=paths::container(&row.id) title=row.name.clone()>{row.name.clone()}</a>
                            <span class="sub c-subm">{where_} {self.brief()}</span>
                        </span>
                    </span>
                </td>
                <td class="c-status">
                    <span class="two">
                        <span class=self.tone() data-word>{self.word()}</span>
                        {self.second_line()}
                    </span>
                </td>
                <td class="num c-id">{row.vmid.to_string()}</td>
                <td class="c-node">{row.node.to_string()}</td>
                <td class="c-cluster">{row.cluster.to_string()}</td>
                <td class="c-tags"><span>{tags.collect_view()}</span></td>
                <td class="c-ip">{self.address()}</td>
                <td class="num c-cpu">{self.cpu()}</td>
                <td class="c-hour">{sparkline(&row.history)}</td>
                <td class="num c-mem">{self.memory()}</td>
                <td class="num c-up">{uptime}</td>
                <td class="c-template">{row.template_name.clone()}</td>
                <td class="c-services">{services(&row.services)}</td>
                <td class="c-event">{self.last_event()}</td>
                <td class="c-verbs">{self.verbs()}</td>
            </tr>
        }
    }

    /// Where the status has no column: the word, or in a row of two lines what is more urgent. A card has a line for that.
    fn brief(&self) -> impl IntoView + use<> {
        let urgent = match (self.under_way(), self.not_done(), self.row.lock) {
            (None, Some(operation), _) => Some(("w-error", operation.line.clone())),
            (None, None, Some(lock)) => Some(("w-lock", format!("Locked: {}", lock.word()))),
            _ => None,
        };
        let class = if urgent.is_some() { "c-only" } else { "" };
        view! {
            <span class=format!("{class} {}", self.tone()).trim().to_owned() data-word>{self.word()}</span>
            {urgent.map(|(class, text)| view! { <span class=format!("r-only {class}")>{text}</span> })}
        }
    }

    /// What there is to say beside the status: by whom something is under way, what failed, a lock, a node that is away.
    fn second_line(&self) -> impl IntoView + use<> {
        let line = |class, operation: &OperationLine| {
            view! { <a class=class href=paths::operation(&operation.id) title=operation.why.clone()>{operation.line.clone()}</a> }
                .into_any()
        };
        Some(match (self.operation, &self.row.task, self.not_done(), self.row.lock) {
            (Some(operation), ..) if operation.under_way.is_some() => line("sub", operation),
            (_, Some(ForeignTask { by, since, .. }), ..) => {
                let title = "Begun at Proxmox, not by Berth";
                view! { <span class="sub" title=title>{format!("{by} · {}", format::duration(self.now - since))}</span> }.into_any()
            }
            (_, None, Some(operation), _) => line("sub w-error", operation),
            (_, None, None, Some(lock)) => view! {
                <span class="sub w-lock">
                    <Glyph name="lock" class="!w-2.5 !h-2.5" />
                    {format!("Locked: {}", lock.word())}
                </span>
            }
            .into_any(),
            _ if !self.row.node_online || self.row.last_seen.is_some() => {
                let seen = self.row.last_seen.map(|at| format!(" · {}", format::ago(at, self.now)));
                let what = if self.row.node_online { "Not known" } else { "Offline" };
                view! { <span class="sub">{what} {seen}</span> }.into_any()
            }
            _ => return None,
        })
    }

    fn address(&self) -> AnyView {
        let Some(first) = self.row.addresses.first() else { return nothing() };
        let all = self.row.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let more = (self.row.addresses.len() > 1).then(|| view! { <span class="u">{format!(" +{}", self.row.addresses.len() - 1)}</span> });
        view! { <span title=all>{first.to_string()} {more}</span> }.into_any()
    }

    fn cpu(&self) -> AnyView {
        let Some(usage) = self.row.usage else { return nothing() };
        let percent = usage.cpu_percent;
        let cores = self.row.cores.map(|cores| view! { <span class="c-only">{format!(" of {cores}")}</span> });
        view! {
            <span class="two">
                <span class=figure_class(percent)>{percent}</span>
                <span class="u">" %" {cores}</span>
                <Bar percent />
            </span>
        }
        .into_any()
    }

    fn memory(&self) -> AnyView {
        let Some(Usage { memory, memory_limit, .. }) = self.row.usage else { return nothing() };
        let percent = super::model::percent(memory, memory_limit);
        let (part, whole) = format::bytes_of(memory, memory_limit);
        view! {
            <span class="two">
                <span class=figure_class(percent)>{part}</span>
                <span class="u">{format!(" / {whole}")}</span>
                <Bar percent />
            </span>
        }
        .into_any()
    }

    fn last_event(&self) -> AnyView {
        let Some(event) = &self.row.last_event else { return nothing() };
        let text = title_of(event.kind, event.verb, event.upid.as_ref());
        view! { <span title=event.actor.to_string()>{text} " " <When at=event.at now=self.now * 1000 /></span> }.into_any()
    }

    /// The verbs of a row: real buttons of a real form, at the same place in every row, disabled with the reason. All the others are in
    /// the menu, which is a page of its own where a menu cannot open.
    fn verbs(&self) -> impl IntoView + use<> {
        let row = self.row;
        let small = |verb: Verb| {
            let refused = self.refusal(verb);
            view! {
                <button
                    class="vb"
                    formaction=verb.action()
                    name="id"
                    value=row.id.to_string()
                    aria-label=format!("{} {}", verb.label(), row.name)
                    aria-disabled=refused.is_some().then_some("true")
                    title=refused
                >
                    {icon(verb.icon())}
                </button>
            }
        };
        view! {
            <span class="verbs">
                {[Verb::Start, Verb::Shutdown, Verb::Restart].map(small)}
                <a class="vb" href=paths::menu(&row.id) data-menu aria-label=format!("More for {}", row.name)>{icon("ellipsis")}</a>
            </span>
        }
    }
}

/// An icon in what has a name of its own; there is one in each row four times.
fn icon(name: &'static str) -> impl IntoView {
    view! { <svg class="i"><use href=format!("#i-{name}") /></svg> }
}

fn sparkline(history: &[u8]) -> AnyView {
    // in less than a minute it is a dot
    if history.len() < 6 {
        return nothing();
    }
    view! { <Sparkline values=history.to_vec() label="CPU" /> }.into_any()
}

/// What runs in it, with a link where it has a page.
fn services(services: &[ServiceLine]) -> AnyView {
    // what one can go to comes first
    let first = services.iter().find(|service| service.web_url.is_some()).or(services.first());
    let Some(first) = first else { return nothing() };
    let more = (services.len() > 1).then(|| view! { <span class="u">{format!(" +{}", services.len() - 1)}</span> });
    let name = first.name.clone();
    let first = match first.web_url.clone() {
        Some(url) => {
            view! { <a class="a" href=url rel="noreferrer" target="_blank">{name} <Icon name="arrow-up-right" class="i-xs" /></a> }
                .into_any()
        }
        None => view! { <span>{name}</span> }.into_any(),
    };
    view! { <span>{first} {more}</span> }.into_any()
}

/// All verbs, in a menu. What can lose data asks first: a stop in the menu itself, a deletion on a page of its own.
#[component]
pub fn MenuItems<F>(
    /// Of which container.
    id: ContainerId,
    /// Its name.
    name: String,
    /// The form that the buttons submit.
    form: &'static str,
    /// Why a verb is not allowed now.
    refusal: F,
) -> impl IntoView
where
    F: Fn(Verb) -> Option<String> + 'static,
{
    let item = |verb: Verb, words: &'static str, why_else: &'static str| {
        let refused = refusal(verb);
        // only a shutdown has two
        let graceful = (!why_else.is_empty()).then_some("graceful_only");
        let is_refused = refused.is_some();
        view! {
            <button
                type="submit"
                class="mi"
                form=form
                formaction=verb.action()
                name=graceful
                value=graceful.map(|_| "true")
                aria-disabled=is_refused.to_string()
            >
                <Icon name=verb.icon() />
                <span>{words}</span>
                <span class="why">{refused.unwrap_or_else(|| why_else.to_owned())}</span>
            </button>
        }
    };
    let stop = refusal(Verb::Stop);
    let delete = refusal(Verb::Delete);
    let may_not_delete = delete.is_some().to_string();
    view! {
        {item(Verb::Start, "Start", "")}
        {item(Verb::Shutdown, "Shut down", "")}
        {item(Verb::Shutdown, "Shut down, never stop hard", "Keeps running if it does not listen.")}
        {item(Verb::Restart, "Restart", "")}
        <hr />
        <details class="mi-ask">
            <summary class="mi" aria-disabled=stop.is_some().to_string()>
                <Icon name="square" />
                <span>"Stop…"</span>
                <span class="why">{stop.clone()}</span>
            </summary>
            <div class="ask">
                <p>"Stops it at once, like pulling the plug. What is not written to disk is lost."</p>
                <button
                    type="submit"
                    class="btn btn-error btn-sm"
                    form=form
                    formaction=Verb::Stop.action()
                    aria-disabled=stop.is_some().to_string()
                >
                    {format!("Stop {name}")}
                </button>
            </div>
        </details>
        // where it is not allowed, the page says so too
        <a class="mi" href=paths::delete(&id) aria-disabled=may_not_delete>
            <Icon name="trash-2" />
            <span>"Delete…"</span>
            <span class="why">{delete}</span>
        </a>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        containers::model::{Tag, tests::row},
        events::model::{ContainerEvent, EventKind},
        services::model::{ServiceKind, ServiceStatus},
    };

    /// What a page has besides its rows, with three nodes and their figures: measured at 19.6 kB.
    const BESIDES: usize = 22_000;

    #[test]
    fn a_page_of_the_fullest_rows_is_no_more_than_150_kb() {
        let now = 1_795_392_000;
        let service = ServiceLine {
            name: "Home Assistant".into(),
            kind: ServiceKind::Docker,
            status: ServiceStatus::Running,
            port: Some(8123),
            web_url: Some("http://192.168.178.123:8123/".into()),
        };
        let event = ContainerEvent {
            id: "0190163d8694739baea5966c26f8ad91".parse().unwrap(),
            vmid: 101.try_into().unwrap(),
            name: String::new(),
            kind: EventKind::Started,
            actor: "administrator@pve".parse().unwrap(),
            source: None,
            operation: None,
            verb: Some(Verb::Start),
            upid: None,
            code: "ok".into(),
            manner: None,
            before: None,
            after: None,
            at: (now - 60) * 1000,
        };
        let colour = || "#b91c1c".parse().unwrap();
        let row = ContainerRow {
            name: "home-automation-01".into(),
            tags: ["production", "monitoring", "home"].map(|name| Tag { name: name.into(), colour: colour(), text: colour() }).into(),
            usage: Some(Usage { cpu_percent: 78, memory: 3 << 30, memory_limit: 4 << 30, started_at: now - 86_400 }),
            cores: Some(4.0),
            template_name: Some("home-assistant".into()),
            addresses: vec!["192.168.178.123".parse().unwrap(), "2001:db8::123".parse().unwrap()],
            history: (0..60).map(|place| place % 7 * 13).collect(),
            services: vec![service.clone(), service],
            last_event: Some(Box::new(event)),
            ..row(Status::Running)
        };
        let parts = Parts::default();
        let shown = Shown { row: &row, operation: None, now, is_stale: false };
        let html = parts.keyed("tr", "r-0190163d8694739baea5966c26f8ad91", || shown.view());
        assert!(PER_PAGE * html.len() + BESIDES <= 150_000, "{} B a row: {html}", html.len());
    }
}
