//! Users, groups, roles, pools and access lists, and what they allow on a path.
//!
//! The truth is Proxmox's `user.cfg` (`user_cfg` reads and writes it); besides it stand passwords, the secrets of API tokens,
//! second factors and realms, which Proxmox keeps in files of their own. `roles` are the built-in ones of each release, `rules`
//! what an endpoint asks of its caller, `names` the forms of ids and paths.
//!
//! Not here: tickets ([`super::tickets`]), who is asking ([`super::authentication`]) and which endpoint has which rule
//! ([`super::routes`]).

mod names;
mod roles;
pub mod rules;
mod second_factors;
mod user_cfg;

pub use names::{is_true, list, normalize_path};
pub use second_factors::SecondFactors;

use super::version::Version;
use names::split_token;
use std::collections::{BTreeMap, BTreeSet};

/// May everything. A token of root's is somebody else.
pub const ROOT: &str = "root@pam";

const NO_ACCESS: &str = "NoAccess";

/// Who there is and what they may.
#[derive(Debug, Clone)]
pub struct Access {
    version: Version,
    pub users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    pools: BTreeMap<String, Pool>,
    /// The built-in ones too.
    roles: BTreeMap<String, BTreeSet<&'static str>>,
    acl: Node,
    realms: Vec<Realm>,
    /// By user, in plain text: nothing here is real.
    pub passwords: BTreeMap<String, String>,
    /// By the token's full id.
    pub token_secrets: BTreeMap<String, String>,
    /// By user.
    pub second_factors: BTreeMap<String, SecondFactors>,
    /// Seconds for which a user's tickets are good, where that is not two hours.
    pub ticket_lifetimes: BTreeMap<String, i64>,
}

/// A user of `user.cfg`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct User {
    pub is_enabled: bool,
    /// Seconds since the Unix epoch; zero is never.
    pub expires: i64,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub comment: String,
    /// Second factors as they were kept before `priv/tfa.cfg`; `x` since then.
    pub keys: String,
    /// By the part of the id after the `!`.
    pub tokens: BTreeMap<String, Token>,
}

/// An API token of a user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Token {
    pub expires: i64,
    /// Whether it may only what it was itself given, of what its user may.
    pub is_separated: bool,
    pub comment: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Group {
    members: BTreeSet<String>,
    comment: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Pool {
    comment: String,
    /// Vmids, as digits.
    guests: BTreeSet<String>,
    storages: BTreeSet<String>,
}

/// The access list of a path, and the paths below it.
#[derive(Debug, Clone, Default)]
struct Node {
    children: BTreeMap<String, Node>,
    users: Members,
    groups: Members,
    tokens: Members,
}

/// By who, the roles with whether they go on to the paths below.
type Members = BTreeMap<String, BTreeMap<String, bool>>;

/// Roles that somebody has on a path, with whether they propagate.
type Held<'a> = BTreeMap<&'a str, bool>;

/// A section of `domains.cfg`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Realm {
    pub realm: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub comment: String,
    #[serde(default, rename = "default")]
    pub is_default: bool,
    /// `type=oath,step=30,digits=6`, or the type alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tfa: Option<String>,
}

impl Realm {
    /// What kind of second factor the realm demands: `oath` or `yubico`.
    pub fn demanded_factor(&self) -> Option<&str> {
        let text = self.tfa.as_deref().filter(|text| !text.is_empty())?;
        Some(text.split(',').find_map(|part| part.strip_prefix("type=")).unwrap_or(text))
    }
}

impl Default for Access {
    fn default() -> Self {
        Self::from_text("", Version::default())
    }
}

