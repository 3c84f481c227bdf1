//! Users, realms, roles and access lists, and what they allow on a path.
//!
//! Not here: tickets ([`super::tickets`]) and which endpoint asks for which privilege ([`super::routes`]). Groups, pools and API
//! tokens are for later; [`Access::permissions`] is the one place that has to learn of them.

use std::collections::BTreeMap;

pub const ROOT: &str = "root@pam";

/// Proxmox's privileges by group and grade, as 8.4 has them (pve-access-control, AccessControl.pm, `$privgroups`). The built-in
/// roles are made from this table, as Proxmox makes them.
struct Group {
    name: &'static str,
    root: &'static [&'static str],
    admin: &'static [&'static str],
    user: &'static [&'static str],
    audit: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        name: "VM",
        root: &[],
        admin: &[
            "VM.Config.Disk",
            "VM.Config.CPU",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.HWType",
            "VM.Config.Options",
            "VM.Allocate",
            "VM.Clone",
            "VM.Migrate",
            "VM.Monitor",
            "VM.Snapshot",
            "VM.Snapshot.Rollback",
        ],
        user: &["VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.Backup", "VM.PowerMgmt"],
        audit: &["VM.Audit"],
    },
    Group {
        name: "Sys",
        root: &["Sys.PowerMgmt", "Sys.Modify", "Sys.Incoming", "Sys.AccessNetwork"],
        admin: &["Sys.Console", "Sys.Syslog"],
        user: &[],
        audit: &["Sys.Audit"],
    },
    Group {
        name: "Datastore",
        root: &[],
        admin: &["Datastore.Allocate", "Datastore.AllocateTemplate"],
        user: &["Datastore.AllocateSpace"],
        audit: &["Datastore.Audit"],
    },
    Group { name: "SDN", root: &[], admin: &["SDN.Allocate"], user: &["SDN.Use"], audit: &["SDN.Audit"] },
    Group {
        name: "User",
        root: &["Realm.Allocate"],
        admin: &["User.Modify", "Group.Allocate", "Realm.AllocateUser"],
        user: &[],
        audit: &[],
    },
    Group { name: "Pool", root: &[], admin: &["Pool.Allocate"], user: &[], audit: &["Pool.Audit"] },
    Group { name: "Mapping", root: &[], admin: &["Mapping.Modify"], user: &["Mapping.Use"], audit: &["Mapping.Audit"] },
];

/// The privileges of a built-in role; an unknown role has none.
pub fn role(name: &str) -> Vec<&'static str> {
    let all = |parts: &dyn Fn(&Group) -> Vec<&'static [&'static str]>| -> Vec<&'static str> {
        GROUPS.iter().flat_map(|group| parts(group).into_iter().flatten().copied()).collect()
    };
    let one = |kind: &str, grade: &str, group: &Group| kind.strip_suffix(grade) == Some(group.name);
    match name {
        "NoAccess" => Vec::new(),
        "Administrator" => {
            let mut privileges = all(&|g| vec![g.root, g.admin, g.user, g.audit]);
            privileges.push("Permissions.Modify");
            privileges
        }
        // Mapping.Modify is taken from PVEAdmin again (AccessControl.pm, create_roles).
        "PVEAdmin" => all(&|g| vec![g.admin, g.user, g.audit]).into_iter().filter(|p| *p != "Mapping.Modify").collect(),
        "PVEAuditor" => all(&|g| vec![g.audit]),
        "PVETemplateUser" => vec!["VM.Clone", "VM.Audit"],
        _ => {
            let Some(kind) = name.strip_prefix("PVE") else { return Vec::new() };
            all(&|g| {
                if one(kind, "Admin", g) {
                    vec![g.admin, g.user, g.audit]
                } else if one(kind, "User", g) && !g.user.is_empty() {
                    vec![g.user, g.audit]
                } else {
                    Vec::new()
                }
            })
        }
    }
}

#[derive(Debug, Clone)]
pub struct Realm {
    pub name: &'static str,
    pub kind: &'static str,
    pub comment: &'static str,
    pub is_default: bool,
}

