//! Every link, as a function. A page's address is written here and nowhere else.

use crate::{
    operations::model::{ContainerId, OperationId},
    proxmox::ids::{ClusterName, Vmid},
};

/// The containers.
pub fn home() -> &'static str {
    "/"
}

/// A container.
pub fn container(id: &ContainerId) -> String {
    format!("/containers/{id}")
}

/// A container, with those of its events that are older than one.
pub fn container_before(id: &ContainerId, before: &str) -> String {
    format!("/containers/{id}?before={before}#history")
}

/// All verbs of a container: the menu of its row, and a page of its own where a menu cannot open.
pub fn menu(id: &ContainerId) -> String {
    format!("/containers/{id}/menu")
}

/// The question before a container is deleted.
pub fn delete(id: &ContainerId) -> String {
    format!("/containers/{id}/delete")
}

/// Whatever container has this number now, and all that had it before.
pub fn number(cluster: &ClusterName, vmid: Vmid) -> String {
    format!("/clusters/{cluster}/{vmid}")
}

/// An operation.
pub fn operation(id: &OperationId) -> String {
    format!("/operations/{id}")
}

/// The stream that tells a tab to look again.
pub fn live() -> &'static str {
    "/api/live"
}

/// A page of who is signed in; see [`crate::pages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// [`home`]
    Home,
    /// [`menu`]
    Menu(ContainerId),
    /// [`container`]
    Container(ContainerId),
    /// [`delete`]
    Delete(ContainerId),
    /// [`number`]
    Number(ClusterName, Vmid),
    /// [`operation`]
    Operation(OperationId),
}

impl Page {
    /// Which page has this path, where one has.
    pub fn of(path: &str) -> Option<Self> {
        if path == home() {
            return Some(Self::Home);
        }
        let mut parts = path.strip_prefix('/')?.split('/');
        let page = match (parts.next()?, parts.next()?, parts.next()) {
            ("containers", id, None) => Self::Container(id.parse().ok()?),
            ("containers", id, Some("menu")) => Self::Menu(id.parse().ok()?),
            ("containers", id, Some("delete")) => Self::Delete(id.parse().ok()?),
            ("clusters", cluster, Some(vmid)) => Self::Number(cluster.parse().ok()?, vmid.parse().ok()?),
            ("operations", id, None) => Self::Operation(id.parse().ok()?),
            _ => return None,
        };
        parts.next().is_none().then_some(page)
    }
}

/// A page of ours that follows an operation to its end; another one that it followed before is let go. After the question before a
/// deletion come the containers.
pub fn with_operation(page: &str, operation: &str) -> String {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let path = if matches!(Page::of(path), Some(Page::Delete(_) | Page::Menu(_))) { home() } else { path };
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

/// `next` where it is a path of this site, else home. `//evil.example` and `/\evil.example` are other sites to a browser.
pub fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 1000
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
        assert_eq!(Page::of(&super::container(&container)), Some(Page::Container(container.clone())));
        assert_eq!(Page::of(&menu(&container)), Some(Page::Menu(container.clone())));
        assert_eq!(Page::of(&delete(&container)), Some(Page::Delete(container)));
        assert_eq!(Page::of(&super::operation(&operation)), Some(Page::Operation(operation)));
        assert_eq!(Page::of(&number(&cluster, vmid)), Some(Page::Number(cluster, vmid)));
        assert_eq!(Page::of(home()), Some(Page::Home));
        for none in ["", "/containers", "/containers/105", "/operations/105/x", "/clusters/homelab/105/x", "containers"] {
            assert_eq!(Page::of(none), None, "{none}");
        }
    }

    #[test]
    fn a_page_follows_one_operation() {
        assert_eq!(with_operation("/", "a1"), "/?op=a1");
        let id = "0190163d8694739baea5966c26f8ad91";
        assert_eq!(operation_in(&with_operation("/?tag=prod", id)).map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(operation_in("/?op=a1"), None);
        assert_eq!(with_operation("/?tag=prod&op=a0", "a1"), "/?tag=prod&op=a1");
        assert_eq!(with_operation("/containers/0190163d8694739baea5966c26f8ad91/delete", "a1"), "/?op=a1");
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
