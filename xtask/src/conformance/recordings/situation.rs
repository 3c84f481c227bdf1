//! The state in which a recorded exchange makes sense.
//!
//! It begins with the world of `recordings.toml`. Then the request says which containers and tasks there are, the answer what they
//! are like ("CT 103 not running": it exists and is stopped; a list: each of its rows), and the text of a refusal who may not.
//! Recordings of the same family (`life-30-…-tasklog` beside `life-30-…-timeline`) say what one alone does not.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    super::{
        compare::Upid,
        scope::Endpoint,
        simulator::{SECRET, Who},
        world::World,
    },
    as_who,
    guest::Guest,
    recording::Recording,
};

const FILE: &str = include_str!("../recordings.toml");

/// `recordings.toml`.
pub struct Situations {
    world: World,
    file: Value,
}

/// A call that comes before the recorded one.
#[derive(Clone, Debug)]
pub struct Step {
    pub who: Who,
    pub method: String,
    pub path: String,
    pub parameters: Value,
}

pub struct Situation {
    world: World,
    guests: BTreeMap<u64, Guest>,
    /// Said not to exist.
    absent: BTreeSet<u64>,
    defaults: BTreeMap<String, String>,
    habit: Option<&'static str>,
    /// Has signed in and was disabled then.
    disabled: Option<String>,
    pub who: Who,
    pub before: Vec<Step>,
}

impl Situations {
    pub fn read() -> Result<Self> {
        let mut file: Value = toml::from_str(FILE).context("recordings.toml cannot be read")?;
        let mut world = World::of(file["world"].take());
        let access = world.access().to_owned();
        world.set_access(&access);
        for (user, password) in [("root@pam", "root-password"), ("admin@pve", "admin-password")] {
            // Sign-ins of theirs were recorded.
            let mut passwords = world.get("passwords").clone();
            passwords[user] = json!(password);
            world.set("passwords", passwords);
        }
        Ok(Self { world, file })
    }

    /// Why a recording is not replayed.
    pub fn left_out(&self, recording: &Recording) -> Option<String> {
        let fits = |entry: &&Value| {
            let about_name = entry["name"].as_str().is_none_or(|pattern| matches(pattern, &recording.name));
            about_name && entry["note"].as_str().is_none_or(|note| recording.note.contains(note) && recording.status >= 400)
        };
        let entry = self.file["left-out"].as_array().into_iter().flatten().find(fits)?;
        Some(entry["because"].as_str().unwrap_or("recordings.toml says so").to_owned())
    }

    /// What the file says about recordings of this name.
    pub fn about(&self, name: &str) -> impl Iterator<Item = &Value> {
        let entries = self.file["situation"].as_array().into_iter().flatten();
        entries.filter(move |entry| entry["name"].as_str().is_some_and(|pattern| matches(pattern, name)))
    }

    /// The parameters of a create of which only the outcome is known.
    pub fn create(&self) -> &Value {
        &self.file["create"]
    }
}

/// Where a star is any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    name.strip_prefix(start).is_some_and(|name| name.char_indices().any(|(index, _)| matches(rest, &name[index..])) || matches(rest, ""))
}

impl Situation {
    /// Of what `recordings.toml` says alone.
    pub fn named(situations: &Situations, name: &str, who: Who) -> Self {
        let container = situations.file["container"].as_object().into_iter().flatten();
        let defaults = container.filter_map(|(option, value)| Some((option.clone(), value.as_str()?.to_owned())));
        let mut situation = Self {
            world: situations.world.clone(),
            guests: BTreeMap::new(),
            absent: BTreeSet::new(),
            defaults: defaults.collect(),
            habit: None,
            disabled: None,
            who,
            before: Vec::new(),
        };
        for entry in situations.about(name) {
            if let Some(volume) = entry.get("volume") {
                situation.put_volume(volume);
            }
            if entry["habit"] == "ignores-shutdown" {
                situation.habit = Some("ignores-shutdown");
            }
        }
        situation
    }

