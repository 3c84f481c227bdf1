//! The page of a container, and the question before it is deleted. The server renders both; see [`crate::pages`].

use super::{
    model::{ContainerList, ContainerRow, Status, may},
    service, store,
    view::{MenuItems, glyph, word},
};
use crate::{
    auth,
    error::{AppError, Field, Flaw},
    events::{
        model::EventId,
        store::{EventsOf, list_events},
        view::{History, PER_PAGE, Timeline, named_in},
    },
    operations::{
        self,
        model::{ContainerId, OperationView, Verb},
    },
    pages::{
        model::RenderedPage,
        parts::{Crumbs, rendered},
    },
    paths,
    proxmox::{
        config::{MountPoint, Source},
        ids::{ClusterName, Vmid},
        wire::LxcConfig,
    },
    server::{Context, Error},
    ui::{
        format,
        icons::{Glyph, Icon},
        parts::{ErrorNote, Tag},
    },
};
use leptos::prelude::*;

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
    operation: Option<OperationView>,
    list: ContainerList,
}

/// `/containers/{id}`. `refused` is what a form without JavaScript has to say.
pub async fn container(
    context: &Context,
    id: &ContainerId,
    before: Option<EventId>,
    refused: Option<AppError>,
) -> Result<RenderedPage, Error> {
    let subject = subject(context, id).await?;
    let history = history(context, EventsOf::Container(id), before).await?;
    let id = id.clone();
    let address = move |before: Option<&EventId>| {
        before.map_or_else(|| paths::container(&id), |before| paths::container_before(&id, before.as_str()))
    };
    Ok(page(subject, history, address, refused))
}

/// `/clusters/{cluster}/{vmid}`: whatever has this number now, with everything that ever had it.
pub async fn number(
    context: &Context,
    cluster: &ClusterName,
    vmid: Vmid,
    before: Option<EventId>,
    refused: Option<AppError>,
) -> Result<RenderedPage, Error> {
    if *cluster != context.cluster.name {
        return Err(Error::Answer(AppError::NoSuchContainer));
    }
    operations::service::audited_number(context, vmid).await?;
    let living = store::find_living(context.state.db(), cluster, vmid).await.map_err(|e| Error::Db("read a container", e))?;
    let history = history(context, EventsOf::Vmid(cluster, vmid), before).await?;
    let subject = match living {
        Some(living) => subject(context, &living.id).await?,
        None if history.events.is_empty() && !history.is_older_page => return Err(Error::Answer(AppError::NoSuchContainer)),
        None => Subject {
            id: None,
            vmid,
            name: format!("CT {vmid}"),
            cluster: cluster.clone(),
            row: None,
            absent: "No container has this number now.",
            operation: None,
            list: service::list_containers(context).await?,
        },
    };
    let base = paths::number(cluster, vmid);
    let address = move |before: Option<&EventId>| before.map_or_else(|| base.clone(), |before| format!("{base}?before={before}#history"));
    Ok(page(subject, history, address, refused))
}