impl Access {
    /// Whose roles and privileges these are.
    pub fn version(&self) -> Version {
        self.version
    }

    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }

    /// `pam` and `pve` are always there (Auth/Plugin.pm, `parse_config`).
    pub fn set_realms(&mut self, mut realms: Vec<Realm>) {
        for (name, comment) in [("pam", "Linux PAM standard authentication"), ("pve", "Proxmox VE authentication server")] {
            if !realms.iter().any(|realm| realm.realm == name) {
                let (realm, kind, comment) = (name.to_owned(), name.to_owned(), comment.to_owned());
                realms.push(Realm { realm, kind, comment, ..Realm::default() });
            }
        }
        self.realms = realms;
    }

    /// A user who may use Proxmox now; otherwise Proxmox's text (AccessControl.pm, `check_user_enabled`).
    pub fn enabled_user(&self, id: &str, now: i64) -> Result<&User, String> {
        names::user_id(id)?;
        let user = self.users.get(id).ok_or_else(|| format!("no such user ('{id}')"))?;
        if !user.is_enabled {
            return Err(format!("user '{id}' is disabled"));
        }
        if user.expires != 0 && user.expires < now {
            return Err(format!("user '{id}' access expired"));
        }
        Ok(user)
    }

    /// Whether this is the id and the secret of a token that may be used now; otherwise Proxmox's text (AccessControl.pm,
    /// `verify_token`).
    pub fn verify_token(&self, id: &str, secret: &str, now: i64) -> Result<(), String> {
        let unparsable = || format!("'{id}' is not a valid token ID - not able to split into user and token parts");
        let (owner, name) = split_token(id).ok_or_else(unparsable)?;
        let user = self.enabled_user(owner, now)?;
        let token = user.tokens.get(name).ok_or_else(|| format!("no such token '{name}' for user '{owner}'"))?;
        if token.expires != 0 && token.expires < now {
            return Err(format!("token '{name}' access expired"));
        }
        if self.token_secrets.get(id).is_none_or(|known| known != secret) {
            return Err("invalid token value!".to_owned());
        }
        Ok(())
    }

    /// The user whose token this is.
    pub fn owner_of(token: &str) -> Option<&str> {
        split_token(token).map(|(owner, _)| owner)
    }

    /// The privileges of a user or token on a path, each with whether it goes on to the paths below (RPCEnvironment.pm,
    /// `permissions`).
    pub fn permissions(&self, subject: &str, path: &str) -> BTreeMap<&'static str, bool> {
        if subject == ROOT {
            return self.roles["Administrator"].iter().map(|privilege| (*privilege, true)).collect();
        }
        let Some((owner, name)) = split_token(subject) else { return self.granted(subject, path) };
        let Some(token) = self.token(owner, name) else { return BTreeMap::new() };
        let of_owner = self.permissions(owner, path);
        if !token.is_separated {
            return of_owner;
        }
        let mut own = self.granted(subject, path);
        if owner != ROOT {
            own.retain(|privilege, _| of_owner.contains_key(privilege));
            own.iter_mut().for_each(|(privilege, propagates)| *propagates &= of_owner[privilege]);
        }
        own
    }

    /// Whether a user or token has a privilege on a path.
    pub fn allows(&self, subject: &str, path: &str, privilege: &str) -> bool {
        let has = |role: &str| self.roles.get(role).is_some_and(|privileges| privileges.contains(privilege));
        if subject == ROOT {
            return has("Administrator");
        }
        let is_granted = |subject: &str| self.held(subject, path).into_keys().any(has);
        let Some((owner, name)) = split_token(subject) else { return is_granted(subject) };
        match self.token(owner, name) {
            None => false,
            Some(token) if token.is_separated => is_granted(subject) && (owner == ROOT || is_granted(owner)),
            Some(_) => self.allows(owner, path, privilege),
        }
    }

    /// What a user or token may, by path, without the paths on which that is nothing (RPCEnvironment.pm,
    /// `get_effective_permissions`; auth-41-permissions-auditor).
    pub fn effective_permissions(&self, subject: &str) -> BTreeMap<String, BTreeMap<&'static str, bool>> {
        // Its own path was misspelt at first.
        let pools = if self.version < Version::V8_4 { "/pools" } else { "/pool" };
        let fixed = ["/", "/access", "/access/groups", "/nodes", pools, "/sdn", "/storage", "/vms"];
        let mut paths: BTreeSet<String> = fixed.into_iter().map(str::to_owned).collect();
        paths.extend(self.paths());
        for pool in self.pools.values() {
            paths.extend(pool.guests.iter().map(|vmid| format!("/vms/{vmid}")));
            paths.extend(pool.storages.iter().map(|storage| format!("/storage/{storage}")));
        }
        let mut permissions: BTreeMap<_, _> = paths
            .into_iter()
            .map(|path| {
                let here = self.permissions(subject, &path);
                (path, here)
            })
            .collect();
        permissions.retain(|_, here| !here.is_empty());
        permissions
    }

    /// Every path that an access list names, with those above it.
    pub fn paths(&self) -> Vec<String> {
        fn collect(path: &str, node: &Node, paths: &mut Vec<String>) {
            paths.push(if path.is_empty() { "/".to_owned() } else { path.to_owned() });
            for (part, child) in &node.children {
                collect(&format!("{path}/{part}"), child, paths);
            }
        }
        let mut paths = Vec::new();
        collect("", &self.acl, &mut paths);
        paths
    }

    pub fn has_pool(&self, name: &str) -> bool {
        self.pools.contains_key(name)
    }

    /// The names of all pools.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        self.pools.keys().map(String::as_str)
    }

    /// The pool that a guest is in; it is in one at most.
    pub fn pool_of(&self, vmid: u32) -> Option<&str> {
        let vmid = vmid.to_string();
        self.pools.iter().find(|(_, pool)| pool.guests.contains(&vmid)).map(|(name, _)| name.as_str())
    }

    /// A pool that does not exist stays so (AccessControl.pm, `add_vm_to_pool`).
    pub fn add_to_pool(&mut self, vmid: u32, pool: &str) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.guests.insert(vmid.to_string());
        }
    }

    /// A destroyed guest leaves its pool, and takes its access lists with it (AccessControl.pm, `remove_vm_access`).
    pub fn forget_guest(&mut self, vmid: u32) {
        let vmid = vmid.to_string();
        if let Some(guests) = self.acl.children.get_mut("vms") {
            guests.children.remove(&vmid);
        }
        for pool in self.pools.values_mut() {
            pool.guests.remove(&vmid);
        }
    }

    fn token(&self, owner: &str, name: &str) -> Option<&Token> {
        self.users.get(owner)?.tokens.get(name)
    }

    /// The privileges of all roles that access lists give.
    fn granted(&self, subject: &str, path: &str) -> BTreeMap<&'static str, bool> {
        let mut privileges = BTreeMap::new();
        for (role, propagates) in self.held(subject, path) {
            for privilege in self.roles.get(role).into_iter().flatten() {
                *privileges.entry(*privilege).or_insert(false) |= propagates;
            }
        }
        privileges
    }

    /// The roles on a path, with those that its pools give (RPCEnvironment.pm, `compile_acl_path`).
    fn held<'a>(&'a self, subject: &str, path: &str) -> Held<'a> {
        let mut roles = self.roles_along(subject, path);
        if roles.contains_key(NO_ACCESS) {
            return roles;
        }
        let pools = self.pools.iter().filter(|(_, pool)| pool.contains(path));
        let from_pools: BTreeSet<&str> =
            pools.flat_map(|(pool, _)| self.roles_along(subject, &format!("/pool/{pool}")).into_keys()).collect();
        if from_pools.contains(NO_ACCESS) {
            return Held::from([(NO_ACCESS, false)]);
        }
        for role in from_pools {
            roles.entry(role).or_insert(false);
        }
        roles
    }

    /// The roles that access lists give on the way to a path: the nearest entry counts, an entry of one's own more than that of a
    /// group, and `NoAccess` more than any (AccessControl.pm, `roles`).
    fn roles_along<'a>(&'a self, subject: &str, path: &str) -> Held<'a> {
        let mut roles = Held::new();
        let mut node = &self.acl;
        let parts = names::path_parts(path);
        for (place, part) in parts.iter().enumerate() {
            if !part.is_empty() {
                let Some(child) = node.children.get(*part) else { break };
                node = child;
            }
            let here = self.roles_here(node, subject, place + 1 == parts.len());
            if !here.is_empty() {
                roles = here;
            }
        }
        if let Some(propagates) = roles.get(NO_ACCESS) {
            return Held::from([(NO_ACCESS, *propagates)]);
        }
        roles
    }

    /// At the end of the way roles count that do not propagate, too.
    fn roles_here<'a>(&'a self, node: &'a Node, subject: &str, is_end: bool) -> Held<'a> {
        let counting = |roles: &'a BTreeMap<String, bool>| {
            roles.iter().filter(move |(_, propagates)| is_end || **propagates).map(|(role, propagates)| (role.as_str(), *propagates))
        };
        for own in [node.tokens.get(subject), node.users.get(subject)].into_iter().flatten() {
            let roles: Held<'a> = counting(own).collect();
            if !roles.is_empty() {
                return roles;
            }
        }
        let is_member = |group: &str| self.groups.get(group).is_some_and(|group| group.members.contains(subject));
        node.groups.iter().filter(|(group, _)| is_member(group)).flat_map(|(_, roles)| counting(roles)).collect()
    }
}