    pub fn of(situations: &Situations, recording: &Recording, endpoint: &Endpoint, all: &[Recording]) -> Self {
        let who = recording.who.as_deref().map_or(Who::Nobody, as_who);
        let mut situation = Self::named(situations, &recording.name, who);
        situation.set_version(recording.version.as_deref());
        if let Some(now) = recording.at {
            situation.set_now(now);
        }
        situation.admit(recording);
        situation.take_request(recording, endpoint);
        situation.take_data(recording, endpoint, all);
        situation.take_words(recording, endpoint);
        situation
    }

    /// Of the server that was recorded, where it is not the one of our file.
    pub fn set_version(&mut self, version: Option<&str>) {
        if let Some(version) = version {
            self.world.set("version", json!(version));
        }
    }

    pub fn set_now(&mut self, now: i64) {
        self.world.set("now", json!(now));
    }

    /// The state for a sign-in before the rest happens.
    pub fn when_signing_in(&self) -> Value {
        let mut world = self.world.clone();
        for guest in self.guests.values().filter(|guest| !self.absent.contains(&guest.vmid)) {
            world.put_container(guest.vmid, guest.json());
        }
        world.json()
    }

    pub fn changes_after_sign_in(&self) -> bool {
        self.disabled.is_some()
    }

    pub fn json(&self) -> Value {
        let mut state = self.when_signing_in();
        if let Some(user) = &self.disabled {
            let access = state["access"].as_str().unwrap_or_default();
            state["access"] = json!(access.replace(&format!("user:{user}:1:"), &format!("user:{user}:0:")));
        }
        state
    }

    /// The container, as nothing is known of it yet where it is new.
    pub fn guest(&mut self, vmid: u64) -> &mut Guest {
        let node = self.world.first_node();
        let (defaults, habit) = (&self.defaults, self.habit);
        self.guests.entry(vmid).or_insert_with(|| {
            let mut guest = Guest::new(vmid, node);
            guest.habit = habit;
            for (option, value) in defaults {
                guest.set(option, &value.replace("{vmid}", &vmid.to_string()));
            }
            guest
        })
    }

    fn put_volume(&mut self, volume: &Value) {
        let storage = volume["volid"].as_str().and_then(|volid| volid.split(':').next()).unwrap_or_default().to_owned();
        let row = self.world.row("storages", "storage", &storage);
        if !row["volumes"].is_array() {
            row["volumes"] = json!([]);
        }
        let volumes = row["volumes"].as_array_mut().expect("it has just been made one");
        volumes.retain(|known| known["volid"] != volume["volid"]);
        volumes.push(volume.clone());
    }

    fn put_task(&mut self, upid: &str, exitstatus: Option<&str>, log: Value) {
        let mut task = json!({ "upid": upid });
        if let Some(exitstatus) = exitstatus {
            let started = Upid::parse(upid).map_or(0, |upid| upid.starttime);
            task["exitstatus"] = json!(exitstatus);
            task["endtime"] = json!(started + 2);
        }
        match log {
            Value::Array(_) => task["log"] = log,
            Value::Number(_) => task["log-lines"] = log,
            _ => {}
        }
        let tasks = self.world.rows("tasks");
        tasks.retain(|known| known["upid"] != upid);
        tasks.push(task);
    }

    fn grant(&mut self, line: &str) {
        let access = format!("{}\n{line}\n", self.world.access().trim_end());
        self.world.set("access", json!(access));
    }

    /// Whoever asks can sign in. Of those that are not in our file the answer tells whether they may.
    fn admit(&mut self, recording: &Recording) {
        let who = self.who.clone();
        let user = match &who {
            Who::Nobody => return,
            Who::User(name, _) | Who::Token(name) => name.split('!').next().unwrap_or_default().to_owned(),
        };
        let is_known = self.world.access().lines().any(|line| line.starts_with(&format!("user:{user}:")));
        self.admit_caller();
        if !is_known && recording.status != 403 {
            self.grant(&format!("acl:1:/:{user}:Administrator:"));
            if let Who::Token(token) = &who {
                self.grant(&format!("acl:1:/:{token}:Administrator:"));
            }
        }
    }

