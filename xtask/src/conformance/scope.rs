//! Which requests this run is about: the endpoints of sign-in, lists, lifecycle, configuration, usage and tasks. Everything else in
//! the data is counted as out of scope; to take an endpoint in, add its line here.

use super::wire::unescape;

const ENDPOINTS: &[(&str, &[&str])] = &[
    ("/access/ticket", &["GET", "POST"]),
    ("/access/domains", &["GET"]),
    ("/access/permissions", &["GET"]),
    ("/version", &["GET"]),
    ("/cluster/resources", &["GET"]),
    ("/cluster/status", &["GET"]),
    ("/cluster/options", &["GET"]),
    ("/cluster/nextid", &["GET"]),
    ("/cluster/tasks", &["GET"]),
    ("/nodes", &["GET"]),
    ("/nodes/{node}/status", &["GET"]),
    ("/nodes/{node}/rrddata", &["GET"]),
    ("/nodes/{node}/storage", &["GET"]),
    ("/nodes/{node}/storage/{storage}/content", &["GET"]),
    ("/nodes/{node}/network", &["GET"]),
    ("/nodes/{node}/lxc", &["GET", "POST"]),
    ("/nodes/{node}/lxc/{vmid}", &["DELETE"]),
    ("/nodes/{node}/lxc/{vmid}/status/current", &["GET"]),
    ("/nodes/{node}/lxc/{vmid}/status/start", &["POST"]),
    ("/nodes/{node}/lxc/{vmid}/status/stop", &["POST"]),
    ("/nodes/{node}/lxc/{vmid}/status/shutdown", &["POST"]),
    ("/nodes/{node}/lxc/{vmid}/status/reboot", &["POST"]),
    ("/nodes/{node}/lxc/{vmid}/config", &["GET", "PUT"]),
    ("/nodes/{node}/lxc/{vmid}/pending", &["GET"]),
    ("/nodes/{node}/lxc/{vmid}/interfaces", &["GET"]),
    ("/nodes/{node}/lxc/{vmid}/rrddata", &["GET"]),
    ("/nodes/{node}/lxc/{vmid}/feature", &["GET"]),
    ("/nodes/{node}/lxc/{vmid}/snapshot", &["GET"]),
    ("/nodes/{node}/tasks", &["GET"]),
    ("/nodes/{node}/tasks/{upid}", &["DELETE"]),
    ("/nodes/{node}/tasks/{upid}/status", &["GET"]),
    ("/nodes/{node}/tasks/{upid}/log", &["GET"]),
];

/// Which endpoint a request means, and what stands in the braces of its path.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub method: String,
    pub template: &'static str,
    pub node: Option<String>,
    pub vmid: Option<String>,
    pub upid: Option<String>,
    pub storage: Option<String>,
}

impl Endpoint {
    /// As `GET /nodes/{node}/lxc`.
    pub fn is(&self, endpoint: &str) -> bool {
        endpoint.split_once(' ') == Some((self.method.as_str(), self.template))
    }

    /// Whether it is answered before anybody has signed in (PVE/HTTPServer.pm:69-78).
    pub fn is_open(&self) -> bool {
        matches!(self.template, "/access/ticket" | "/access/domains")
    }
}

/// `None` is out of scope. The path is one below `/api2/json`, escaped or not. A method that a listed path does not have is in
/// scope only where it is refused as such, for Proxmox may have the method and this run may not.
pub fn find(method: &str, path: &str, expected_status: u16) -> Option<Endpoint> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let segments: Vec<String> = path.split('/').map(|segment| unescape(segment, false)).collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        wanted.len() == segments.len() && wanted.iter().zip(&segments).all(|(wanted, segment)| fits_segment(wanted, segment))
    };
    let (template, methods) = ENDPOINTS.iter().find(|(template, _)| fits(template))?;
    if !methods.contains(&method) && expected_status != 501 {
        return None;
    }
    let named = |name: &str| template.split('/').position(|part| part == name).map(|index| segments[index].clone());
    Some(Endpoint {
        method: method.to_owned(),
        template,
        node: named("{node}"),
        vmid: named("{vmid}"),
        upid: named("{upid}"),
        storage: named("{storage}"),
    })
}

fn fits_segment(wanted: &str, segment: &str) -> bool {
    if wanted.starts_with('{') { !segment.is_empty() } else { wanted == segment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_recognised_however_they_are_written() {
        let upid = "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:admin@pve:";
        let path = format!("/nodes/pve1/tasks/{}/status?x=1", upid.replace(':', "%3A").replace('@', "%40"));
        assert_eq!(find("GET", &path, 200).unwrap().upid.as_deref(), Some(upid));
        assert!(find("GET", "/nodes/pve1/lxc/?full=1", 400).unwrap().is("GET /nodes/{node}/lxc"));
        assert_eq!(find("GET", "/nodes/pve1/lxc/100 /config", 501).unwrap().vmid.as_deref(), Some("100 "));
    }

    #[test]
    fn what_is_not_listed_is_out_of_scope() {
        assert_eq!(find("POST", "/nodes/pve1/lxc/100/clone", 200), None);
        assert_eq!(find("GET", "/nodes/pve1/lxc//config", 501), None);
        assert_eq!(find("PUT", "/cluster/options", 200), None);
        assert!(find("POST", "/version", 501).is_some());
    }
}
