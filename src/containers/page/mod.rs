//! The page of a container, in parts that have addresses of their own, and the question before it is deleted. The server renders them; see
//! [`crate::pages`].
//!
//! What is asked of Proxmox for a page stands in [`asked`]; a part for which there is no answer in time says so itself.

mod asked;
mod chart;
mod menu;
mod overview;
mod question;
mod usage;
mod words;

pub use asked::Questions;
pub use menu::menu;
pub use question::{confirm, question};

use self::asked::{About, Asked, Known, Part};
use super::{
    model::{ContainerRow, ForeignTask, Status, may},
    query::Condition,
    service::{self, Sight},
    store,
    view::{MenuItems, glyph_of, word_of},
};
use crate::{
    error::AppError,
    events::{
        filter::Filter,
        service::{Cursor, ForeignTasks, Wanted, history, history_to_filter},
        store::{EventsOf, list_events},
        view::{LATEST, Latest, PER_PAGE, Timeline},
    },
    operations::{
        self,
        model::{ContainerId, OperationView, Verb},
        store::{OperationRow, OperationsOf},
    },
    pages::{
        model::RenderedPage,
        parts::{Crumbs, rendered},
        query::Query,
    },
    paths::{self, Tab},
    proxmox::ids::{ClusterName, NodeName, Vmid},
    server::{Context, Error},
    services::{
        store::{ServiceRow, list_services},
        view::Services,
    },
    ui::{
        format,
        icons::{Glyph, Icon},
        parts::{ErrorNote, Tag},
    },
};
use leptos::prelude::*;

/// What a page lacks where nothing can be asked about its container.
const MISSING: &str = "The charts, the configuration and what was done to it in Proxmox itself are missing here for now.";

/// What a page is about: a container that is in the user's list, or one that is not.
struct Subject {
    id: Option<ContainerId>,
    vmid: Vmid,
    name: String,
    cluster: ClusterName,
    row: Option<ContainerRow>,
    /// Where it is not in the list: what is known of that.
    absent: &'static str,
    /// What is under way, or has ended lately.
    operation: Option<OperationRow>,
    /// Where it can be reached.
    address: Option<String>,
    sight: Sight,
}

/// `/containers/{id}` and its parts. `refused` is what a form without JavaScript has to say.
pub async fn container(
    context: &Context,
    id: &ContainerId,
    tab: Tab,
    query: &Query,
    refused: Option<AppError>,
) -> Result<RenderedPage, Error> {
    match tab {
        Tab::Overview => overview(context, id, query, refused).await,
        Tab::Operations => {
            let wanted = Wanted { filter: Filter::of(query), from: Cursor::of(query), most: PER_PAGE };
            let (subject, foreign) = with_node(context, id, |about| foreign_tasks(about, &wanted)).await?;
            let history = history_to_filter(context, EventsOf::Container(id), wanted, foreign, open(&subject)).await?;
            let (page, me) = (paths::container_tab(id, Tab::Operations), context.user.to_string());
            let is_under_way = history.is_under_way();
            Ok(page_of(subject, tab, refused, is_under_way, move || {
                view! { <div class="max-w-[72rem]"><Timeline history page me /></div> }
            }))
        }
        Tab::Services => {
            let subject = subject(context, id).await?;
            let services = services(context, id).await?;
            let now = db_now(context).await?;
            Ok(page_of(subject, tab, refused, false, move || view! { <div class="max-w-[60rem]"><Services services now /></div> }))
        }
    }
}