    pub fn password_of(&self, user: &str) -> Option<String> {
        self.world.get("passwords")[user].as_str().map(str::to_owned)
    }

    /// Makes sure that whoever asks is known, with the password that our file gives them.
    pub fn admit_caller(&mut self) {
        self.world.admit(&self.who);
        if let Who::User(name, _) = &self.who {
            self.who = Who::User(name.clone(), self.password_of(name));
        }
    }

    fn take_request(&mut self, recording: &Recording, endpoint: &Endpoint) {
        let works = recording.status == 200;
        if let Some(vmid) = endpoint.vmid.as_deref().and_then(|vmid| vmid.parse().ok()).filter(|vmid| *vmid >= 100) {
            let guest = self.guest(vmid);
            match endpoint.template.rsplit('/').next() {
                Some("stop" | "shutdown" | "reboot") => guest.is_running = works,
                Some("interfaces") => guest.is_running = recording.data().is_array(),
                _ => {}
            }
        }
        if let Some(upid) = endpoint.upid.clone().filter(|upid| Upid::parse(upid).is_some()) {
            self.put_task(&upid, None, Value::Null);
        }
        if endpoint.is("POST /access/ticket")
            && works
            && let (Some(user), Some(password)) = (recording.login(), recording.parameter("password"))
        {
            self.world.admit(&Who::User(user.clone(), None));
            if recording.renews().is_none() {
                let mut passwords = self.world.get("passwords").clone();
                passwords[&user] = json!(password);
                self.world.set("passwords", passwords);
            }
        }
        if recording.status == 596
            && let Some(vmid) = endpoint.vmid.clone()
        {
            // The read waits for a start that does not get on (slow-02).
            let node = self.world.first_node();
            self.guests.values_mut().for_each(|guest| guest.habit = Some("start-hangs"));
            self.step("POST", &format!("/nodes/{node}/lxc/{vmid}/status/start"), Value::Null);
        }
    }

    fn step(&mut self, method: &str, path: &str, parameters: Value) {
        let who = Who::User("root@pam".to_owned(), self.password_of("root@pam"));
        self.before.push(Step { who, method: method.to_owned(), path: path.to_owned(), parameters });
    }

    /// What the answer's data say about the state.
    fn take_data(&mut self, recording: &Recording, endpoint: &Endpoint, all: &[Recording]) {
        let data = recording.data();
        if recording.status != 200 || data.is_null() {
            return;
        }
        let rows = || data.as_array().cloned().unwrap_or_default();
        let vmid = endpoint.vmid.as_deref().and_then(|vmid| vmid.parse().ok()).unwrap_or_default();
        match endpoint.template {
            "/nodes/{node}/lxc/{vmid}/status/current" => self.guest(vmid).set_from_status(data),
            "/nodes/{node}/lxc/{vmid}/config" => self.guest(vmid).set_from_config(data),
            "/nodes/{node}/lxc/{vmid}/pending" => self.guest(vmid).set_from_pending(data),
            "/nodes/{node}/lxc/{vmid}/snapshot" => self.guest(vmid).set_from_snapshots(data),
            "/nodes/{node}/lxc" => rows().iter().for_each(|row| self.take_guest(row)),
            "/nodes/{node}/storage" => self.take_storages(recording, &rows()),
            "/nodes/{node}/storage/{storage}/content" => rows().iter().for_each(|volume| self.put_volume(volume)),
            "/nodes/{node}/network" => {
                let node = endpoint.node.clone().unwrap_or_default();
                self.world.row("nodes", "name", &node)["network"] = data.clone();
            }
            "/nodes" => rows().iter().for_each(|row| self.take_node(row)),
            "/nodes/{node}/tasks" | "/cluster/tasks" => {
                for row in rows() {
                    let running = matches!(row["status"].as_str(), None | Some("RUNNING"));
                    let exitstatus = row["status"].as_str().filter(|_| !running);
                    self.put_task(row["upid"].as_str().unwrap_or_default(), exitstatus, Value::Null);
                }
            }
            "/nodes/{node}/tasks/{upid}/status" => {
                self.put_task(endpoint.upid.as_deref().unwrap_or_default(), data["exitstatus"].as_str(), Value::Null);
            }
            "/nodes/{node}/tasks/{upid}/log" => self.take_log(recording, endpoint, all),
            "/cluster/resources" => self.take_resources(recording, &rows()),
            "/cluster/status" => self.take_cluster(&rows()),
            "/cluster/options" => {
                let mut options = data.clone();
                // It is worked out for whoever asks.
                options.as_object_mut().map(|options| options.remove("allowed-tags"));
                self.world.set("options", options);
            }
            "/access/domains" => {
                let mut realms = data.clone();
                for realm in realms.as_array_mut().into_iter().flatten().filter(|realm| realm.get("default").is_some()) {
                    realm["default"] = json!(realm["default"] == 1);
                }
                self.world.set("realms", realms);
            }
            "/nodes/{node}/lxc/{vmid}/rrddata" => self.guest(vmid).set_from_samples(&rows()),
            // Every path for which there is a rule is listed, so there were no others.
            "/access/permissions" if recording.parameter("path").is_none() => self.keep_rules_on(data),
            _ => {}
        }
    }

