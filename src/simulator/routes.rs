//! The table of endpoints: method, path, who may, parameters, what blocks it, and its handler. A new endpoint is one entry here, a
//! table of parameters in [`super::schema::tables`] and one function in [`super::api`].

use super::{
    access::rules::{CLUSTER_AUDIT, NODE_AUDIT, Rule, STORAGE_USE, VM_ALLOCATE, VM_AUDIT, VM_CONFIG, VM_POWER},
    api::{Handler, access, cluster, history, lxc, nodes, storage, tasks, version},
    schema::{
        Raw,
        property::Property,
        tables::{self, NONE},
    },
    version::Version,
};
use percent_encoding::percent_decode_str;

pub struct Route {
    pub method: &'static str,
    /// With `{name}` for a parameter.
    pub path: &'static str,
    pub rule: Rule,
    /// Checked after the rule (HS:155-206).
    pub params: &'static [Property],
    pub handler: Handler,
    /// The first release that has it.
    pub since: Version,
    /// Whether an API token may call it; some want a ticket.
    pub takes_token: bool,
    /// Whether `pvedaemon` answers, of which each node has three workers, instead of `pveproxy`.
    pub is_protected: bool,
    pub blocks: Blocks,
}

/// What a running start keeps from answering (slow-01, slow-02).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    No,
    OnItsContainer,
    OnAnyContainer,
    /// Not a start alone: whatever holds the container's lock file (conc-03-config-put-while-shutdown-running).
    OnItsLock,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, rule: Rule, params: &'static [Property], handler: Handler) -> Self {
        Self { method, path, rule, params, handler, since: Version::V7_4, takes_token: true, is_protected: false, blocks: Blocks::No }
    }

    const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    const fn wants_ticket(mut self) -> Self {
        self.takes_token = false;
        self
    }

    const fn protected(mut self) -> Self {
        self.is_protected = true;
        self
    }

    const fn blocks(mut self, blocks: Blocks) -> Self {
        self.blocks = blocks;
        self
    }
}

const fn get(path: &'static str, rule: Rule, params: &'static [Property], handler: Handler) -> Route {
    Route::new("GET", path, rule, params, handler)
}

const fn post(path: &'static str, rule: Rule, params: &'static [Property], handler: Handler) -> Route {
    Route::new("POST", path, rule, params, handler)
}

const fn put(path: &'static str, rule: Rule, params: &'static [Property], handler: Handler) -> Route {
    Route::new("PUT", path, rule, params, handler)
}

const fn delete(path: &'static str, rule: Rule, params: &'static [Property], handler: Handler) -> Route {
    Route::new("DELETE", path, rule, params, handler)
}