async fn overview(context: &Context, id: &ContainerId, query: &Query, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let range = usage::range(query);
    let wanted = Wanted { most: LATEST, ..Wanted::default() };
    let (subject, asked) = with_node(context, id, |about| {
        let wanted = &wanted;
        async move { Ok(about.overview(range, wanted).await) }
    })
    .await?;
    if matches!(&asked, Ok(Asked { known, .. }) if matches!(known.config, Err(AppError::SignedOut))) {
        return Err(Error::NotSignedIn);
    }
    let away = subject.row.as_ref().filter(|row| !row.node_online).map(|row| row.node.clone());
    // what a container that is not there has to show is its history
    let (asked, foreign) = match asked {
        // one note says it for all that is missing
        Ok(Asked { known: Known { config: Err(error), samples: Err(_), .. }, .. }) if let Some(node) = away => {
            // that it took too long is the node's doing
            let error = match error {
                AppError::ClusterSlow { incident, .. } => AppError::NodeUnreachable { node: Some(node), incident },
                error => error,
            };
            (Some(Err(error)), Ok(ForeignTasks::default()))
        }
        Ok(Asked { foreign, known }) if subject.row.is_some() => (Some(Ok(known)), foreign),
        Err(error) if subject.row.is_some() => (Some(Err(error.clone())), Err(error)),
        _ => (None, Ok(ForeignTasks::default())),
    };
    let history = history(context, EventsOf::Container(id), wanted, foreign, open(&subject)).await?;
    let services = services(context, id).await?;
    let now = db_now(context).await?;
    let (id, is_under_way) = (id.clone(), history.is_under_way());
    let row = subject.row.clone();
    let address = asked.as_ref().and_then(|asked| asked.as_ref().ok()?.address());
    let stale = usage::stale(&subject.sight, row.as_ref());
    let subject = Subject { address, ..subject };
    Ok(page_of(subject, Tab::Overview, refused, is_under_way, move || {
        let whole = paths::container_tab(&id, Tab::Operations);
        let services = (!services.is_empty()).then(|| view! { <Services services now /> });
        let asked = asked.zip(row);
        let has_two = asked.is_some();
        let (usage, configuration) = asked.map_or((None, None), |(asked, row)| match asked {
            Ok(known) => {
                let usage = view! { <usage::Usage known=known.clone() row=row.clone() stale range page=paths::container(&id) /> };
                (Some(usage.into_any()), Some(view! { <overview::Configuration known row /> }.into_any()))
            }
            Err(error) => (Some(view! { <ErrorNote error more=MISSING.to_owned() /> }.into_any()), None),
        });
        view! {
            <div class=if has_two { "cols" } else { "max-w-[72rem]" }>
                <div class="col">
                    {usage} {services}
                    <Latest history whole />
                </div>
                {configuration.map(|configuration| view! { <div class="col">{configuration}</div> })}
            </div>
        }
    }))
}

/// `/clusters/{cluster}/{vmid}`: whatever has this number now, with everything that ever had it.
pub async fn number(
    context: &Context,
    cluster: &ClusterName,
    vmid: Vmid,
    query: &Query,
    refused: Option<AppError>,
) -> Result<RenderedPage, Error> {
    if *cluster != context.cluster.name {
        return Err(Error::Answer(AppError::NoSuchContainer));
    }
    operations::service::audited_number(context, vmid).await?;
    let living = store::find_living(context.state.db(), cluster, vmid).await.map_err(|e| Error::Db("read a container", e))?;
    let wanted = Wanted { filter: Filter::of(query), from: Cursor::of(query), most: PER_PAGE };
    let (subject, foreign) = match living {
        Some(living) => {
            let (subject, foreign) = with_node(context, &living.id, |about| foreign_tasks(about, &wanted)).await?;
            (Some(subject), foreign)
        }
        None => (None, Ok(ForeignTasks::default())),
    };
    let open = subject.as_ref().and_then(open);
    let is_newest = wanted.from.is_newest() && wanted.filter.is_empty();
    let history = history_to_filter(context, EventsOf::Vmid(cluster, vmid), wanted, foreign, open).await?;
    let subject = match subject {
        Some(subject) => subject,
        None if history.entries.is_empty() && is_newest => return Err(Error::Answer(AppError::NoSuchContainer)),
        None => Subject {
            id: None,
            vmid,
            name: format!("CT {vmid}"),
            cluster: cluster.clone(),
            row: None,
            absent: "No container has this number now.",
            operation: None,
            address: None,
            sight: service::sight(context, None).await?,
        },
    };
    // its tabs lead to the container; this page is about the number
    let subject = Subject { id: subject.id.filter(|_| subject.row.is_some()), ..subject };
    let (page, me, is_under_way) = (paths::number(cluster, vmid), context.user.to_string(), history.is_under_way());
    Ok(page_of(subject, Tab::Operations, refused, is_under_way, move || {
        view! { <div class="max-w-[72rem]"><Timeline history page me /></div> }
    }))
}