    fn keep_rules_on(&mut self, paths: &Value) {
        let is_listed =
            |line: &&str| line.strip_prefix("acl:").and_then(|rest| rest.split(':').nth(1)).is_none_or(|path| paths.get(path).is_some());
        let lines: Vec<&str> = self.world.access().lines().filter(is_listed).collect();
        let access = lines.join("\n");
        self.world.set("access", json!(access));
    }

    fn take_guest(&mut self, row: &Value) {
        if let Some(vmid) = row["vmid"].as_u64() {
            self.guest(vmid).set_from_status(row);
        }
    }

    fn take_node(&mut self, row: &Value) {
        let Some(name) = row["node"].as_str() else { return };
        let node = self.world.row("nodes", "name", name);
        node["online"] = json!(row["status"] != "offline");
        for (ours, theirs) in [("cpus", "maxcpu"), ("memory", "maxmem"), ("disk", "maxdisk"), ("uptime", "uptime")] {
            if row[theirs].is_number() {
                node[ours] = row[theirs].clone();
            }
        }
    }

    /// From `GET /nodes/{node}/storage`, or from rows of `/cluster/resources` in the same words.
    fn take_storage(&mut self, row: &Value) {
        let Some(name) = row["storage"].as_str() else { return };
        let storage = self.world.row("storages", "storage", name);
        for key in ["type", "content", "total", "used"] {
            if row.get(key).is_some_and(|value| !value.is_null() && *value != 0) {
                storage[key] = row[key].clone();
            }
        }
        storage["shared"] = json!(row["shared"] == 1);
        storage["disabled"] = json!(row["enabled"] == 0);
    }

    fn take_storages(&mut self, recording: &Recording, rows: &[Value]) {
        rows.iter().for_each(|row| self.take_storage(row));
        let is_whole = recording.parameters.as_object().is_none_or(serde_json::Map::is_empty);
        self.drop_other_storages(is_whole, rows);
    }

    /// A list that is not empty and leaves nothing away has every storage that there is.
    fn drop_other_storages(&mut self, is_whole: bool, rows: &[Value]) {
        if is_whole && rows.iter().any(|row| row["storage"].is_string()) {
            self.world.rows("storages").retain(|known| rows.iter().any(|row| row["storage"] == known["storage"]));
        }
    }

