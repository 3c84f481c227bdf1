//! The questions in which a container's name is typed: before it is deleted, and before a verb on one of which nothing tells whether it
//! is still the same.

use super::{refusal, subject};
use crate::{
    auth,
    containers::model::{ContainerRow, Status},
    error::{AppError, Field, Flaw},
    operations::model::{ContainerId, OperationView, Verb},
    pages::{
        model::RenderedPage,
        parts::{ConfirmField, Crumbs, rendered},
        query::Query,
    },
    paths,
    proxmox::{
        config::{MountPoint, Source},
        ids::ClusterName,
        wire::LxcConfig,
    },
    server::{Context, Error},
    ui::{format, icons::Icon, parts::ErrorNote},
};
use leptos::prelude::*;
use tokio::time::timeout;

/// `/containers/{id}/delete`: what will be lost, and the name to type. `refused` is what a form without JavaScript has to say.
pub async fn question(context: &Context, id: &ContainerId, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    let subject = subject(context, id).await?;
    let Some(row) = subject.row else { return Err(Error::Answer(AppError::NoSuchContainer)) };
    let running = subject.operation.map(OperationView::from).filter(OperationView::is_open);
    let why = refusal(Verb::Delete, &row, running.as_ref(), subject.sight.now);
    // without it the question can be asked all the same
    let config = async {
        let client = auth::service::create_proxmox_client_from_session(context).await?;
        Ok::<_, Error>(client.lxc_config_current(&row.node, row.vmid).await.ok())
    };
    let config = timeout(context.state.page_budget(), config).await.unwrap_or(Ok(None))?;
    let is_protected = config.as_ref().is_some_and(|config| config.get("protection") == Some("1"));
    let why =
        why.or_else(|| is_protected.then(|| "It is protected. Allowed again when its protection is taken away in Proxmox.".to_owned()));
    let title = format!("Delete {}?", row.name);
    let cluster = subject.cluster;
    Ok(rendered(title, false, move || view! { <Question row cluster disks=config.as_ref().map(disks) why refused /> }))
}

/// `/containers/{id}/confirm?verb=…`: why its name is asked for, and the name to type. `refused` is what a form without JavaScript has to
/// say.
pub async fn confirm(context: &Context, id: &ContainerId, query: &Query, refused: Option<AppError>) -> Result<RenderedPage, Error> {
    // a deletion has a question of its own
    let verb = query.read::<Verb>("verb").filter(|verb| *verb != Verb::Delete).ok_or(Error::Answer(AppError::NoSuchPage))?;
    let is_graceful = verb == Verb::Shutdown && query.get("graceful_only") == Some("true");
    let subject = subject(context, id).await?;
    let Some(row) = subject.row else { return Err(Error::Answer(AppError::NoSuchContainer)) };
    let running = subject.operation.map(OperationView::from).filter(OperationView::is_open);
    let why = refusal(verb, &row, running.as_ref(), subject.sight.now);
    let title = format!("{} {}?", verb.label(), row.name);
    let cluster = subject.cluster;
    Ok(rendered(title.clone(), false, move || view! { <Confirm row cluster verb is_graceful title why refused /> }))
}

#[component]
fn Confirm(
    row: ContainerRow,
    cluster: ClusterName,
    verb: Verb,
    is_graceful: bool,
    title: String,
    why: Option<String>,
    refused: Option<AppError>,
) -> impl IntoView {
    let container = paths::container(&row.id);
    let steps = vec![(row.name.clone(), Some(container.clone())), (verb.label().to_owned(), None)];
    // the page itself says why it asks
    let refused = refused.filter(|error| !matches!(error, AppError::IdentityUnclear { .. }));
    let (above, wrong) = in_field(refused, &row.name);
    let hard = match verb {
        Verb::Stop => "It is stopped at once, like pulling the plug.",
        Verb::Shutdown if is_graceful => "It keeps running if it does not shut down by itself.",
        Verb::Shutdown | Verb::Restart => "It is stopped hard if it does not shut down by itself.",
        Verb::Start | Verb::Delete => "",
    };
    let graceful = is_graceful.then(|| view! { <input type="hidden" name="graceful_only" value="true" /> });
    let class = if verb == Verb::Stop { "btn btn-error" } else { "btn btn-primary" };
    view! {
        <Crumbs steps />
        <form
            class="question"
            method="post"
            action=verb.action()
            data-name=row.name.clone()
            data-then="container"
            autocomplete="off"
        >
            <h1 class="text-lg">{title}</h1>
            <p class="text-ink-2">{format!("CT {} on {}, {cluster}. {hard}", row.vmid, row.node).trim_end().to_owned()}</p>
            {above.map(|error| view! { <ErrorNote error /> })}
            <p class="note note-warn">
                <Icon name="triangle-alert" />
                <span>
                    "Nothing tells whether it is still the container that Berth knows: none of its network interfaces has an address by which \
                     it was recognised before. Another one may have its number now."
                </span>
            </p>
            <input type="hidden" name="id" value=row.id.to_string() />
            {graceful}
            <ConfirmField words=row.name.clone() wrong />
            <Answers container why class words=verb.label().to_owned() />
        </form>
    }
}

/// What a form has to say about its field, apart from all else.
fn in_field(refused: Option<AppError>, name: &str) -> (Option<AppError>, Option<String>) {
    match refused {
        Some(AppError::Invalid { field: Field::Confirm, flaw: Flaw::Unknown }) => {
            (None, Some(format!("That is not its name. Type “{name}”.")))
        }
        Some(error @ AppError::Invalid { field: Field::Confirm, .. }) => (None, Some(error.to_string())),
        other => (other, None),
    }
}

/// The buttons below a question.
#[component]
fn Answers(container: String, why: Option<String>, class: &'static str, words: String) -> impl IntoView {
    let is_refused = why.is_some();
    view! {
        <footer>
            {why.map(|why| view! { <span class="mr-auto text-xs text-ink-3" id="why">{why}</span> })}
            <a class="btn" href=container>"Cancel"</a>
            <button type="submit" class=class aria-disabled=is_refused.to_string() aria-describedby=is_refused.then_some("why")>
                {words}
            </button>
        </footer>
    }
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
    let (above, wrong) = in_field(refused, &row.name);
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
            <ConfirmField words=row.name.clone() wrong />
            <Answers container why class="btn btn-error" words="Delete container".to_owned() />
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
