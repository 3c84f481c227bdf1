//! Every link, as a function. A page's address is written here and nowhere else.

use crate::{
    batches::model::BatchId,
    operations::model::{ContainerId, OperationId, Verb},
    proxmox::ids::{ClusterName, Upid, Vmid},
};

/// The containers.
pub fn home() -> &'static str {
    "/"
}

/// A container.
pub fn container(id: &ContainerId) -> String {
    format!("/containers/{id}")
}

/// A part of a container's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// What it is, and what it uses.
    Overview,
    /// What was done to it.
    Operations,
    /// What runs in it.
    Services,
}

/// A part of a container's page.
pub fn container_tab(id: &ContainerId, tab: Tab) -> String {
    match tab {
        Tab::Overview => container(id),
        Tab::Operations => format!("/containers/{id}/operations"),
        Tab::Services => format!("/containers/{id}/services"),
    }
}

/// All verbs of a container: the menu of its row, and a page of its own where a menu cannot open.
pub fn menu(id: &ContainerId) -> String {
    format!("/containers/{id}/menu")
}

/// The question before a container is deleted.
pub fn delete(id: &ContainerId) -> String {
    format!("/containers/{id}/delete")
}

/// The question before a verb on a container of which nothing tells whether it is still the same
/// ([`AppError::IdentityUnclear`](crate::error::AppError::IdentityUnclear)). A deletion asks for the name anyway.
pub fn confirm(id: &ContainerId, verb: Verb) -> String {
    match verb {
        Verb::Delete => delete(id),
        verb => format!("/containers/{id}/confirm?verb={verb}"),
    }
}

/// The same for a shutdown that is not to end hard.
pub fn confirm_graceful(id: &ContainerId) -> String {
    format!("{}&graceful_only=true", confirm(id, Verb::Shutdown))
}

/// Whatever container has this number now, and all that had it before.
pub fn number(cluster: &ClusterName, vmid: Vmid) -> String {
    format!("/clusters/{cluster}/{vmid}")
}

/// An operation.
pub fn operation(id: &OperationId) -> String {
    format!("/operations/{id}")
}

/// The task logs of an operation, as a text.
pub fn operation_log(id: &OperationId) -> String {
    format!("/operations/{id}/log")
}

/// A task of Proxmox's.
pub fn task(upid: &Upid) -> String {
    format!("/tasks/{}", encode(upid.as_str()))
}

/// The log of a task, as a text.
pub fn task_log(upid: &Upid) -> String {
    format!("{}/log", task(upid))
}

/// A page with a query; what is empty is left out.
pub fn with_query(page: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { page.to_owned() } else { format!("{page}?{}", pairs.join("&")) }
}

/// The question before a verb for many containers; what it is about stands in its query ([`crate::batches`]).
pub fn bulk() -> &'static str {
    "/bulk"
}

/// The same about those containers of a batch to which it was not done.
pub fn bulk_again(verb: Verb, id: &BatchId) -> String {
    format!("{}?verb={verb}&again={id}", bulk())
}

/// A verb for many containers, and what becomes of each.
pub fn batch(id: &BatchId) -> String {
    format!("{}/{id}", bulk())
}

/// A part of that, from 1.
pub fn batch_part(id: &BatchId, part: usize) -> String {
    format!("{}?page={part}", batch(id))
}

/// Where the question is sent to.
pub const RUN_BATCH: &str = "/api/run_batch";

/// The stream that tells a tab to look again.
pub fn live() -> &'static str {
    "/api/live"
}

/// Its word for the listener's own list. Any other is a container's id.
pub const LIVE_LIST: &str = "list";

/// Its word for who has missed something: look at everything.
pub const LIVE_EVERYTHING: &str = "*";

/// A page of who is signed in; see [`crate::pages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// [`home`]
    Home,
    /// [`container_tab`]
    Container(ContainerId, Tab),
    /// [`menu`]
    Menu(ContainerId),
    /// [`delete`]
    Delete(ContainerId),
    /// [`confirm`]
    Confirm(ContainerId),
    /// [`number`]
    Number(ClusterName, Vmid),
    /// [`operation`]
    Operation(OperationId),
    /// [`task`]
    Task(Upid),
    /// [`bulk`]
    Bulk,
    /// [`batch`]
    Batch(BatchId),
}