    fn take_resources(&mut self, recording: &Recording, rows: &[Value]) {
        for row in rows {
            match row["type"].as_str() {
                Some("lxc") => {
                    self.take_guest(row);
                    if let (Some(pool), Some(vmid)) = (row["pool"].as_str(), row["vmid"].as_u64()) {
                        self.add_to_pool(pool, vmid);
                    }
                }
                Some("qemu") => {
                    let machine = json!({ "vmid": row["vmid"], "name": row["name"], "node": row["node"] });
                    self.world.rows("machines").push(machine);
                }
                Some("node") => self.take_node(row),
                Some("storage") => {
                    let mut storage = json!({ "storage": row["storage"], "type": row["plugintype"], "content": row["content"] });
                    for (ours, theirs) in [("total", "maxdisk"), ("used", "disk"), ("shared", "shared")] {
                        storage[ours] = row[theirs].clone();
                    }
                    self.take_storage(&storage);
                }
                Some("pool") => {
                    let pool = row["pool"].as_str().unwrap_or_default();
                    if !self.world.access().lines().any(|line| line.starts_with(&format!("pool:{pool}:"))) {
                        self.grant(&format!("pool:{pool}:::"));
                    }
                }
                _ => {}
            }
        }
        self.drop_other_storages(recording.parameter("type").is_none_or(|kind| kind == "storage"), rows);
    }

    fn add_to_pool(&mut self, pool: &str, vmid: u64) {
        let start = format!("pool:{pool}:");
        let members = |line: &str| line.split(':').nth(3).unwrap_or_default().to_owned();
        let known = self.world.access().lines().find(|line| line.starts_with(&start)).map(members).unwrap_or_default();
        let members = if known.is_empty() { vmid.to_string() } else { format!("{known},{vmid}") };
        let others: Vec<&str> = self.world.access().lines().filter(|line| !line.starts_with(&start)).collect();
        let access = format!("{}\n{start}:{members}::\n", others.join("\n"));
        self.world.set("access", json!(access));
    }

    fn take_cluster(&mut self, rows: &[Value]) {
        for row in rows {
            match row["type"].as_str() {
                Some("cluster") => self.world.set("cluster", row["name"].clone()),
                Some("node") => {
                    let name = row["name"].as_str().unwrap_or_default();
                    self.world.row("nodes", "name", name)["online"] = json!(row["online"] != 0);
                }
                _ => {}
            }
        }
    }

    /// The lines themselves where all of them are there, else so many of any kind. How the task ended is in the last line, or in
    /// the status beside the log.
    fn take_log(&mut self, recording: &Recording, endpoint: &Endpoint, all: &[Recording]) {
        let upid = endpoint.upid.as_deref().unwrap_or_default();
        let Some(rows) = recording.data().as_array() else {
            // An object says that there is no such file (basic-46).
            self.world.rows("tasks").retain(|task| task["upid"] != upid);
            return;
        };
        let lines: Vec<&str> = rows.iter().filter_map(|row| row["t"].as_str()).collect();
        let total = recording.json["total"].as_u64().unwrap_or(lines.len() as u64);
        let is_whole = rows.first().is_none_or(|row| row["n"] == 1) && total == lines.len() as u64;
        let status = recording.name.strip_suffix("-tasklog").map(|family| format!("{family}-taskstatus"));
        let status = all.iter().find(|other| Some(&other.name) == status.as_ref());
        let of_status = status.and_then(|status| status.data()["exitstatus"].as_str()).map(str::to_owned);
        let exitstatus = of_status.or_else(|| if is_whole { ended_as(lines.last()?) } else { Some("OK".to_owned()) });
        self.put_task(upid, exitstatus.as_deref(), if is_whole { json!(lines) } else { json!(total) });
    }

    /// What the text of a refusal says about the state.
    fn take_words(&mut self, recording: &Recording, endpoint: &Endpoint) {
        let errors = recording.json["errors"].as_object().into_iter().flatten().filter_map(|(_, text)| text.as_str());
        let texts: Vec<&str> = std::iter::once(recording.words()).chain(errors).collect();
        for text in texts {
            self.take_text(text.trim_end(), recording, endpoint);
        }
    }

