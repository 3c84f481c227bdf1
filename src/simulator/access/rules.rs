//! What an endpoint asks of its caller, as its schema says it, and Proxmox's answers to those who may not (RPCEnvironment.pm,
//! `check_api2_permissions` and `exec_api2_perm_check`).
//!
//! Not here: which endpoint has which rule ([`crate::simulator::routes`]), and what handlers check by themselves beyond it.

use super::{Access, ROOT, is_true, list, names, normalize_path};
use crate::simulator::{
    reply::{Failure, FailureBody},
    schema::Raw,
};
use std::collections::{BTreeMap, BTreeSet};

/// Who may call an endpoint. `root@pam` may all.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the endpoints that need the rest come later; leaving it out would make them more than an entry in the table"
    )
)]
pub enum Rule {
    /// `user => 'world'`: nobody has to sign in.
    World,
    /// `user => 'all'`: everybody who is signed in; handlers leave out what they may not see.
    SignedIn,
    /// No rule at all: nobody but root.
    Root,
    /// `check => […]`
    Check(Check),
}

/// A condition. Paths have parameters in them, such as `/vms/{vmid}`.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "the endpoints that need the rest come later; leaving it out would make them more than an entry in the table")]
pub enum Check {
    Perm {
        path: &'static str,
        privileges: &'static [&'static str],
        /// One of the privileges is enough.
        is_any: bool,
        /// Refuses where this parameter is missing.
        require_param: Option<&'static str>,
    },
    PermModify {
        path: &'static str,
    },
    /// The parameter `userid` is the caller.
    UseridSelf,
    /// The caller may make users in the realm of `userid`.
    UseridRealm,
    /// The caller has one of the privileges on a group that `userid` is in.
    UseridGroup {
        privileges: &'static [&'static str],
        groups: Groups,
    },
    And(&'static [Check]),
    Or(&'static [Check]),
}

/// Which groups count for [`Check::UseridGroup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(dead_code, reason = "the endpoints that need the rest come later; leaving it out would make them more than an entry in the table")]
pub enum Groups {
    /// Those that the user is in.
    Present,
    /// Those in the parameter `groups`, for a user that is to be made.
    Create,
    /// Both.
    Update,
}

/// All of the privileges on a path.
pub const fn perm(path: &'static str, privileges: &'static [&'static str]) -> Check {
    Check::Perm { path, privileges, is_any: false, require_param: None }
}

/// One of the privileges on a path.
pub const fn any_of(path: &'static str, privileges: &'static [&'static str]) -> Check {
    Check::Perm { path, privileges, is_any: true, require_param: None }
}

pub const CLUSTER_AUDIT: Rule = Rule::Check(perm("/", &["Sys.Audit"]));
pub const NODE_AUDIT: Rule = Rule::Check(perm("/nodes/{node}", &["Sys.Audit"]));
pub const STORAGE_USE: Rule = Rule::Check(any_of("/storage/{storage}", &["Datastore.Audit", "Datastore.AllocateSpace"]));
pub const VM_AUDIT: Rule = Rule::Check(perm("/vms/{vmid}", &["VM.Audit"]));
pub const VM_ALLOCATE: Rule = Rule::Check(perm("/vms/{vmid}", &["VM.Allocate"]));
pub const VM_POWER: Rule = Rule::Check(perm("/vms/{vmid}", &["VM.PowerMgmt"]));
/// One of them is enough to ask; each option then has its own.
pub const VM_CONFIG: Rule =
    Rule::Check(any_of("/vms/{vmid}", &["VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options"]));

/// 403 with its reason in brackets, where there is one.
fn refused(reason: &str) -> Failure {
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let message = format!("Permission check failed{reason}\n");
    Failure { status: 403, message, errors: BTreeMap::new(), body: FailureBody::Json }
}

/// The answer to a token where only a ticket will do (HS:171; the text has a line break before its closing bracket).
pub fn token_refused(path: &str) -> Failure {
    refused(&format!("URI '{path}' not available with API token, need proper ticket.\n"))
}

/// A condition that may be one of several, so that it does not fail by itself.
fn unless(quiet: bool, reason: &str) -> Result<bool, Failure> {
    if quiet { Ok(false) } else { Err(refused(reason)) }
}

impl Access {
    /// Whether somebody may call an endpoint with this rule; `user` is empty where nobody had to sign in.
    pub fn check_rule(&self, user: &str, rule: Rule, params: &Raw) -> Result<(), Failure> {
        match rule {
            Rule::World if user.is_empty() => Ok(()),
            _ if user.is_empty() => Err(refused("user != null")),
            _ if user == ROOT => Ok(()),
            Rule::Root => Err(refused("user != root@pam")),
            Rule::SignedIn => Ok(()),
            // Whoever signed in is not the world.
            Rule::World => Err(refused("")),
            // What comes back does not count, only what fails.
            Rule::Check(check) => self.evaluate(check, user, params, false).map(|_| ()),
        }
    }

    /// All of the privileges; otherwise the first that is missing is named.
    pub fn check(&self, user: &str, path: &str, privileges: &[&str]) -> Result<(), Failure> {
        self.check_full(user, path, privileges, false)
    }

    /// One of the privileges.
    pub fn check_any(&self, user: &str, path: &str, privileges: &[&str]) -> Result<(), Failure> {
        self.check_full(user, path, privileges, true)
    }

    /// Whether a user may do one of these with a bridge or with one of its VLANs.
    pub fn allows_bridge(&self, user: &str, zone: &str, bridge: &str, privileges: &[&str]) -> bool {
        let path = format!("/sdn/zones/{zone}/{bridge}");
        let node = names::path_parts(&path).into_iter().skip(1).try_fold(&self.acl, |node, part| node.children.get(part));
        let vlans = node.into_iter().flat_map(|node| node.children.keys()).map(|vlan| format!("{path}/{vlan}"));
        std::iter::once(path.clone()).chain(vlans).any(|path| self.check_any(user, &path, privileges).is_ok())
    }

    fn check_full(&self, user: &str, path: &str, privileges: &[&str], is_any: bool) -> Result<(), Failure> {
        let is_missing = |privilege: &&&str| !self.allows(user, path, privilege);
        if is_any {
            let all_missing = privileges.iter().all(|privilege| is_missing(&privilege));
            return if all_missing { Err(refused(&format!("{path}, {}", privileges.join("|")))) } else { Ok(()) };
        }
        match privileges.iter().find(is_missing) {
            Some(privilege) => Err(refused(&format!("{path}, {privilege}"))),
            None => Ok(()),
        }
    }

    /// `quiet` is Proxmox's `$noerr`: a condition that is not met is false instead of a failure, as far as Proxmox heeds that.
    fn evaluate(&self, check: Check, user: &str, params: &Raw, quiet: bool) -> Result<bool, Failure> {
        let given = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
        match check {
            // The parts fail even where the whole is only one of several.
            Check::And(parts) => {
                for part in parts {
                    self.evaluate(*part, user, params, false)?;
                }
                Ok(true)
            }
            Check::Or(parts) => {
                for part in parts {
                    if self.evaluate(*part, user, params, true)? {
                        return Ok(true);
                    }
                }
                unless(quiet, "")
            }
            Check::Perm { require_param: Some(name), .. } if !params.contains_key(name) => unless(quiet, ""),
            Check::Perm { path, privileges, is_any, .. } => {
                let outcome = match normalize_path(&fill(path, params)) {
                    Some(path) => self.check_full(user, &path, privileges, is_any),
                    // A path that cannot be is shown as nothing, and nobody has anything on it.
                    None if is_any => Err(refused(&format!(", {}", privileges.join("|")))),
                    None => Err(refused(&format!(", {}", privileges.first().copied().unwrap_or_default()))),
                };
                met(outcome, quiet)
            }
            Check::PermModify { path } => match normalize_path(&fill(path, params)) {
                Some(path) => {
                    let privileges: &[&str] = match path.split('/').nth(1).filter(|_| path.split('/').count() > 2) {
                        Some("storage") => &["Permissions.Modify", "Datastore.Allocate"],
                        Some("vms") => &["Permissions.Modify", "VM.Allocate"],
                        Some("pool") => &["Permissions.Modify", "Pool.Allocate"],
                        _ => &["Permissions.Modify"],
                    };
                    met(self.check_any(user, &path, privileges), quiet)
                }
                None => Ok(false),
            },
            Check::UseridSelf => {
                let userid = given("userid");
                names::user_id(userid).map_err(Failure::died)?;
                if !self.user_exists(userid, quiet)? {
                    return Ok(false);
                }
                if user == userid { Ok(true) } else { unless(quiet, "") }
            }
            Check::UseridRealm => {
                let (_, realm) = names::user_id(given("userid")).map_err(Failure::died)?;
                met(self.check(user, &format!("/access/realm/{realm}"), &["Realm.AllocateUser"]), quiet)
            }
            Check::UseridGroup { privileges, groups } => self.evaluate_groups(user, privileges, groups, params, quiet),
        }
    }

    fn evaluate_groups(&self, user: &str, privileges: &[&str], groups: Groups, params: &Raw, quiet: bool) -> Result<bool, Failure> {
        let given = |name: &str| params.get(name).map(String::as_str).unwrap_or_default();
        let userid = given("userid");
        if groups != Groups::Create && !self.user_exists(userid, quiet)? {
            return Ok(false);
        }
        if self.check_any(user, "/access/groups", privileges).is_ok() {
            return Ok(true);
        }
        let path = |group: &str| format!("/access/groups/{group}");
        let own: BTreeSet<&String> = self.groups.keys().filter(|group| self.check_any(user, &path(group), privileges).is_ok()).collect();
        if groups != Groups::Present {
            let privileges = privileges.join("|");
            let mut wanted = list(given("groups")).peekable();
            if wanted.peek().is_none() {
                return Err(refused(&format!("/access/groups, {privileges}")));
            }
            if let Some(group) = wanted.find(|group| !own.iter().any(|own| own == group)) {
                return Err(refused(&format!("{}, {privileges}", path(group))));
            }
        }
        let is_in = |group: &&String| self.groups[*group].members.contains(userid);
        if groups == Groups::Create || own.iter().any(is_in) { Ok(true) } else { unless(quiet, "") }
    }

    fn user_exists(&self, id: &str, quiet: bool) -> Result<bool, Failure> {
        let found = names::user_id(id).and_then(|_| self.users.get(id).ok_or_else(|| format!("no such user ('{id}')")));
        match found {
            Ok(_) => Ok(true),
            Err(_) if quiet => Ok(false),
            Err(text) => Err(Failure::died(text)),
        }
    }
}

fn met(outcome: Result<(), Failure>, quiet: bool) -> Result<bool, Failure> {
    match outcome {
        Ok(()) => Ok(true),
        Err(_) if quiet => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Puts parameters into a path; a missing one is a dash (Tools.pm, `template_replace`).
fn fill(template: &str, params: &Raw) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, name, after)) = rest.split_once('{').and_then(|(before, rest)| {
        let (name, after) = rest.split_once('}')?;
        Some((before, name, after))
    }) {
        path.push_str(before);
        path.push_str(params.get(name).filter(|value| is_true(value)).map_or("-", String::as_str));
        rest = after;
    }
    path + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::version::Version;

    fn message(user: &str, rule: Rule, params: &[(&str, &str)]) -> String {
        let lists = "user:u@pve:1:\nuser:v@pve:1:\ngroup:g:v@pve:\npool:p::::\nacl:1:/pool/p:u@pve:PVEVMAdmin:\n\
                     acl:1:/access/groups/g:u@pve:PVEUserAdmin:\n";
        let params: Raw = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let outcome = Access::from_text(lists, Version::V9_2).check_rule(user, rule, &params);
        outcome.map_or_else(|failure| failure.message, |()| "may".to_owned())
    }

    #[test]
    fn the_first_missing_privilege_is_named_or_all_where_one_is_enough() {
        assert_eq!(message("u@pve", VM_AUDIT, &[("vmid", "100")]), "Permission check failed (/vms/100, VM.Audit)\n");
        let all = "Permission check failed (/storage/-, Datastore.Audit|Datastore.AllocateSpace)\n";
        assert_eq!(message("u@pve", STORAGE_USE, &[]), all);
        assert_eq!(message("u@pve", VM_AUDIT, &[("vmid", "1 0")]), "Permission check failed (, VM.Audit)\n");
    }

    #[test]
    fn nobody_and_anybody_are_told_apart() {
        assert_eq!(message("", Rule::World, &[]), "may");
        assert_eq!(message("u@pve", Rule::World, &[]), "Permission check failed\n");
        assert_eq!(message("", Rule::SignedIn, &[]), "Permission check failed (user != null)\n");
        assert_eq!(message("root@pam!t", Rule::Root, &[]), "Permission check failed (user != root@pam)\n");
        assert_eq!(message(ROOT, Rule::Root, &[]), "may");
    }

    #[test]
    fn one_of_several_conditions_is_enough() {
        const POOL: Check = Check::Perm { path: "/pool/{pool}", privileges: &["VM.Allocate"], is_any: false, require_param: Some("pool") };
        const RULE: Rule = Rule::Check(Check::Or(&[perm("/vms/{newid}", &["VM.Allocate"]), POOL]));
        assert_eq!(message("u@pve", RULE, &[("newid", "101"), ("pool", "p")]), "may");
        assert_eq!(message("u@pve", RULE, &[("newid", "101")]), "Permission check failed\n");
    }

    #[test]
    fn whoever_may_change_a_group_may_change_its_members() {
        const RULE: Rule = Rule::Check(Check::UseridGroup { privileges: &["User.Modify"], groups: Groups::Present });
        assert_eq!(message("u@pve", RULE, &[("userid", "v@pve")]), "may");
        assert_eq!(message("u@pve", RULE, &[("userid", "u@pve")]), "Permission check failed\n");
        assert_eq!(message("u@pve", RULE, &[("userid", "w@pve")]), "no such user ('w@pve')\n");
    }
}
