//! `user.cfg`: a line for each user, token, group, pool, role and entry of an access list (AccessControl.pm, `parse_user_config`
//! and `write_user_config`). A line that makes no sense is left out, as Proxmox does with a warning.

use super::{
    Access, Group, Members, Node, Pool, ROOT, Token, User,
    names::{self, decode, encode, is_true, list, split_token},
    roles,
};
use crate::simulator::version::Version;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

/// The fields of a line after its first; a missing one is empty.
struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    fn get(&self, place: usize) -> &'a str {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Zero where there is none; nothing where it is no number.
    fn time(&self, place: usize) -> Option<i64> {
        match self.get(place) {
            text if !is_true(text) => Some(0),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.parse().unwrap_or(i64::MAX)),
            _ => None,
        }
    }
}

impl Access {
    /// Reads `user.cfg`. What it does not say (passwords, secrets) is empty, and the realms are the built-in ones.
    pub fn from_text(text: &str, version: Version) -> Self {
        let mut access = Self {
            version,
            users: BTreeMap::from([(ROOT.to_owned(), User { is_enabled: true, ..User::default() })]),
            groups: BTreeMap::new(),
            pools: BTreeMap::new(),
            roles: roles::built_in(version),
            acl: Node::default(),
            realms: Vec::new(),
            passwords: BTreeMap::new(),
            token_secrets: BTreeMap::new(),
            second_factors: BTreeMap::new(),
            ticket_lifetimes: BTreeMap::new(),
        };
        access.set_realms(Vec::new());
        for line in text.lines() {
            let mut fields = line.split(':').map(str::trim);
            let kind = fields.next().unwrap_or_default();
            let fields = Fields(fields.collect());
            match kind {
                "user" => access.read_user(&fields),
                "token" => access.read_token(&fields),
                "group" => access.read_group(&fields),
                "pool" => access.read_pool(&fields),
                "role" => access.read_role(&fields),
                "acl" => access.read_acl(&fields),
                _ => {}
            }
        }
        access
    }

    fn read_user(&mut self, fields: &Fields<'_>) {
        let (id, expires) = (fields.get(0), fields.time(2));
        if let (Ok(_), Some(expires)) = (names::user_id(id), expires) {
            let user = User {
                is_enabled: is_true(fields.get(1)),
                expires,
                first_name: decode(fields.get(3)),
                last_name: decode(fields.get(4)),
                email: fields.get(5).to_owned(),
                comment: decode(fields.get(6)),
                keys: fields.get(7).to_owned(),
                tokens: BTreeMap::new(),
            };
            self.users.insert(id.to_owned(), user);
        }
    }

    fn read_token(&mut self, fields: &Fields<'_>) {
        let Some((owner, name)) = split_token(fields.get(0)) else { return };
        if let (Some(expires), Some(user)) = (fields.time(1), self.users.get_mut(owner)) {
            let token = Token { expires, is_separated: is_true(fields.get(2)), comment: decode(fields.get(3)) };
            user.tokens.insert(name.to_owned(), token);
        }
    }

    /// A member need not exist.
    fn read_group(&mut self, fields: &Fields<'_>) {
        let name = fields.get(0);
        if names::is_name(name) {
            let group: &mut Group = self.groups.entry(name.to_owned()).or_default();
            let comment = decode(fields.get(2));
            if is_true(&comment) {
                group.comment = comment;
            }
            group.members.extend(list(fields.get(1)).filter(|member| names::user_id(member).is_ok()).map(str::to_owned));
        }
    }

    fn read_pool(&mut self, fields: &Fields<'_>) {
        let name = fields.get(0);
        let levels = if self.version < Version::V8_4 { 1 } else { 3 };
        if !names::is_pool(name, levels) {
            return;
        }
        // The pools that it is in are there by that.
        for (end, _) in name.match_indices('/') {
            self.pools.entry(name[..end].to_owned()).or_default();
        }
        let elsewhere: BTreeSet<String> = self.pools.values().flat_map(|pool| &pool.guests).cloned().collect();
        let pool: &mut Pool = self.pools.entry(name.to_owned()).or_default();
        let comment = decode(fields.get(1));
        if is_true(&comment) {
            pool.comment = comment;
        }
        for vmid in list(fields.get(2)).filter(|vmid| vmid.bytes().all(|byte| byte.is_ascii_digit())) {
            let vmid = vmid.trim_start_matches('0');
            if !vmid.is_empty() && !elsewhere.contains(vmid) {
                pool.guests.insert(vmid.to_owned());
            }
        }
        pool.storages.extend(list(fields.get(3)).filter(|storage| names::is_storage(storage)).map(str::to_owned));
    }

    fn read_role(&mut self, fields: &Fields<'_>) {
        let name = fields.get(0);
        if names::is_name(name) {
            let known = self.roles["Administrator"].clone();
            let privileges = list(fields.get(1)).filter_map(|privilege| known.get(privilege).copied());
            self.roles.entry(name.to_owned()).or_default().extend(privileges);
        }
    }

