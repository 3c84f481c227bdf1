//! The privileges and built-in roles of each release.
//!
//! Proxmox makes the roles from a table of privileges by kind and grade, and so does this (AccessControl.pm, `$privgroups` and
//! `create_roles`; 7.4-3, 8.2.2 and 9.1.1 of pve-access-control). Not here: roles that somebody made ([`super::user_cfg`]).

use super::Version;
use std::collections::{BTreeMap, BTreeSet};

/// From when on a privilege exists, and before when.
#[derive(Clone, Copy)]
enum Since {
    Always,
    From(Version),
    Until(Version),
}

/// Who is meant to have it: only root; an administrator; whoever uses a thing; whoever looks.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Grade {
    Audit,
    User,
    Admin,
    Root,
}

use Grade::{Admin, Audit, Root, User};
use Since::{Always, From, Until};
use Version::{V8_4, V9_2};

type Row = (&'static str, &'static str, Grade, Since);

const PRIVILEGES: &[Row] = &[
    ("VM", "VM.Config.Disk", Admin, Always),
    ("VM", "VM.Config.CPU", Admin, Always),
    ("VM", "VM.Config.Memory", Admin, Always),
    ("VM", "VM.Config.Network", Admin, Always),
    ("VM", "VM.Config.HWType", Admin, Always),
    ("VM", "VM.Config.Options", Admin, Always),
    ("VM", "VM.Allocate", Admin, Always),
    ("VM", "VM.Clone", Admin, Always),
    ("VM", "VM.GuestAgent.Unrestricted", Admin, From(V9_2)),
    ("VM", "VM.Migrate", Admin, Always),
    ("VM", "VM.Monitor", Admin, Until(V9_2)),
    ("VM", "VM.Replicate", Admin, From(V9_2)),
    ("VM", "VM.Snapshot", Admin, Always),
    ("VM", "VM.Snapshot.Rollback", Admin, Always),
    ("VM", "VM.Config.CDROM", User, Always),
    ("VM", "VM.Config.Cloudinit", User, Always),
    ("VM", "VM.Console", User, Always),
    ("VM", "VM.Backup", User, Always),
    ("VM", "VM.GuestAgent.FileRead", User, From(V9_2)),
    ("VM", "VM.GuestAgent.FileSystemMgmt", User, From(V9_2)),
    ("VM", "VM.GuestAgent.FileWrite", User, From(V9_2)),
    ("VM", "VM.PowerMgmt", User, Always),
    ("VM", "VM.Audit", Audit, Always),
    ("VM", "VM.GuestAgent.Audit", Audit, From(V9_2)),
    ("Sys", "Sys.PowerMgmt", Root, Always),
    ("Sys", "Sys.Modify", Root, Always),
    ("Sys", "Sys.Incoming", Root, Always),
    ("Sys", "Sys.AccessNetwork", Root, From(V8_4)),
    ("Sys", "Permissions.Modify", Admin, Until(V8_4)),
    ("Sys", "Sys.Console", Admin, Always),
    ("Sys", "Sys.Syslog", Admin, Always),
    ("Sys", "Sys.Audit", Audit, Always),
    ("Datastore", "Datastore.Allocate", Admin, Always),
    ("Datastore", "Datastore.AllocateTemplate", Admin, Always),
    ("Datastore", "Datastore.AllocateSpace", User, Always),
    ("Datastore", "Datastore.Audit", Audit, Always),
    ("SDN", "SDN.Allocate", Admin, Always),
    ("SDN", "SDN.Use", User, From(V8_4)),
    ("SDN", "SDN.Audit", Audit, Always),
    ("User", "Realm.Allocate", Root, Always),
    ("User", "User.Modify", Admin, Always),
    ("User", "Group.Allocate", Admin, Always),
    ("User", "Realm.AllocateUser", Admin, Always),
    ("Pool", "Pool.Allocate", Admin, Always),
    // For users and for auditors alike; this row makes the role PVEPoolUser.
    ("Pool", "Pool.Audit", User, Always),
    ("Pool", "Pool.Audit", Audit, Always),
    ("Mapping", "Mapping.Modify", Admin, From(V8_4)),
    ("Mapping", "Mapping.Use", User, From(V8_4)),
    ("Mapping", "Mapping.Audit", Audit, From(V8_4)),
];

/// The built-in roles with their privileges.
pub fn built_in(version: Version) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut roles = BTreeMap::from([("NoAccess".to_owned(), BTreeSet::new())]);
    let mut give = |role: String, privilege| roles.entry(role).or_insert_with(BTreeSet::new).insert(privilege);
    let exists = |since| match since {
        Always => true,
        From(first) => version >= first,
        Until(end) => version < end,
    };
    let rows = || PRIVILEGES.iter().filter(|row| exists(row.3));
    for &(kind, privilege, grade, _) in rows() {
        give("Administrator".to_owned(), privilege);
        if grade <= Admin {
            give(format!("PVE{kind}Admin"), privilege);
            // This one is only for those who may everything, or everything about mappings.
            if privilege != "Mapping.Modify" {
                give("PVEAdmin".to_owned(), privilege);
            }
        }
        if grade <= User && rows().any(|row| row.0 == kind && row.2 == User) {
            give(format!("PVE{kind}User"), privilege);
        }
        if grade == Audit {
            give("PVEAuditor".to_owned(), privilege);
        }
    }
    give("Administrator".to_owned(), "Permissions.Modify");
    give("PVETemplateUser".to_owned(), "VM.Clone");
    give("PVETemplateUser".to_owned(), "VM.Audit");
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_differ_in_their_privileges() {
        let has = |version, role: &str, privilege| built_in(version)[role].contains(privilege);
        assert!(has(V8_4, "PVEVMAdmin", "VM.Monitor") && !has(V9_2, "Administrator", "VM.Monitor"));
        assert!(has(V9_2, "PVEVMUser", "VM.GuestAgent.FileRead"));
        assert!(has(Version::V7_4, "PVEAdmin", "Permissions.Modify") && !has(V8_4, "PVEAdmin", "Permissions.Modify"));
        assert!(!has(V9_2, "PVEAdmin", "Mapping.Modify") && has(V9_2, "PVEMappingAdmin", "Mapping.Modify"));
        assert!(!built_in(Version::V7_4).contains_key("PVESDNUser"));
        assert!(!built_in(V9_2).contains_key("PVESysUser"));
        assert_eq!(built_in(V8_4)["Administrator"].len(), 42);
    }
}