impl Pool {
    fn contains(&self, path: &str) -> bool {
        path.strip_prefix("/vms/").is_some_and(|vmid| self.guests.contains(vmid))
            || path.strip_prefix("/storage/").is_some_and(|storage| self.storages.contains(storage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(lines: &str) -> Access {
        let users = "user:u@pve:1:\nuser:v@pve:1:\ngroup:g:u@pve,v@pve:\n";
        Access::from_text(&format!("{users}{lines}"), Version::V9_2)
    }

    #[test]
    fn a_role_on_a_path_goes_on_to_the_paths_below() {
        let access = access("acl:1:/vms:u@pve:PVEVMUser:\n");
        assert!(access.allows("u@pve", "/vms/101", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.Allocate"));
        assert!(!access.allows("v@pve", "/vms/101", "VM.PowerMgmt"));
    }

    #[test]
    fn a_role_that_does_not_propagate_stays_where_it_is() {
        let access = access("acl:0:/vms:u@pve:PVEVMUser:\n");
        assert!(!access.permissions("u@pve", "/vms")["VM.Audit"]);
        assert!(!access.allows("u@pve", "/vms/101", "VM.Audit"));
    }

    #[test]
    fn a_nearer_path_replaces_a_farther_one_and_no_access_takes_everything() {
        let access = access("acl:1:/:u@pve:PVEAdmin:\nacl:1:/vms/101:u@pve:PVEAuditor:\nacl:1:/vms/102:u@pve:NoAccess,PVEAdmin:\n");
        assert!(access.allows("u@pve", "/vms/100", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.PowerMgmt"));
        assert!(access.allows("u@pve", "/vms/101", "VM.Audit"));
        assert!(access.permissions("u@pve", "/vms/102").is_empty());
    }

    #[test]
    fn an_entry_of_ones_own_counts_more_than_that_of_a_group() {
        let access = access("acl:1:/vms/101:@g:PVEVMAdmin:\nacl:1:/vms/101:u@pve:PVEAuditor:\n");
        assert!(access.allows("v@pve", "/vms/101", "VM.Allocate"));
        assert!(!access.allows("u@pve", "/vms/101", "VM.Allocate"));
    }

    #[test]
    fn a_pool_gives_its_members_what_may_be_done_in_it_unless_the_member_itself_is_closed() {
        let access = access("pool:p::101,102:local:\nacl:1:/pool/p:u@pve:PVEVMUser:\nacl:1:/vms/102:u@pve:NoAccess:\n");
        assert!(!access.permissions("u@pve", "/vms/101")["VM.Audit"]);
        assert!(access.permissions("u@pve", "/vms/102").is_empty());
        assert!(!access.allows("u@pve", "/vms/103", "VM.Audit"));
        assert_eq!(access.pool_of(101), Some("p"));
    }

    #[test]
    fn a_token_may_what_its_user_may_or_what_both_may() {
        let tokens = "token:u@pve!full:0:0::\ntoken:u@pve!own:0:1::\ntoken:root@pam!own:0:1::\n";
        let lists = "acl:1:/vms:u@pve:PVEVMUser:\nacl:1:/vms:u@pve!own:PVEAuditor,PVEVMAdmin:\nacl:1:/vms/101:root@pam!own:PVEVMAdmin:\n";
        let access = access(&format!("{tokens}{lists}"));
        assert!(access.allows("u@pve!full", "/vms/101", "VM.PowerMgmt"));
        assert!(access.allows("u@pve!own", "/vms/101", "VM.PowerMgmt"));
        assert!(!access.allows("u@pve!own", "/vms/101", "VM.Allocate"));
        assert!(access.allows("root@pam!own", "/vms/101", "VM.Allocate"));
        assert!(!access.allows("root@pam!own", "/", "Sys.Audit"));
        assert!(!access.allows("u@pve!none", "/vms/101", "VM.Audit"));
    }

    #[test]
    fn root_may_everything_that_there_is() {
        assert!(access("").allows(ROOT, "/vms/1", "Permissions.Modify"));
        assert!(!access("").allows(ROOT, "/vms/1", "VM.Monitor"));
    }
}
