//! A container of a situation, on its way to the text of a configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::simulator::scalar;

#[derive(Clone, Debug, Default)]
pub struct Guest {
    pub vmid: u64,
    pub node: String,
    pub options: BTreeMap<String, String>,
    pub description: Option<String>,
    /// `lxc.*` lines, in their order.
    raw: Vec<(String, String)>,
    pending: BTreeMap<String, String>,
    /// Options that go with the next stop.
    pending_delete: Vec<String>,
    /// Name, what the section says beside the options, description.
    snapshots: Vec<(String, BTreeMap<String, String>, String)>,
    pub is_running: bool,
    pub habit: Option<&'static str>,
    ha: Option<String>,
    uptime: Option<Value>,
}

impl Guest {
    pub fn new(vmid: u64, node: String) -> Self {
        Self { vmid, node, ..Self::default() }
    }

    pub fn set(&mut self, option: &str, value: &str) {
        self.options.insert(option.to_owned(), value.to_owned());
    }

    pub fn set_net0_bridge(&mut self, bridge: &str) {
        self.set("net0", &format!("name=eth0,bridge={bridge},hwaddr=BC:24:11:00:00:01,type=veth"));
    }

    /// From a row of a list, of `status/current` or of `/cluster/resources`.
    pub fn set_from_status(&mut self, row: &Value) {
        self.is_running = row["status"] == "running";
        self.uptime = Some(row["uptime"].clone()).filter(Value::is_number);
        let name = row["name"].as_str().filter(|name| *name != format!("CT{}", self.vmid));
        // In the first moments there is nothing but the lock.
        if row["lock"] == "create" && !self.is_running && name.is_none() {
            self.options = BTreeMap::from([("lock".to_owned(), "create".to_owned())]);
            return;
        }
        if let Some(name) = name {
            self.set("hostname", name);
        }
        if let Some(node) = row["node"].as_str() {
            node.clone_into(&mut self.node);
        }
        let mebibytes = |name: &str| row[name].as_u64().map(|bytes| (bytes >> 20).to_string());
        let number = |name: &str| row[name].as_u64().map(|number| number.to_string());
        let disk = row["maxdisk"].as_u64().filter(|bytes| *bytes > 0).map(|bytes| self.root_of_size(bytes));
        let found = [
            ("cores", number("cpus").or_else(|| number("maxcpu"))),
            ("memory", mebibytes("maxmem")),
            ("swap", mebibytes("maxswap")),
            ("rootfs", disk),
            ("tags", row["tags"].as_str().map(str::to_owned)),
            ("lock", row["lock"].as_str().map(str::to_owned)),
            ("template", (row["template"] == 1).then(|| "1".to_owned())),
        ];
        for (option, value) in found {
            if let Some(value) = value {
                self.set(option, &value);
            }
        }
        if row["ha"]["managed"] == 1 || row["hastate"].is_string() {
            let state = row["ha"]["state"].as_str().or_else(|| row["hastate"].as_str());
            self.ha = Some(state.unwrap_or("started").to_owned());
        }
    }

    fn root_of_size(&self, bytes: u64) -> String {
        let root = self.options.get("rootfs").map_or("", String::as_str);
        let volume = root.split(',').next().unwrap_or_default();
        let size = if bytes.is_multiple_of(1 << 30) { format!("{}G", bytes >> 30) } else { format!("{}M", bytes >> 20) };
        format!("{volume},size={size}")
    }

    /// From the answer to `GET …/config`; nothing else is in it then.
    pub fn set_from_config(&mut self, data: &Value) {
        self.options.clear();
        for (option, value) in data.as_object().into_iter().flatten() {
            match (option.as_str(), scalar(value)) {
                ("digest", _) | (_, None) => {}
                ("description", Some(text)) => self.description = Some(text),
                (option, Some(text)) => self.set(option, &text),
            }
        }
        for line in data["lxc"].as_array().into_iter().flatten() {
            if let (Some(key), Some(value)) = (line[0].as_str(), line[1].as_str()) {
                self.raw.push((key.to_owned(), value.to_owned()));
            }
        }
    }

    /// From the answer to `GET …/pending`.
    pub fn set_from_pending(&mut self, data: &Value) {
        let rows = data.as_array().into_iter().flatten();
        let current = rows.clone().filter(|row| row.get("value").is_some());
        self.set_from_config(&current.filter_map(|row| Some((row["key"].as_str()?.to_owned(), row["value"].clone()))).collect());
        for row in rows {
            let Some(key) = row["key"].as_str() else { continue };
            if let Some(value) = scalar(&row["pending"]) {
                self.pending.insert(key.to_owned(), value);
            }
            if row["delete"].as_u64().is_some_and(|delete| delete > 0) {
                self.pending_delete.push(key.to_owned());
            }
        }
    }