pub static ROUTES: &[Route] = &[
    get("/version", Rule::SignedIn, NONE, version::version),
    // access
    get("/access/domains", Rule::World, NONE, access::domains),
    get("/access/ticket", Rule::World, NONE, access::ticket_dummy),
    post("/access/ticket", Rule::World, tables::access::CREATE_TICKET, access::ticket).protected().wants_ticket(),
    get("/access/permissions", Rule::SignedIn, tables::access::PERMISSIONS, access::permissions),
    // cluster
    get("/cluster/resources", Rule::SignedIn, tables::cluster::RESOURCES, cluster::resources),
    get("/cluster/status", CLUSTER_AUDIT, NONE, cluster::status).protected(),
    get("/cluster/options", Rule::SignedIn, NONE, cluster::options),
    get("/cluster/nextid", Rule::SignedIn, tables::cluster::NEXTID, cluster::nextid),
    get("/cluster/tasks", Rule::SignedIn, NONE, cluster::tasks),
    // nodes
    get("/nodes", Rule::SignedIn, NONE, nodes::nodes),
    get("/nodes/{node}/status", NODE_AUDIT, tables::nodes::STATUS, nodes::status),
    get("/nodes/{node}/rrddata", NODE_AUDIT, tables::nodes::RRDDATA, history::node).protected(),
    get("/nodes/{node}/network", Rule::SignedIn, tables::nodes::NETWORK, nodes::network),
    get("/nodes/{node}/storage", Rule::SignedIn, tables::storage::LIST, storage::list).protected(),
    get("/nodes/{node}/storage/{storage}/status", STORAGE_USE, tables::storage::STATUS, storage::status).protected(),
    get("/nodes/{node}/storage/{storage}/content", STORAGE_USE, tables::storage::CONTENT, storage::content).protected(),
    get("/nodes/{node}/tasks", Rule::SignedIn, tables::tasks::LIST, tasks::list),
    get("/nodes/{node}/tasks/{upid}/status", Rule::SignedIn, tables::tasks::STATUS, tasks::status).protected(),
    get("/nodes/{node}/tasks/{upid}/log", Rule::SignedIn, tables::tasks::LOG, tasks::log).protected(),
    delete("/nodes/{node}/tasks/{upid}", Rule::SignedIn, tables::tasks::ABORT, tasks::abort).protected(),
    // containers
    get("/nodes/{node}/lxc", Rule::SignedIn, tables::lxc::LIST, lxc::list).protected().blocks(Blocks::OnAnyContainer),
    post("/nodes/{node}/lxc", Rule::SignedIn, tables::lxc::CREATE, lxc::create).protected(),
    delete("/nodes/{node}/lxc/{vmid}", VM_ALLOCATE, tables::lxc::DESTROY, lxc::destroy).protected(),
    get("/nodes/{node}/lxc/{vmid}/status/current", VM_AUDIT, tables::lxc::STATUS_CURRENT, lxc::status_current)
        .protected()
        .blocks(Blocks::OnItsContainer),
    get("/nodes/{node}/lxc/{vmid}/config", VM_AUDIT, tables::lxc::CONFIG, lxc::config),
    put("/nodes/{node}/lxc/{vmid}/config", VM_CONFIG, tables::lxc::UPDATE_CONFIG, lxc::update_config).protected().blocks(Blocks::OnItsLock),
    get("/nodes/{node}/lxc/{vmid}/pending", VM_AUDIT, tables::lxc::PENDING, lxc::pending),
    get("/nodes/{node}/lxc/{vmid}/interfaces", VM_AUDIT, tables::lxc::INTERFACES, lxc::interfaces).protected().since(Version::V8_4),
    get("/nodes/{node}/lxc/{vmid}/rrddata", VM_AUDIT, tables::lxc::RRDDATA, history::container).protected(),
    get("/nodes/{node}/lxc/{vmid}/feature", VM_AUDIT, tables::lxc::FEATURE, lxc::feature).protected(),
    get("/nodes/{node}/lxc/{vmid}/snapshot", VM_AUDIT, tables::lxc::SNAPSHOTS, lxc::snapshots).protected(),
    post("/nodes/{node}/lxc/{vmid}/status/start", VM_POWER, tables::lxc::START, lxc::start).protected(),
    post("/nodes/{node}/lxc/{vmid}/status/stop", VM_POWER, tables::lxc::STOP, lxc::stop).protected(),
    post("/nodes/{node}/lxc/{vmid}/status/shutdown", VM_POWER, tables::lxc::SHUTDOWN, lxc::shutdown).protected(),
    post("/nodes/{node}/lxc/{vmid}/status/reboot", VM_POWER, tables::lxc::REBOOT, lxc::reboot).protected(),
];

/// Finds the route of a path below `/api2/json`, with the parameters that stand in the path.
pub fn find(method: &str, path: &str, version: Version) -> Option<(&'static Route, Raw)> {
    let known = ROUTES.iter().filter(|route| route.method == method && route.since <= version);
    known.into_iter().find_map(|route| Some((route, match_path(route.path, path)?)))
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
                let value = percent_decode_str(part).decode_utf8_lossy().into_owned();
                // What has a blank in it is no parameter of a path (RESTHandler.pm, `map_path_to_methods`).
                if value.is_empty() || value.contains(char::is_whitespace) {
                    return None;
                }
                found.insert(name.to_owned(), value);
            }
            None if pattern == part => {}
            None => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_parameters() {
        let (route, params) = find("GET", "/nodes/pve1/tasks/UPID%3Apve1%3A0%3A/status", Version::V8_4).unwrap();
        assert_eq!(route.path, "/nodes/{node}/tasks/{upid}/status");
        assert_eq!(params["upid"], "UPID:pve1:0:");
        assert!(find("GET", "/nodes/pve1/lxc/", Version::V8_4).is_some());
        for (method, path) in [("POST", "/version"), ("GET", "/nosuch"), ("GET", "/nodes/pve1/lxc/1%200/config")] {
            assert!(find(method, path, Version::V8_4).is_none(), "{method} {path}");
        }
    }

    #[test]
    fn an_endpoint_is_unknown_before_the_release_that_brought_it() {
        let is_known = |version| find("GET", "/nodes/pve1/lxc/101/interfaces", version).is_some();
        assert_eq!([Version::V7_4, Version::V8_4, Version::V9_2].map(is_known), [false, true, true]);
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