impl Page {
    /// Which page has this path, where one has.
    pub fn of(path: &str) -> Option<Self> {
        if path == home() {
            return Some(Self::Home);
        }
        if path == bulk() {
            return Some(Self::Bulk);
        }
        let mut parts = path.strip_prefix('/')?.split('/');
        let page = match (parts.next()?, parts.next()?, parts.next()) {
            ("containers", id, None) => Self::Container(id.parse().ok()?, Tab::Overview),
            ("containers", id, Some("operations")) => Self::Container(id.parse().ok()?, Tab::Operations),
            ("containers", id, Some("services")) => Self::Container(id.parse().ok()?, Tab::Services),
            ("containers", id, Some("menu")) => Self::Menu(id.parse().ok()?),
            ("containers", id, Some("delete")) => Self::Delete(id.parse().ok()?),
            ("containers", id, Some("confirm")) => Self::Confirm(id.parse().ok()?),
            ("clusters", cluster, Some(vmid)) => Self::Number(cluster.parse().ok()?, vmid.parse().ok()?),
            ("operations", id, None) => Self::Operation(id.parse().ok()?),
            ("tasks", upid, None) => Self::Task(decode(upid)?.parse().ok()?),
            ("bulk", id, None) => Self::Batch(id.parse().ok()?),
            _ => return None,
        };
        parts.next().is_none().then_some(page)
    }
}

/// A page of ours that follows an operation to its end; another one that it followed before is let go. After the question before a
/// deletion come the containers; after that for a name, its container.
pub fn with_operation(page: &str, operation: &str) -> String {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let (path, query) = match Page::of(path) {
        Some(Page::Delete(_) | Page::Menu(_)) => (home().to_owned(), query),
        Some(Page::Confirm(id)) => (container(&id), ""),
        _ => (path.to_owned(), query),
    };
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("op="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("op={}", encode(operation))]).collect();
    format!("{path}?{}", query.join("&"))
}

/// The operation that a page follows.
pub fn operation_in(page: &str) -> Option<OperationId> {
    let (_, query) = page.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("op="))?.parse().ok()
}

/// The sign-in form.
pub fn login() -> &'static str {
    "/login"
}

/// The sign-in form that leads back to `next`, which is a path of ours or is left out.
pub fn login_then(next: &str) -> String {
    match safe_next(next) {
        "/" => login().to_owned(),
        next => format!("{}?next={}", login(), encode(next)),
    }
}

/// The sign-in form for a cluster.
pub fn login_at(cluster: &str, next: &str) -> String {
    match safe_next(next) {
        "/" => format!("{}?cluster={}", login(), encode(cluster)),
        next => format!("{}?cluster={}&next={}", login(), encode(cluster), encode(next)),
    }
}

/// The page that asks for a second factor.
pub fn second_factor() -> &'static str {
    "/login/code"
}

/// The same for a sign-in that is on its way to `next`. It asks for a code, or for a recovery key.
pub fn second_factor_at(cluster: &str, next: &str, by_key: bool) -> String {
    let path = login_at(cluster, next).replacen(login(), second_factor(), 1);
    if by_key { path + "&key" } else { path }
}

/// The sign-in form, from the page that asks for a second factor: for the same cluster, and with the same way on.
pub fn login_again(from: &str) -> String {
    from.replacen(second_factor(), login(), 1)
}

/// The longest address that one is led back to: a page of containers named one by one has its room, and a header too.
const MOST_NEXT: usize = 4000;

/// `next` where it is a path of this site, else home. `//evil.example` and `/\evil.example` are other sites to a browser.
pub fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= MOST_NEXT
        && !next.contains('\\')
        && next.chars().all(|c| c.is_ascii_graphic())
        && !next.starts_with(login());
    if ours { next } else { home() }
}