/// What a page is about, and at the same time what else is asked of Proxmox for it, on the node where we saw the container last; where it
/// has moved meanwhile, once more. Nothing of ours is in what is asked, so it need not wait for whether the user may see it.
async fn with_node<T, F: Future<Output = Part<T>>>(
    context: &Context,
    id: &ContainerId,
    ask: impl Fn(About) -> F,
) -> Result<(Subject, Part<T>), Error> {
    let db = context.state.db();
    let stored = store::get_container_by_id(db, id).await.map_err(|e| Error::Db("read a container", e))?;
    let stored = stored.filter(|row| row.cluster == context.cluster.name && row.gone_at.is_none());
    let Some(stored) = stored else { return Ok((subject(context, id).await?, Err(AppError::NoSuchContainer))) };
    let latest = operations::store::list_operations(db, OperationsOf::Container(id), None, 1).await;
    let latest = latest.map_err(|e| Error::Db("read operations", e))?.rows.pop().map(|row| (row.id, row.updated_at));
    let about = |node: &NodeName| About::new(context, id, node, stored.vmid, latest.clone());
    // on the heap: there are many questions in it
    let (subject, mut asked) = futures::join!(subject(context, id), Box::pin(ask(about(&stored.node))));
    let subject = subject?;
    if let Some(row) = subject.row.as_ref().filter(|row| row.node != stored.node) {
        asked = ask(about(&row.node)).await;
    }
    Ok((subject, asked))
}

async fn foreign_tasks(about: About, wanted: &Wanted) -> Part<ForeignTasks> {
    about.foreign_tasks(wanted).await
}

async fn services(context: &Context, id: &ContainerId) -> Result<Vec<ServiceRow>, Error> {
    list_services(context.state.db(), &[id]).await.map_err(|e| Error::Db("read services", e))
}

async fn db_now(context: &Context) -> Result<i64, Error> {
    context.state.db().now_ms().await.map_err(|e| Error::Db("tell the time", e))
}

/// The operation that goes on.
fn open(subject: &Subject) -> Option<OperationRow> {
    subject.operation.clone().filter(|row| row.ended_at.is_none())
}

async fn subject(context: &Context, id: &ContainerId) -> Result<Subject, Error> {
    let mut sight = service::sight(context, Some(id)).await?;
    let operation = match &sight.operation {
        Some(line) if line.under_way.is_some() || !line.line.is_empty() => {
            operations::store::get_operation(context.state.db(), &line.id).await.map_err(|e| Error::Db("read an operation", e))?
        }
        _ => None,
    };
    let cluster = context.cluster.name.clone();
    // an old list does not say what its user may see now, and a cluster that does not answer says nothing
    if let (false, Some(trouble)) = (sight.is_recent, sight.trouble.clone()) {
        return Err(Error::Answer(trouble));
    }
    if let Some(row) = sight.row.take().filter(|_| sight.is_recent) {
        return Ok(Subject {
            id: Some(id.clone()),
            vmid: row.vmid,
            name: row.name.clone(),
            cluster,
            row: Some(row),
            absent: "",
            operation,
            address: None,
            sight,
        });
    }
    let vmid = operations::service::audited(context, id).await?;
    let db = context.state.db();
    let stored = store::get_container_by_id(db, id).await.map_err(|e| Error::Db("read a container", e))?;
    let (name, absent) = match stored {
        Some(row) if row.gone_at.is_some() => (row.hostname, "It is gone from Proxmox, or another container has its number now."),
        Some(row) => (row.hostname, "It is not in the list that Proxmox gives you."),
        None => {
            let latest = list_events(db, EventsOf::Container(id), None, 1).await.map_err(|e| Error::Db("read events", e))?;
            (latest.rows.into_iter().next().map_or_else(|| format!("CT {vmid}"), |event| event.hostname), "It is deleted.")
        }
    };
    Ok(Subject { id: Some(id.clone()), vmid, name, cluster, row: None, absent, operation, address: None, sight })
}

/// The head of the page, and below it the part that was asked for.
fn page_of<V: IntoView + 'static>(
    subject: Subject,
    tab: Tab,
    refused: Option<AppError>,
    is_under_way: bool,
    part: impl FnOnce() -> V,
) -> RenderedPage {
    let is_under_way = is_under_way || open(&subject).is_some();
    rendered(subject.name.clone(), is_under_way, move || {
        view! {
            <Head subject tab />
            {refused.map(|error| view! { <div class="px-page pt-5"><ErrorNote error /></div> })}
            <div class="px-page pb-6 pt-5">{part()}</div>
        }
    })
}