async fn subject(context: &Context, id: &ContainerId) -> Result<Subject, Error> {
    let list = service::list_containers(context).await?;
    let latest = list.operations.iter().filter(|line| line.container == *id).max_by(|a, b| a.id.cmp(&b.id));
    let operation = match latest {
        Some(line) if line.under_way.is_some() || !line.line.is_empty() => {
            let row =
                operations::store::get_operation(context.state.db(), &line.id).await.map_err(|e| Error::Db("read an operation", e))?;
            row.map(OperationView::from)
        }
        _ => None,
    };
    let cluster = context.cluster.name.clone();
    if let Some(row) = list.rows.iter().find(|row| row.id == *id).cloned() {
        return Ok(Subject {
            id: Some(id.clone()),
            vmid: row.vmid,
            name: row.name.clone(),
            cluster,
            row: Some(row),
            absent: "",
            operation,
            list,
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
    Ok(Subject { id: Some(id.clone()), vmid, name, cluster, row: None, absent, operation, list })
}

async fn history(context: &Context, of: EventsOf<'_>, before: Option<EventId>) -> Result<History, Error> {
    let db = context.state.db();
    let failed = |e| Error::Db("read a container's history", e);
    let events = list_events(db, of, before.as_ref(), PER_PAGE).await.map_err(failed)?;
    let operations = operations::store::get_operations(db, &named_in(&events.rows)).await.map_err(failed)?;
    let operations = operations.into_iter().map(|row| (row.id.clone(), row)).collect();
    let now = db.now_ms().await.map_err(failed)?;
    Ok(History { events: events.rows, more: events.more, is_older_page: before.is_some(), operations, now })
}

fn page(
    subject: Subject,
    history: History,
    address: impl Fn(Option<&EventId>) -> String + 'static,
    refused: Option<AppError>,
) -> RenderedPage {
    let is_under_way = subject.operation.as_ref().is_some_and(OperationView::is_open);
    rendered(subject.name.clone(), is_under_way, move || {
        view! {
            <Head subject />
            {refused.map(|error| view! { <div class="px-page pt-4"><ErrorNote error /></div> })}
            <div class="px-page pb-6 pt-5 max-w-[72rem]">
                <Timeline history page=address />
            </div>
        }
    })
}

#[component]
fn Head(subject: Subject) -> impl IntoView {
    let Subject { id, vmid, name, cluster, row, absent, operation, list } = subject;
    let running = operation.clone().filter(OperationView::is_open);
    let (status, tone) = match (&running, &row) {
        (Some(operation), _) => (("pending", operation.verb.under_way()), "pill-now"),
        (None, Some(row)) if row.template => (("template", "Template"), ""),
        (None, Some(row)) => ((glyph(row.status), word(row.status)), ""),
        (None, None) => (("missing", "Not there"), ""),
    };
    let steps = vec![(cluster.to_string(), None)].into_iter().chain(row.as_ref().map(|row| (row.node.to_string(), None))).collect();
    let age = match (&list.trouble, list.as_of) {
        (Some(_), Some(as_of)) => format!("Shown is what it said {}.", format::ago(as_of, list.now)),
        _ => String::new(),
    };
    let trouble = list.trouble.clone().map(|error| view! { <div class="px-page pt-4"><ErrorNote error more=age /></div> });
    let verbs = match (&id, &row) {
        (Some(id), Some(row)) => Some(view! { <Verbs id=id.clone() row=row.clone() running=running.clone() now=list.now /> }),
        _ => None,
    };
    let facts = row.as_ref().map(|row| view! { <Facts row=row.clone() now=list.now /> });
    let absent = row.is_none().then(|| view! { <p class="text-ink-2">{absent} " What was done to it is kept."</p> });
    let banner = operation.filter(|operation| operation.is_open() || operation.error.is_some()).map(|operation| {
        view! { <Banner operation now=list.now /> }
    });
    view! {
        <Crumbs steps />
        <div class="px-page grid gap-3 max-[860px]:pt-3">
            <div class="flex items-center gap-3 flex-wrap">
                <h1 class="text-xl">{name}</h1>
                <span class=format!("pill !h-6 {tone}") role="status">
                    <Glyph name=status.0 />
                    {status.1}
                </span>
                {verbs}
            </div>
            <div class="flex items-center gap-x-4 gap-y-1 flex-wrap text-ink-3">
                <span>"CT " <span class="text-ink-2">{vmid.to_string()}</span></span>
                {facts}
            </div>
            {absent}
        </div>
        {trouble}
        {banner}
    }
}

#[component]
fn Facts(row: ContainerRow, now: i64) -> impl IntoView {
    let lock = row.lock.map(|lock| {
        view! {
            <span class="inline-flex items-center gap-1.5 text-warn-ink">
                <Glyph name="lock" />
                {format!("Locked: {}", lock.word())}
            </span>
        }
    });
    view! {
        <span>"Node " <span class="text-ink-2">{row.node.to_string()}</span> {(!row.node_online).then_some(" · does not answer")}</span>
        {row.usage.map(|usage| view! { <span>"Up " <span class="text-ink-2">{format::duration(now - usage.started_at)}</span></span> })}
        {lock}
        <span class="flex gap-1">{row.tags.into_iter().map(|tag| view! { <Tag text=tag.name colour=tag.colour.to_string() /> }).collect_view()}</span>
    }
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
}

/// `/containers/{id}/menu`: all verbs of a container. The list shows it as the menu of a row; where a menu cannot open, it is a page.
pub async fn menu(context: &Context, id: &ContainerId) -> Result<RenderedPage, Error> {
    let subject = subject(context, id).await?;
    let Some(row) = subject.row else { return Err(Error::Answer(AppError::NoSuchContainer)) };
    let running = subject.operation.filter(OperationView::is_open);
    let now = subject.list.now;
    let container = paths::container(id);
    let id = id.clone();
    Ok(rendered(format!("Actions for {}", row.name), false, move || {
        let refused = Verb::ALL.map(|verb| (verb, refusal(verb, &row, running.as_ref(), now)));
        let why = move |verb| refused.iter().find(|(other, _)| *other == verb).and_then(|(_, why)| why.clone());
        let name = row.name.clone();
        let title = format!("Actions for {name}");
        view! {
            <Crumbs steps=vec![(name.clone(), Some(container)), ("Actions".to_owned(), None)] />
            <h1 class="text-xl px-page pb-3 max-[860px]:pt-3">{title.clone()}</h1>
            <form id="menu-verbs" method="post" action=Verb::Start.action() data-name=name.clone()>
                <input type="hidden" name="id" value=id.to_string() />
            </form>
            <div class="mn mn-page" id="menu-items" role="group" aria-label=title>
                <MenuItems id name form="menu-verbs" refusal=why />
            </div>
        }
    }))
}

/// `/containers/{id}/delete`: what will be lost, and the name to type. `refused` is what a form without JavaScript has to say.
pub async fn question(context: &Context, id: &ContainerId, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let subject = subject(context, id).await?;
    let Some(row) = subject.row else { return Err(Error::Answer(AppError::NoSuchContainer)) };
    let running = subject.operation.filter(OperationView::is_open);
    let why = refusal(Verb::Delete, &row, running.as_ref(), subject.list.now);
    // without it the question can be asked all the same
    let config = match auth::service::create_proxmox_client_from_session(context).await {
        Ok(client) => client.lxc_config_current(&row.node, row.vmid).await.ok(),
        Err(error) => return Err(error),
    };
    let is_protected = config.as_ref().is_some_and(|config| config.get("protection") == Some("1"));
    let why =
        why.or_else(|| is_protected.then(|| "It is protected. Allowed again when its protection is taken away in Proxmox.".to_owned()));
    let title = format!("Delete {}?", row.name);
    let cluster = subject.cluster;
    Ok(rendered(title, false, move || view! { <Question row cluster disks=config.as_ref().map(disks) why refused /> }))
}

/// What becomes of a container's disks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Disks {
    deleted: Vec<String>,
    kept: Vec<String>,
}

fn disks(config: &LxcConfig) -> Disks {
    let mut disks = Disks::default();
    let is_numbered =
        |name: &str, kind: &str| name.strip_prefix(kind).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    for (name, text) in &config.options {
        let (is_root, is_unused) = (name == "rootfs", is_numbered(name, "unused"));
        if !is_root && !is_unused && !is_numbered(name, "mp") {
            continue;
        }
        let Ok(point) = text.parse::<MountPoint>() else { continue };
        let what = match &point.mp {
            Some(path) => format!("Disk at {path}"),
            None if is_root => "Root disk".to_owned(),
            None => "Unused disk".to_owned(),
        };
        let size = point.size.map(|size| format!(", {}", format::bytes(size.0))).unwrap_or_default();
        match &point.source {
            Source::Volume(volume) => {
                let storage = point.source.storage().unwrap_or(volume);
                let line = format!("{what}{size} on {storage}");
                // the most important one first
                if is_root { disks.deleted.insert(0, line) } else { disks.deleted.push(line) }
            }
            Source::Bind(path) | Source::Device(path) => disks.kept.push(format!("{path} of the node, which is mounted into it")),
        }
    }
    disks
}

#[component]
fn Question(
    row: ContainerRow,
    cluster: ClusterName,
    disks: Option<Disks>,
    why: Option<String>,
    refused: Option<AppError>,
) -> impl IntoView {
    let container = paths::container(&row.id);
    let steps = vec![(row.name.clone(), Some(container.clone())), ("Delete".to_owned(), None)];
    let runs = (row.status == Status::Running)
        .then(|| view! { <p class="note note-warn"><Icon name="triangle-alert" /><span>"It is running. It is stopped hard first, like pulling the plug."</span></p> });
    let Disks { deleted, kept } =
        disks.unwrap_or_else(|| Disks { deleted: vec!["All its disks; Proxmox does not say now which it has".to_owned()], kept: vec![] });
    let (in_field, above) = match refused {
        Some(AppError::Invalid { field: Field::Confirm, flaw }) => (Some(AppError::Invalid { field: Field::Confirm, flaw }), None),
        other => (None, other),
    };
    let wrong = in_field.map(|error| match error {
        AppError::Invalid { flaw: Flaw::Unknown, .. } => format!("That is not its name. Type “{}”.", row.name),
        error => error.to_string(),
    });
    let list = |lines: Vec<String>| lines.into_iter().map(|line| view! { <li>{line}</li> }).collect_view();
    view! {
        <Crumbs steps />
        <form
            class="question"
            method="post"
            action=Verb::Delete.action()
            data-name=row.name.clone()
            data-then="home"
            autocomplete="off"
        >
            <h1 class="text-lg">{format!("Delete {}?", row.name)}</h1>
            <p class="text-ink-2">{format!("CT {} on {}, {cluster}. This cannot be undone.", row.vmid, row.node)}</p>
            {above.map(|error| view! { <ErrorNote error /> })}
            {runs}
            <dl class="losses">
                <dt>"Deleted"</dt>
                <dd>
                    <ul>
                        {list(deleted)}
                        <li>"Its entries in backup jobs, firewall and HA"</li>
                    </ul>
                </dd>
                <dt>"Kept"</dt>
                <dd>
                    <ul>
                        <li>"Its backups"</li>
                        {list(kept)}
                        <li>"Its operations and events in Berth"</li>
                    </ul>
                </dd>
            </dl>
            <input type="hidden" name="id" value=row.id.to_string() />
            <div class="field">
                <label for="confirm">"Type " <b class="font-semibold">{row.name.clone()}</b> " to confirm"</label>
                <input
                    class="input"
                    id="confirm"
                    name="confirm"
                    autocapitalize="none"
                    spellcheck="false"
                    autofocus
                    aria-invalid=wrong.is_some().to_string()
                    aria-describedby="confirm-said"
                />
                <span class="err" id="confirm-said" role="alert" data-own>{wrong}</span>
            </div>
            <footer>
                {why.clone().map(|why| view! { <span class="mr-auto text-xs text-ink-3" id="why">{why}</span> })}
                <a class="btn" href=container>"Cancel"</a>
                <button type="submit" class="btn btn-error" aria-disabled=why.is_some().to_string() aria-describedby=why.is_some().then_some("why")>
                    "Delete container"
                </button>
            </footer>
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_lost_with_a_container_and_what_belongs_to_the_node_stays() {
        let options = [
            ("mp0", "local-zfs:subvol-101-disk-1,mp=/data,size=8G"),
            ("mp1", "/mnt/tank,mp=/tank"),
            ("mpx", "local-zfs:subvol-101-disk-7"),
            ("rootfs", "local-zfs:subvol-101-disk-0,size=512M"),
            ("unused0", "local-zfs:subvol-101-disk-2"),
        ];
        let config = LxcConfig { options: options.map(|(n, v)| (n.to_owned(), v.to_owned())).into(), ..LxcConfig::default() };
        let found = disks(&config);
        assert_eq!(found.deleted, ["Root disk, 512 MiB on local-zfs", "Disk at /data, 8 GiB on local-zfs", "Unused disk on local-zfs"]);
        assert_eq!(found.kept, ["/mnt/tank of the node, which is mounted into it"]);
    }
}