    fn take_text(&mut self, text: &str, recording: &Recording, endpoint: &Endpoint) {
        let number = |start: &str, end: &str| between(text, start, end).and_then(|number| number.parse::<u64>().ok());
        if let Some(vmid) = number("CT ", " already running") {
            self.guest(vmid).is_running = true;
        } else if let Some(vmid) = number("CT ", " not running").or_else(|| number("VM ", " not running")) {
            self.guest(vmid).is_running = false;
        } else if let Some(vmid) = number("unable to destroy CT ", " - container is running") {
            self.guest(vmid).is_running = true;
        } else if let Some(vmid) = number("can't remove CT ", " - protection mode enabled") {
            self.guest(vmid).set("protection", "1");
        } else if let Some(vmid) = number("CT ", " already exists").or_else(|| number("VM ", " already exists")) {
            self.guest(vmid);
        } else if let Some(vmid) = number("/lxc/", ".conf' does not exist") {
            self.absent.insert(vmid);
        } else if let Some(lock) = between(text, "CT is locked (", ")") {
            if let Some(vmid) = endpoint.vmid.as_deref().and_then(|vmid| vmid.parse().ok()) {
                self.guest(vmid).set("lock", lock);
            }
        } else if let Some(vmid) = number("/run/lock/lxc/pve-config-", ".lock' - got timeout") {
            // A shutdown holds it for as long as it waits.
            let node = self.world.first_node();
            let guest = self.guest(vmid);
            guest.is_running = true;
            guest.habit = Some("ignores-shutdown");
            self.step("POST", &format!("/nodes/{node}/lxc/{vmid}/status/shutdown"), json!({ "timeout": 60 }));
        } else if let Some(storage) = between(text, "storage '", "' is disabled") {
            self.world.row("storages", "storage", storage)["disabled"] = json!(true);
        } else if let Some(storage) = between(text, "storage '", "' does not exist") {
            self.world.rows("storages").retain(|row| row["storage"] != storage);
        } else if text == "no such task" {
            self.world.rows("tasks").retain(|task| Some(task["upid"].as_str().unwrap_or_default()) != endpoint.upid.as_deref());
        } else if let Some(user) = between(text, "user '", "' is disabled") {
            self.disabled = Some(user.to_owned());
        } else if let Some(token) = between(text, "token '", "' access expired") {
            let user = recording.who.as_deref().map(as_who);
            if let Some(Who::Token(name)) = user {
                self.set_token(&name, &format!("token:{name}:1:0::"));
            } else {
                self.set_token(token, "");
            }
        } else if let (Some(token), Some(user)) = (between(text, "no such token '", "'"), between(text, "for user '", "'")) {
            self.set_token(&format!("{user}!{token}"), "");
        }
    }

    /// Replaces a token's line, or takes it away.
    fn set_token(&mut self, name: &str, line: &str) {
        let start = format!("token:{name}:");
        let others: Vec<&str> = self.world.access().lines().filter(|known| !known.starts_with(&start)).collect();
        let access = format!("{}\n{line}\n", others.join("\n"));
        self.world.set("access", json!(access));
        let mut tokens = self.world.get("tokens").clone();
        if let Some(tokens) = tokens.as_object_mut() {
            tokens.remove(name);
            if !line.is_empty() {
                tokens.insert(name.to_owned(), json!(SECRET));
            }
        }
        self.world.set("tokens", tokens);
    }
}

/// `exitstatus` from the last line of a log; none while the task runs.
fn ended_as(line: &str) -> Option<String> {
    let end = line.strip_prefix("TASK ")?;
    Some(end.strip_prefix("ERROR: ").unwrap_or(end).to_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        assert!(matches("*not-reacting*", "life-30-shutdown-timeout-not-reacting-timeline"));
        assert!(matches("conc-0*", "conc-01-x") && !matches("conc-0*", "conc-10-x"));
        assert!(matches("a*c", "abc") && !matches("a*c", "abd") && matches("a*", "a"));
    }

    #[test]
    fn the_last_line_tells_how_a_task_ended() {
        assert_eq!(ended_as("TASK OK").as_deref(), Some("OK"));
        assert_eq!(ended_as("TASK ERROR: CT is locked (backup)").as_deref(), Some("CT is locked (backup)"));
        assert_eq!(ended_as("TASK WARNINGS: 1"), Some("WARNINGS: 1".to_owned()));
        assert_eq!(ended_as("extracting archive"), None);
    }

    #[test]
    fn the_file_of_situations_can_be_read() {
        let situations = Situations::read().unwrap();
        assert_eq!(situations.about("create-61-corrupt-template").count(), 1);
    }
}