    /// From the answer to `GET …/rrddata`: what is stopped has no samples of its processor.
    pub fn set_from_samples(&mut self, rows: &[Value]) {
        let times: Vec<i64> = rows.iter().filter(|row| row.get("cpu").is_some()).filter_map(|row| row["time"].as_i64()).collect();
        if let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) {
            self.is_running = true;
            self.uptime = Some(json!(last - first + 600));
        }
    }

    /// From the answer to `GET …/snapshot`.
    pub fn set_from_snapshots(&mut self, data: &Value) {
        for row in data.as_array().into_iter().flatten() {
            let Some(name) = row["name"].as_str() else { continue };
            if name == "current" {
                self.is_running = row["running"] == 1;
                if let Some(parent) = row["parent"].as_str() {
                    self.set("parent", parent);
                }
                continue;
            }
            let beside = ["parent", "snaptime", "snapstate"].iter().filter_map(|key| Some(((*key).to_owned(), scalar(&row[*key])?)));
            let description = row["description"].as_str().unwrap_or_default().to_owned();
            self.snapshots.push((name.to_owned(), beside.collect(), description));
        }
    }

    pub fn json(&self) -> Value {
        let mut container = json!({ "vmid": self.vmid, "node": self.node, "config": self.text(), "running": self.is_running });
        let more = [
            ("habit", self.habit.map(Value::from)),
            ("ha", self.ha.clone().map(Value::from)),
            ("uptime", self.uptime.clone().filter(|_| self.is_running)),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                container[name] = value;
            }
        }
        container
    }

    fn text(&self) -> String {
        let mut text = section(self.description.as_deref(), &self.options);
        self.raw.iter().for_each(|(key, value)| text.push_str(&format!("{key}: {value}\n")));
        if !self.pending.is_empty() || !self.pending_delete.is_empty() {
            text.push_str("\n[pve:pending]\n");
            if !self.pending_delete.is_empty() {
                text.push_str(&format!("delete: {}\n", self.pending_delete.join(",")));
            }
            text.push_str(&section(None, &self.pending));
        }
        for (name, beside, description) in &self.snapshots {
            let mut options = self.options.clone();
            options.remove("parent");
            options.remove("lock");
            options.extend(beside.clone());
            text.push_str(&format!("\n[{name}]\n{}", section(Some(description.as_str()).filter(|text| !text.is_empty()), &options)));
        }
        text
    }
}

fn section(description: Option<&str>, options: &BTreeMap<String, String>) -> String {
    let description = description.into_iter().flat_map(str::lines).map(|line| format!("#{line}\n"));
    description.chain(options.iter().map(|(key, value)| format!("{key}: {value}\n"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_written_as_proxmox_writes_it() {
        let mut guest = Guest::new(100, "pve1".to_owned());
        guest.set_from_pending(&json!([
            { "key": "memory", "value": 512 }, { "key": "digest", "value": "x" }, { "key": "net0", "value": "a=b", "delete": 1 },
            { "key": "arch", "value": "amd64" }, { "key": "hostname", "value": "web", "pending": "web2" }
        ]));
        guest.description = Some("one\ntwo\n".to_owned());
        guest.set_from_snapshots(&json!([
            { "name": "s1", "snaptime": 17, "description": "d\n" }, { "name": "current", "running": 1, "parent": "s1" }
        ]));
        let current = "#one\n#two\narch: amd64\nhostname: web\nmemory: 512\nnet0: a=b\nparent: s1\n";
        let pending = "\n[pve:pending]\ndelete: net0\nhostname: web2\n";
        let snapshot = "\n[s1]\n#d\narch: amd64\nhostname: web\nmemory: 512\nnet0: a=b\nsnaptime: 17\n";
        assert_eq!(guest.json()["config"], format!("{current}{pending}{snapshot}"));
        assert_eq!(guest.json()["running"], true);
    }

    #[test]
    fn a_container_that_is_being_created_has_its_lock_and_nothing_else() {
        let mut guest = Guest::new(102, "pve1".to_owned());
        guest.set("memory", "512");
        guest.set_from_status(&json!({ "vmid": 102, "name": "CT102", "status": "stopped", "lock": "create" }));
        assert_eq!(guest.text(), "lock: create\n");
    }
}