/// Escapes a text for a query's value.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What [`encode`] was given; none where it is not the work of that.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_to_this_site_only() {
        for good in ["/", "/containers/101", "/?tag=prod&x=1"] {
            assert_eq!(safe_next(good), good);
        }
        for evil in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            "/login?next=/",
        ] {
            assert_eq!(safe_next(evil), "/", "{evil:?}");
        }
    }

    #[test]
    fn every_link_to_a_page_leads_to_that_page() {
        let id = "0190163d8694739baea5966c26f8ad91";
        let (container, operation): (ContainerId, OperationId) = (id.parse().unwrap(), id.parse().unwrap());
        let (cluster, vmid): (ClusterName, Vmid) = ("homelab".parse().unwrap(), "105".parse().unwrap());
        for tab in [Tab::Overview, Tab::Operations, Tab::Services] {
            assert_eq!(Page::of(&container_tab(&container, tab)), Some(Page::Container(container.clone(), tab)));
        }
        let upid: Upid = "UPID:pve1:00000741:00029807:6B0325C5:vzdump:103:ann%41?#@pve!dash:".parse().unwrap();
        assert_eq!(Page::of(&task(&upid)), Some(Page::Task(upid)));
        assert_eq!(Page::of(home()), Some(Page::Home));
        assert_eq!(Page::of(&menu(&container)), Some(Page::Menu(container.clone())));
        assert_eq!(Page::of(&delete(&container)), Some(Page::Delete(container.clone())));
        let question = confirm_graceful(&container);
        assert_eq!(question, format!("/containers/{id}/confirm?verb=shutdown&graceful_only=true"));
        assert_eq!(Page::of(question.split('?').next().unwrap()), Some(Page::Confirm(container.clone())));
        assert_eq!(confirm(&container, Verb::Delete), delete(&container));
        assert_eq!(Page::of(&super::operation(&operation)), Some(Page::Operation(operation)));
        assert_eq!(Page::of(&number(&cluster, vmid)), Some(Page::Number(cluster, vmid)));
        assert_eq!(Page::of(bulk()), Some(Page::Bulk));
        let id: BatchId = id.parse().unwrap();
        assert_eq!(Page::of(&batch(&id)), Some(Page::Batch(id)));
        for none in [
            "",
            "/containers",
            "/containers/105",
            "/operations/105/x",
            "/tasks/UPID",
            "/tasks/%",
            "/tasks/%zz",
            "/clusters/homelab/105/x",
            "containers",
        ] {
            assert_eq!(Page::of(none), None, "{none}");
        }
    }

    #[test]
    fn a_query_has_what_is_said() {
        assert_eq!(with_query("/a", &[("by", "alice@pve"), ("what", "")]), "/a?by=alice%40pve");
        assert_eq!(with_query("/a", &[("what", "")]), "/a");
    }

    #[test]
    fn a_page_follows_one_operation() {
        assert_eq!(with_operation("/", "a1"), "/?op=a1");
        let id = "0190163d8694739baea5966c26f8ad91";
        assert_eq!(operation_in(&with_operation("/?tag=prod", id)).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(operation_in("/?op=a1"), None);
        assert_eq!(with_operation("/?tag=prod&op=a0", "a1"), "/?tag=prod&op=a1");
        assert_eq!(with_operation("/containers/0190163d8694739baea5966c26f8ad91/delete", "a1"), "/?op=a1");
        let container = "/containers/0190163d8694739baea5966c26f8ad91";
        assert_eq!(with_operation(&format!("{container}/confirm?verb=start"), "a1"), format!("{container}?op=a1"));
    }

    #[test]
    fn a_link_to_sign_in_carries_the_way_back() {
        assert_eq!(login_then("/"), "/login");
        assert_eq!(login_then("/?tag=a b"), "/login");
        assert_eq!(login_then("/?a=1&b=2"), "/login?next=/%3Fa%3D1%26b%3D2");
        assert_eq!(second_factor_at("home", "/?a=1", true), "/login/code?cluster=home&next=/%3Fa%3D1&key");
        assert_eq!(login_again(&second_factor_at("home", "/?a=1", false)), login_at("home", "/?a=1"));
    }
}