#[component]
fn Head(subject: Subject, tab: Tab) -> impl IntoView {
    let Subject { id, vmid, name, cluster, row, absent, operation, address, sight } = subject;
    let operation = operation.map(OperationView::from);
    let running = operation.clone().filter(OperationView::is_open);
    // what somebody has begun at Proxmox is under way too
    let task = row.as_ref().and_then(|row| row.task.clone()).filter(|_| running.is_none());
    let (status, tone) = match (&running, &task, &row) {
        (Some(operation), ..) => (("pending", operation.verb.under_way()), "pill-now"),
        (None, Some(task), _) => (("pending", task.kind.under_way()), "pill-now"),
        (None, None, Some(row)) if row.template => (("template", "Template"), ""),
        (None, None, Some(row)) => {
            let condition = Condition::of(row);
            let tone = match condition {
                Condition::Creating => "pill-now",
                Condition::Error => "pill-bad",
                _ => "",
            };
            ((glyph_of(condition), word_of(condition)), tone)
        }
        (None, None, None) => (("missing", "Not there"), ""),
    };
    let steps = vec![(cluster.to_string(), None)].into_iter().chain(row.as_ref().map(|row| (row.node.to_string(), None))).collect();
    let age = match (&sight.trouble, sight.as_of) {
        (Some(_), Some(as_of)) => format!("Shown is what it said {}.", format::ago(as_of, sight.now)),
        _ => String::new(),
    };
    let trouble = sight.trouble.clone().map(|error| view! { <div class="px-page pt-4"><ErrorNote error more=age /></div> });
    let verbs = match (&id, &row) {
        (Some(id), Some(row)) => Some(view! { <Verbs id=id.clone() row=row.clone() running=running.clone() now=sight.now /> }),
        _ => None,
    };
    let facts = row.as_ref().map(|row| view! { <Facts row=row.clone() address now=sight.now /> });
    let tabs = id.as_ref().map(|id| view! { <Tabs id=id.clone() tab /> });
    let absent = row.is_none().then(|| view! { <p class="text-ink-2">{absent} " What was done to it is kept."</p> });
    let at_proxmox = id.as_ref().zip(task).map(|(id, task)| view! { <TaskBanner id=id.clone() task now=sight.now /> });
    let banner = operation.filter(|operation| operation.is_open() || operation.error.is_some()).map(|operation| {
        view! { <Banner operation now=sight.now /> }
    });
    view! {
        <Crumbs steps />
        <div class="px-page grid gap-3 max-[860px]:pt-3">
            <div class="flex items-center gap-3 flex-wrap" data-row=id.as_ref().map(ToString::to_string)>
                <h1 class="text-xl">{name}</h1>
                <span class=format!("pill !h-6 {tone}") role="status">
                    <svg class=format!("g g-{}", status.0) aria-hidden="true" data-glyph>
                        <use href=format!("#s-{}", status.0) />
                    </svg>
                    <span data-word>{status.1}</span>
                </span>
                {verbs}
            </div>
            <div class="flex items-center gap-x-4 gap-y-1 flex-wrap text-ink-3">
                <span>"CT " <span class="text-ink-2">{vmid.to_string()}</span></span>
                {facts}
            </div>
            {absent}
        </div>
        {tabs}
        {trouble}
        {at_proxmox}
        {banner}
    }
    .into_any()
}

/// The parts of the page, each with an address of its own; a new one is a line here and one in [`Tab`].
#[component]
fn Tabs(id: ContainerId, tab: Tab) -> impl IntoView {
    let link = |(other, text): (Tab, &'static str)| {
        view! { <a href=paths::container_tab(&id, other) aria-current=(other == tab).then_some("page")>{text}</a> }
    };
    let links = [(Tab::Overview, "Overview"), (Tab::Operations, "Operations"), (Tab::Services, "Services")].map(link);
    view! { <nav class="tabs-l" aria-label="Parts of this page">{links.into_iter().collect_view()}</nav> }
}

