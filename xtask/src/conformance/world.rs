//! The worlds around the cases: `vectors.toml` and `recordings.toml` describe in our words what the data take for granted (nodes,
//! storages, bridges, templates, users), and a case adds to it what it says itself. The form is that of the simulator's state file.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulator::{PASSWORD, SECRET, Who};

/// A state under construction.
#[derive(Clone, Debug)]
pub struct World {
    /// All but containers.
    state: Value,
    containers: BTreeMap<u64, Value>,
}

impl World {
    pub fn read(toml: &str) -> Result<Self> {
        Ok(Self::of(toml::from_str(toml).context("a world of ours cannot be read")?))
    }

    pub fn of(mut state: Value) -> Self {
        let containers = state.as_object_mut().and_then(|state| state.remove("containers")).unwrap_or_default();
        let containers = containers.as_array().into_iter().flatten();
        let containers = containers.filter_map(|container| Some((container["vmid"].as_u64()?, container.clone()))).collect();
        Self { state, containers }
    }

    /// Takes over the text of a `user.cfg`: everybody in it can sign in with the same password, every token has the same secret.
    pub fn set_access(&mut self, text: &str) {
        self.state["access"] = json!(text);
        let secrets = |kind: &str, secret: &str| {
            let names = text.lines().filter_map(|line| line.strip_prefix(kind)?.split(':').next());
            names.map(|name| (name.to_owned(), json!(secret))).collect::<Map<_, _>>()
        };
        self.state["passwords"] = Value::Object(secrets("user:", PASSWORD));
        self.state["tokens"] = Value::Object(secrets("token:", SECRET));
    }

    pub fn access(&self) -> &str {
        self.state["access"].as_str().unwrap_or_default()
    }

    /// Somebody of whom the users' file does not know has no rights, and needs an entry to be that.
    pub fn admit(&mut self, who: &Who) {
        let (line, name) = match who {
            Who::Nobody => return,
            Who::User(name, _) => (format!("user:{name}:"), name),
            Who::Token(name) => (format!("token:{name}:"), name),
        };
        if self.access().lines().any(|known| known.starts_with(&line)) {
            return;
        }
        let user = name.split('!').next().unwrap_or(name);
        let mut text = self.access().to_owned();
        if !text.lines().any(|known| known.starts_with(&format!("user:{user}:"))) {
            text = format!("user:{user}:1:0:::::\n{text}");
        }
        if matches!(who, Who::Token(_)) {
            text.push_str(&format!("\n{line}0:1::\n"));
        }
        let (passwords, tokens) = (self.state["passwords"].take(), self.state["tokens"].take());
        self.set_access(&text);
        // Those that had a secret of their own keep it.
        for (place, kept) in [("passwords", passwords), ("tokens", tokens)] {
            for (name, secret) in kept.as_object().into_iter().flatten() {
                self.state[place][name] = secret.clone();
            }
        }
    }

    pub fn set(&mut self, name: &str, value: Value) {
        self.state[name] = value;
    }

    pub fn get(&self, name: &str) -> &Value {
        &self.state[name]
    }

    /// The rows of a list of the state.
    pub fn rows(&mut self, name: &str) -> &mut Vec<Value> {
        let place = &mut self.state[name];
        if !place.is_array() {
            *place = json!([]);
        }
        place.as_array_mut().expect("it has just been made one")
    }

    /// The row of a list that has this under this name, made where it is missing.
    pub fn row(&mut self, list: &str, name: &str, value: &str) -> &mut Value {
        let rows = self.rows(list);
        let index = rows.iter().position(|row| row[name] == value).unwrap_or_else(|| {
            rows.push(json!({ name: value }));
            rows.len() - 1
        });
        &mut rows[index]
    }

    pub fn first_node(&self) -> String {
        self.state["nodes"][0]["name"].as_str().unwrap_or("pve1").to_owned()
    }

    pub fn remove_containers(&mut self) {
        self.containers.clear();
    }

    pub fn put_container(&mut self, vmid: u64, container: Value) {
        self.containers.insert(vmid, container);
    }

    /// The whole state, with a volume for everything that a configuration names.
    pub fn json(&self) -> Value {
        let mut world = self.clone();
        for container in self.containers.values() {
            world.add_volumes(container);
        }
        let mut state = world.state;
        state["containers"] = self.containers.values().cloned().collect();
        state
    }

    fn add_volumes(&mut self, container: &Value) {
        let vmid = container["vmid"].clone();
        let text = container["config"].as_str().unwrap_or_default();
        for (volid, size) in text.lines().filter_map(volume) {
            let Some((storage, name)) = volid.split_once(':') else { continue };
            let Some(storage) = self.rows("storages").iter_mut().find(|row| row["storage"] == storage) else { continue };
            let format = if name.ends_with(".subvol") { "subvol" } else { "raw" };
            let volume = json!({ "volid": volid, "size": size, "format": format, "content": "rootdir", "vmid": vmid });
            if !storage["volumes"].is_array() {
                storage["volumes"] = json!([]);
            }
            let volumes = storage["volumes"].as_array_mut().expect("it has just been made one");
            if !volumes.iter().any(|known| known["volid"] == volid) {
                volumes.push(volume);
            }
        }
    }
}

/// The volume id and the bytes that a line of a configuration names.
fn volume(line: &str) -> Option<(&str, u64)> {
    let (key, value) = line.split_once(": ")?;
    let is_disk =
        key == "rootfs" || ["mp", "unused"].iter().any(|name| key.strip_prefix(name).is_some_and(|rest| rest.parse::<u8>().is_ok()));
    let mut parts = value.split(',');
    let first = parts.next().filter(|_| is_disk)?;
    let volid = first.strip_prefix("volume=").unwrap_or(first);
    if volid.starts_with('/') || !volid.contains(':') {
        return None;
    }
    let size = parts.find_map(|part| part.strip_prefix("size="));
    Some((volid, size.and_then(bytes).unwrap_or(4 << 30)))
}

/// `8G`, `512M`.
fn bytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match &size[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    Some((digits.parse::<f64>().ok()? * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worlds_can_be_read() {
        assert_eq!(World::read(include_str!("vectors.toml")).unwrap().first_node(), "pve1");
    }

    #[test]
    fn every_volume_of_a_configuration_lies_on_its_storage() {
        let mut world = World::read("[[storages]]\nstorage = \"lvm\"").unwrap();
        let config = "rootfs: lvm:vm-100-disk-0,size=8G\nmp0: /srv,mp=/x\nmp1: volume=lvm:vm-100-disk-1,mp=/y,size=1.5G\nmpx: lvm:no\n";
        world.put_container(100, json!({ "vmid": 100, "config": config }));
        let volumes = &world.json()["storages"][0]["volumes"];
        let found = volumes.as_array().unwrap().iter().map(|volume| (volume["volid"].as_str().unwrap(), volume["size"].as_u64().unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), [("lvm:vm-100-disk-0", 8 << 30), ("lvm:vm-100-disk-1", 3 << 29)]);
    }

    #[test]
    fn a_stranger_gets_an_entry_without_rights() {
        let mut world = World::read("").unwrap();
        world.set_access("user:root@pam:1:0:::::\n");
        world.admit(&Who::named("new@pve!t"));
        let state = world.json();
        assert!(
            state["access"].as_str().unwrap().contains("user:new@pve:1:")
                && state["access"].as_str().unwrap().contains("token:new@pve!t:0:1:")
        );
        assert_eq!((&state["passwords"]["new@pve"], &state["tokens"]["new@pve!t"]), (&json!(PASSWORD), &json!(SECRET)));
    }
}
