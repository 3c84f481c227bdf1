//! The table of endpoints: method, path, parameters, who may, what blocks it, and its handler. A new endpoint is one entry here
//! and one function in [`super::api`].

use super::{
    api::{Handler, access, cluster, lxc, nodes, tasks, version},
    params::{Kind, NATURAL, Param, Raw, TEXT, optional, required},
};
use percent_encoding::percent_decode_str;

pub struct Route {
    pub method: &'static str,
    /// With `{name}` for a parameter.
    pub path: &'static str,
    pub params: &'static [Param],
    pub permission: Permission,
    pub blocks: Blocks,
    pub handler: Handler,
}

/// Who may call it. Checked before the parameters are (HS:155-206).
pub enum Permission {
    /// Without signing in.
    World,
    /// Everybody who is signed in; the handler leaves out what they may not see.
    User,
    /// With this privilege on this path.
    Check(&'static str, &'static str),
}

/// What a running start keeps from answering (slow-01, slow-02).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    No,
    OnItsContainer,
    OnAnyContainer,
}

const NODE: Param = required("node", TEXT);
const VMID: Param = required("vmid", Kind::Vmid);
const UPID: Param = required("upid", TEXT);

const AUDIT: Permission = Permission::Check("/vms/{vmid}", "VM.Audit");
const POWER: Permission = Permission::Check("/vms/{vmid}", "VM.PowerMgmt");

const fn route(method: &'static str, path: &'static str, permission: Permission, params: &'static [Param], handler: Handler) -> Route {
    Route { method, path, params, permission, blocks: Blocks::No, handler }
}

const fn blocked(blocks: Blocks, mut route: Route) -> Route {
    route.blocks = blocks;
    route
}

pub static ROUTES: &[Route] = &[
    route("GET", "/version", Permission::User, &[], version::version),
    // access
    route("GET", "/access/domains", Permission::World, &[], access::domains),
    route("GET", "/access/ticket", Permission::World, &[], access::ticket_dummy),
    route(
        "POST",
        "/access/ticket",
        Permission::World,
        &[
            required("username", Kind::Text { most: 64 }),
            required("password", TEXT),
            optional("realm", Kind::Realm),
            optional("otp", TEXT),
            optional("tfa-challenge", TEXT),
            optional("new-format", Kind::Boolean),
            optional("path", Kind::Text { most: 64 }),
            optional("privs", Kind::Text { most: 64 }),
        ],
        access::ticket,
    ),
    route("GET", "/access/permissions", Permission::User, &[optional("path", TEXT), optional("userid", TEXT)], access::permissions),
    // cluster
    route(
        "GET",
        "/cluster/resources",
        Permission::User,
        &[optional("type", Kind::Choice(&["vm", "storage", "node", "sdn"]))],
        cluster::resources,
    ),
    route("GET", "/cluster/tasks", Permission::User, &[], cluster::tasks),
    // nodes
    route("GET", "/nodes", Permission::User, &[], nodes::nodes),
    route(
        "GET",
        "/nodes/{node}/tasks",
        Permission::User,
        &[
            NODE,
            optional("start", NATURAL),
            optional("limit", NATURAL),
            optional("userfilter", TEXT),
            optional("typefilter", TEXT),
            optional("vmid", Kind::Vmid),
            optional("errors", Kind::Boolean),
            optional("source", Kind::Choice(&["archive", "active", "all"])),
            optional("since", NATURAL),
            optional("until", NATURAL),
        ],
        tasks::list,
    ),
    route("GET", "/nodes/{node}/tasks/{upid}/status", Permission::User, &[NODE, UPID], tasks::status),
    route(
        "GET",
        "/nodes/{node}/tasks/{upid}/log",
        Permission::User,
        &[NODE, UPID, optional("start", NATURAL), optional("limit", NATURAL), optional("download", Kind::Boolean)],
        tasks::log,
    ),
    route("DELETE", "/nodes/{node}/tasks/{upid}", Permission::User, &[NODE, UPID], tasks::abort),
    // containers
    blocked(Blocks::OnAnyContainer, route("GET", "/nodes/{node}/lxc", Permission::User, &[NODE], lxc::list)),
    blocked(Blocks::OnItsContainer, route("GET", "/nodes/{node}/lxc/{vmid}/status/current", AUDIT, &[NODE, VMID], lxc::status_current)),
    route(
        "GET",
        "/nodes/{node}/lxc/{vmid}/config",
        AUDIT,
        &[NODE, VMID, optional("current", Kind::Boolean), optional("snapshot", Kind::Text { most: 40 })],
        lxc::config,
    ),
    route(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/start",
        POWER,
        &[NODE, VMID, optional("skiplock", Kind::Boolean), optional("debug", Kind::Boolean)],
        lxc::start,
    ),
    route(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/stop",
        POWER,
        &[NODE, VMID, optional("skiplock", Kind::Boolean), optional("overrule-shutdown", Kind::Boolean)],
        lxc::stop,
    ),
    route(
        "POST",
        "/nodes/{node}/lxc/{vmid}/status/shutdown",
        POWER,
        &[NODE, VMID, optional("timeout", NATURAL), optional("forceStop", Kind::Boolean)],
        lxc::shutdown,
    ),
    route("POST", "/nodes/{node}/lxc/{vmid}/status/reboot", POWER, &[NODE, VMID, optional("timeout", NATURAL)], lxc::reboot),
];

/// Finds the route of a path below `/api2/json`, with the parameters that stand in the path.
pub fn find(method: &str, path: &str) -> Option<(&'static Route, Raw)> {
    ROUTES.iter().filter(|route| route.method == method).find_map(|route| Some((route, match_path(route.path, path)?)))
}

fn match_path(pattern: &str, path: &str) -> Option<Raw> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let patterns: Vec<_> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() != patterns.len() {
        return None;
    }
    let mut found = Raw::new();
    for (pattern, part) in patterns.into_iter().zip(parts) {
        match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                found.insert(name.to_owned(), percent_decode_str(part).decode_utf8_lossy().into_owned());
            }
            None if pattern == part => {}
            None => return None,
        }
    }
    Some(found)
}

/// Puts a path's parameters into a pattern such as `/vms/{vmid}`.
pub fn fill(pattern: &str, params: &Raw) -> String {
    params.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_parameters() {
        let (route, params) = find("GET", "/nodes/pve1/tasks/UPID%3Apve1%3A0%3A/status").unwrap();
        assert_eq!(route.path, "/nodes/{node}/tasks/{upid}/status");
        assert_eq!(params["upid"], "UPID:pve1:0:");
        assert_eq!(fill("/nodes/{node}", &params), "/nodes/pve1");
        assert!(find("GET", "/nodes/pve1/lxc/").is_some());
        assert!(find("POST", "/version").is_none());
        assert!(find("GET", "/nosuch").is_none());
    }

    #[test]
    fn every_parameter_in_a_path_is_in_its_table() {
        for route in ROUTES {
            for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                assert!(route.params.iter().any(|param| param.name == name), "{} {}", route.method, route.path);
            }
        }
    }
}