    /// Users and groups need not exist, roles and tokens must.
    fn read_acl(&mut self, fields: &Fields<'_>) {
        let Some(path) = names::normalize_path(fields.get(1)) else { return };
        let propagates = is_true(fields.get(0));
        for role in list(fields.get(3)).filter(|role| self.roles.contains_key(*role)) {
            for subject in list(fields.get(2)) {
                let (members, id): (fn(&mut Node) -> &mut Members, _) = if let Some(group) = subject.strip_prefix('@') {
                    if !names::is_name(group) {
                        continue;
                    }
                    (|node| &mut node.groups, group)
                } else if names::user_id(subject).is_ok() {
                    (|node| &mut node.users, subject)
                } else if split_token(subject)
                    .is_some_and(|(owner, name)| self.users.get(owner).is_some_and(|u| u.tokens.contains_key(name)))
                {
                    (|node| &mut node.tokens, subject)
                } else {
                    continue;
                };
                let parts = path.split('/').filter(|part| is_true(part));
                let node = parts.fold(&mut self.acl, |node, part| node.children.entry(part.to_owned()).or_default());
                members(node).entry(id.to_owned()).or_default().insert(role.to_owned(), propagates);
            }
        }
    }

    /// `user.cfg` as Proxmox writes it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        for (id, user) in &self.users {
            let User { is_enabled, expires, first_name, last_name, email, comment, keys, tokens } = user;
            let [first_name, last_name, comment] = [first_name, last_name, comment].map(|field| encode(field));
            let enabled = u8::from(*is_enabled);
            writeln!(text, "user:{id}:{enabled}:{expires}:{first_name}:{last_name}:{email}:{comment}:{keys}:")?;
            for (name, Token { expires, is_separated, comment }) in tokens {
                writeln!(text, "token:{id}!{name}:{expires}:{}:{}:", u8::from(*is_separated), encode(comment))?;
            }
        }
        text.push('\n');
        for (name, group) in &self.groups {
            writeln!(text, "group:{name}:{}:{}:", joined(&group.members), encode(&group.comment))?;
        }
        text.push('\n');
        for (name, pool) in &self.pools {
            writeln!(text, "pool:{name}:{}:{}:{}:", encode(&pool.comment), joined(&pool.guests), joined(&pool.storages))?;
        }
        text.push('\n');
        let built_in = roles::built_in(self.version);
        for (name, privileges) in self.roles.iter().filter(|(name, _)| !built_in.contains_key(*name)) {
            writeln!(text, "role:{name}:{}:", joined(privileges))?;
        }
        text.push('\n');
        write_acl(text, "", &self.acl)
    }
}

/// One line for all who have the same roles. Those of root are not worth a line.
fn write_acl(text: &mut String, path: &str, node: &Node) -> fmt::Result {
    for propagates in [false, true] {
        let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (prefix, members) in [("@", &node.groups), ("", &node.users), ("", &node.tokens)] {
            for (id, roles) in members.iter().filter(|(id, _)| *id != ROOT) {
                let roles = joined(roles.iter().filter(|(_, flag)| **flag == propagates).map(|(role, _)| role));
                if !roles.is_empty() {
                    lines.entry(roles).or_default().insert(format!("{prefix}{id}"));
                }
            }
        }
        for (roles, members) in lines {
            let path = if path.is_empty() { "/" } else { path };
            writeln!(text, "acl:{}:{path}:{}:{roles}:", u8::from(propagates), joined(&members))?;
        }
    }
    for (part, child) in &node.children {
        write_acl(text, &format!("{path}/{part}"), child)?;
    }
    Ok(())
}

fn joined(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(item.as_ref());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_as_the_same() {
        let text = "user:a@pve:1:0:Ann:Lee:a@x.y:on%3A call:x:\ntoken:a@pve!tok:7:1:for scripts:\nuser:root@pam:1:0::::::\n\n\
                    group:ops:a@pve:staff:\n\npool:p:a pool:101,9:local:\npool:p/q::::\n\nrole:Look:VM.Audit:\n\n\
                    acl:0:/:@ops,a@pve:Look,PVEAuditor:\nacl:1:/vms/100:a@pve!tok:Look:\n";
        assert_eq!(Access::from_text(text, Version::V9_2).to_text(), text);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_left_out() {
        let text =
            "user:a:1:\nuser:b@pve:1:soon:\ntoken:b@pve!tok:0:0::\nacl:1:/vms:b@pve:Nosuch:\nacl:1:/v%:b@pve:PVEAdmin:\nrole:R:VM.Fly:\n";
        let access = Access::from_text(text, Version::V9_2);
        assert_eq!(access.users.keys().collect::<Vec<_>>(), ["root@pam"]);
        assert_eq!(access.paths(), ["/"]);
        assert!(access.roles["R"].is_empty());
    }
}