#[derive(Debug, Clone)]
pub struct User {
    pub id: &'static str,
    pub password: &'static str,
    pub is_enabled: bool,
    pub needs_second_factor: bool,
    /// Seconds for which this user's tickets are good, where that is not two hours.
    pub ticket_lifetime: Option<i64>,
    /// What the demo says about this account.
    pub about: &'static str,
}

/// One line of `user.cfg`: `acl:{propagate}:{path}:{user}:{role}:`.
#[derive(Debug, Clone)]
pub struct Acl {
    pub path: String,
    pub user: &'static str,
    pub role: &'static str,
    pub propagates: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Access {
    pub realms: Vec<Realm>,
    pub users: Vec<User>,
    pub acls: Vec<Acl>,
}

impl Access {
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The privileges of a user on a path, each with whether it goes on to the paths below.
    ///
    /// An entry for the user on a nearer path replaces what came from above; `NoAccess` takes everything
    /// (AccessControl.pm, `roles`).
    pub fn permissions(&self, user: &str, path: &str) -> BTreeMap<&'static str, bool> {
        if user == ROOT {
            return role("Administrator").into_iter().map(|privilege| (privilege, true)).collect();
        }
        let mut roles: Vec<(&'static str, bool)> = Vec::new();
        for part in prefixes(path) {
            let here: Vec<_> = self
                .acls
                .iter()
                .filter(|acl| acl.user == user && acl.path == part && (acl.propagates || part == path))
                .map(|acl| (acl.role, acl.propagates))
                .collect();
            if !here.is_empty() {
                roles = here;
            }
        }
        if roles.iter().any(|(name, _)| *name == "NoAccess") {
            return BTreeMap::new();
        }
        let mut permissions = BTreeMap::new();
        for (name, propagates) in roles {
            for privilege in role(name) {
                *permissions.entry(privilege).or_insert(false) |= propagates;
            }
        }
        permissions
    }

    pub fn allows(&self, user: &str, path: &str, privilege: &str) -> bool {
        self.permissions(user, path).contains_key(privilege)
    }

    /// Every path that an access list names.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.acls.iter().map(|acl| acl.path.as_str())
    }
}

/// `/`, `/vms`, `/vms/101` for `/vms/101`.
fn prefixes(path: &str) -> Vec<&str> {
    let mut prefixes = vec!["/"];
    prefixes.extend(path.match_indices('/').skip(1).map(|(end, _)| &path[..end]));
    if path != "/" {
        prefixes.push(path);
    }
    prefixes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(acls: &[(&str, &'static str, bool)]) -> Access {
        let acls =
            acls.iter().map(|(path, role, propagates)| Acl { path: (*path).to_owned(), user: "u@pve", role, propagates: *propagates });
        Access { acls: acls.collect(), ..Access::default() }
    }

    #[test]
    fn a_role_on_a_path_goes_on_to_the_paths_below() {
        let access = access(&[("/vms", "PVEVMUser", true)]);
        assert!(access.allows("u@pve", "/vms/101", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.Allocate"));
        assert!(!access.allows("other@pve", "/vms/101", "VM.PowerMgmt"));
    }

    #[test]
    fn a_role_that_does_not_propagate_stays_where_it_is() {
        let access = access(&[("/vms", "PVEVMUser", false)]);
        assert!(access.allows("u@pve", "/vms", "VM.Audit"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.Audit"));
    }

    #[test]
    fn a_nearer_path_replaces_a_farther_one_and_no_access_takes_everything() {
        let access = access(&[("/", "PVEAdmin", true), ("/vms/101", "PVEAuditor", true), ("/vms/102", "NoAccess", true)]);
        assert!(access.allows("u@pve", "/vms/100", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.PowerMgmt"));
        assert!(access.allows("u@pve", "/vms/101", "VM.Audit"));
        assert!(access.permissions("u@pve", "/vms/102").is_empty());
    }

    #[test]
    fn root_may_everything() {
        assert!(access(&[]).allows(ROOT, "/vms/1", "Permissions.Modify"));
        assert!(role("Administrator").len() > role("PVEAdmin").len());
        assert!(!role("PVEAdmin").contains(&"Sys.Modify"));
    }
}