#[component]
fn Facts(row: ContainerRow, address: Option<String>, now: i64) -> impl IntoView {
    let lock = row.lock.map(|lock| {
        view! {
            <span class="inline-flex items-center gap-1.5 text-warn-ink">
                <Glyph name="lock" />
                {format!("Locked: {}", lock.word())}
            </span>
        }
    });
    let seen = match (row.last_seen, row.usage) {
        (Some(at), _) => Some(("Last seen ", format::ago(at, now))),
        (None, Some(usage)) if row.status == Status::Running => Some(("Up ", format::duration_in_two(now - usage.started_at))),
        _ => None,
    };
    view! {
        <span>"Node " <span class="text-ink-2">{row.node.to_string()}</span> {(!row.node_online).then_some(" · does not answer")}</span>
        {address.map(|address| view! { <span>"Address " <span class="text-ink-2">{address}</span></span> })}
        {seen.map(|(what, text)| view! { <span>{what} <span class="text-ink-2">{text}</span></span> })}
        {lock}
        <span class="flex gap-1">{row.tags.into_iter().map(|tag| view! { <Tag text=tag.name colour=tag.colour.to_string() /> }).collect_view()}</span>
    }
    .into_any()
}

/// What somebody has begun at Proxmox.
#[component]
fn TaskBanner(id: ContainerId, task: ForeignTask, now: i64) -> impl IntoView {
    let text = format!("{} · {} · from Proxmox · for {}", task.kind.under_way(), task.by, format::duration(now - task.since));
    view! {
        <a class="banner" href=paths::container_tab(&id, Tab::Operations)>
            <Glyph name="pending" />
            <span class="min-w-0">{text}</span>
            <span class="ml-auto text-link whitespace-nowrap">"Show operations"</span>
        </a>
    }
    .into_any()
}

/// What is under way, or how the last verb failed.
#[component]
fn Banner(operation: OperationView, now: i64) -> impl IntoView {
    let (tone, text) = match &operation.error {
        None => ("banner", format!("{} · {} · for {}", operation.verb.under_way(), operation.actor, operation.lasts(now))),
        Some(error) => ("banner banner-bad", format!("{}. {error}", operation.verb.not_done(operation.state))),
    };
    view! {
        <a class=tone href=paths::operation(&operation.id)>
            <Glyph name=operation.glyph() />
            <span class="min-w-0">{text}</span>
            <span class="ml-auto text-link whitespace-nowrap">"Show operation"</span>
        </a>
    }
    .into_any()
}

/// Why a verb is not allowed now.
fn refusal(verb: Verb, row: &ContainerRow, running: Option<&OperationView>, now: i64) -> Option<String> {
    match running {
        Some(operation) => Some(operation.in_the_way(now)),
        None => may(verb, row).err().map(super::model::Refusal::sentence),
    }
}

#[component]
fn Verbs(id: ContainerId, row: ContainerRow, running: Option<OperationView>, now: i64) -> impl IntoView {
    let refused = Verb::ALL.map(|verb| (verb, refusal(verb, &row, running.as_ref(), now)));
    let why = move |verb| refused.iter().find(|(other, _)| *other == verb).and_then(|(_, why)| why.clone());
    let button = |verb: Verb| {
        let why = why(verb);
        view! {
            <button
                type="submit"
                class="btn"
                id=format!("verb-{verb}")
                form="verbs"
                formaction=verb.action()
                aria-disabled=why.is_some().to_string()
                title=why.unwrap_or_default()
            >
                <Icon name=verb.icon() />
                {verb.label()}
            </button>
        }
    };
    view! {
        <form id="verbs" method="post" action=Verb::Start.action() data-name=row.name.clone()>
            <input type="hidden" name="id" value=id.to_string() />
        </form>
        <span class="page-verbs">
            {[Verb::Start, Verb::Shutdown, Verb::Restart].map(button)}
            <button type="button" class="btn btn-square" popovertarget="more" id="verb-more" aria-label="More actions">
                <Icon name="ellipsis" />
            </button>
        </span>
        <div class="pop mn" id="more" popover="auto" role="group" aria-label=format!("Actions for {}", row.name)>
            <MenuItems id name=row.name.clone() form="verbs" refusal=why.clone() />
        </div>
    }
    .into_any()
}
