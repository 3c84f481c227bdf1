//! What readers of a configuration are shown: `GET …/config`, `…/pending` and `…/snapshot`.

use super::{
    super::{
        caller::Caller,
        reply::Failure,
        schema::{Params, property::split_list},
        version::Version,
    },
    Config, Section, options,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `GET …/config`: with what is pending, unless `current` or a `snapshot` is asked for (API2/LXC/Config.pm:77).
pub fn config(config: &Config, request: &Params, caller: &Caller<'_>, vmid: u32, version: Version) -> Result<Value, Failure> {
    let wants_current = request.flag("current");
    let section = match request.text("snapshot").filter(|snapshot| !matches!(*snapshot, "" | "0")) {
        Some(_) if wants_current => {
            let error = || "cannot use 'snapshot' parameter with 'current'".to_owned();
            return Err(Failure::parameters(BTreeMap::from([("snapshot".to_owned(), error()), ("current".to_owned(), error())])));
        }
        Some(name) => {
            let snapshot = config.snapshot(name);
            snapshot.ok_or_else(|| Failure::died(format!("snapshot '{name}' does not exist")))?.clone()
        }
        None if wants_current => config.current().clone(),
        None => with_pending(config),
    };
    check_env(&[&section], caller, vmid, version)?;
    let mut answer: Map<_, _> = section.entries().map(|(key, text)| (key.to_owned(), value(key, text))).collect();
    if !section.raw.is_empty() {
        answer.insert("lxc".to_owned(), json!(section.raw));
    }
    answer.insert("digest".to_owned(), json!(config.digest()));
    Ok(Value::Object(answer))
}

/// What will be in force once the container has stopped (AbstractConfig.pm:240).
fn with_pending(config: &Config) -> Section {
    let mut section = config.current().clone();
    let pending = config.pending();
    for (key, text) in pending.entries().filter(|(key, _)| *key != "delete") {
        section.set(key, text);
    }
    for key in deletions(pending).keys() {
        // A false value stays, as in Proxmox.
        if section.is_set(key) {
            section.remove(key);
        }
    }
    section
}

/// `GET …/pending` (GuestHelpers.pm:201). Proxmox gives the entries in random order.
pub fn pending(config: &Config, caller: &Caller<'_>, vmid: u32, version: Version) -> Result<Value, Failure> {
    let (current, pending) = (config.current(), config.pending());
    check_env(&[current, pending], caller, vmid, version)?;
    let mut deletions = deletions(pending);
    let mut entries = vec![json!({ "key": "digest", "value": config.digest() })];
    for (key, text) in current.entries() {
        let mut entry = json!({ "key": key, "value": value(key, text) });
        if let Some(text) = pending.get(key) {
            entry["pending"] = value(key, text);
        }
        if let Some(is_forced) = deletions.remove(key) {
            entry["delete"] = json!(if is_forced { 2 } else { 1 });
        }
        entries.push(entry);
    }
    let is_new = |key: &str| key != "delete" && current.get(key).is_none();
    entries.extend(pending.entries().filter(|(key, _)| is_new(key)).map(|(key, text)| json!({ "key": key, "pending": value(key, text) })));
    // Of what is not there, every deletion counts as forced.
    entries.extend(deletions.keys().map(|key| json!({ "key": key, "delete": 2 })));
    Ok(Value::Array(entries))
}

/// `GET …/snapshot`: the present comes last (API2/LXC/Snapshot.pm:63).
pub fn snapshots(config: &Config, is_running: bool) -> Value {
    let mut entries: Vec<_> = config.sections.snapshots.iter().map(|(name, snapshot)| show_snapshot(name, snapshot)).collect();
    let mut current =
        json!({ "name": "current", "description": "You are here!", "digest": config.digest(), "running": u8::from(is_running) });
    if let Some(parent) = config.get("parent") {
        current["parent"] = json!(parent);
    }
    entries.push(current);
    Value::Array(entries)
}

fn show_snapshot(name: &str, snapshot: &Section) -> Value {
    let snaptime = snapshot.get("snaptime").map_or_else(|| json!(0), |text| value("snaptime", text));
    let mut entry = json!({ "name": name, "snaptime": snaptime, "description": snapshot.get("description").unwrap_or_default() });
    for key in ["parent", "snapstate"] {
        if let Some(text) = snapshot.get(key) {
            entry[key] = json!(text);
        }
    }
    entry
}

/// Whoever may not change the options may not read the variables. Proxmox means to leave them out (L:1632), but the check that it
/// makes for it refuses the whole call.
fn check_env(sections: &[&Section], caller: &Caller<'_>, vmid: u32, version: Version) -> Result<(), Failure> {
    let has_env = version >= Version::V9_2 && sections.iter().any(|section| section.get("env").is_some());
    let path = format!("/vms/{vmid}");
    if has_env && !(caller.may)(&path, "VM.Config.Options") {
        return Err(Failure::forbidden(&path, &["VM.Config.Options"]));
    }
    Ok(())
}

/// Integers and booleans arrive as numbers, `cpulimit` and all else as text (create-16-config-after).
fn value(key: &str, text: &str) -> Value {
    let is_number = options::is_number(key) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u64>().ok().filter(|_| is_number).map_or_else(|| json!(text), |number| json!(number))
}

/// Options that are to be deleted, and whether by force (AbstractConfig.pm:86).
pub(super) fn deletions(pending: &Section) -> BTreeMap<String, bool> {
    let split = |part: &str| part.strip_prefix('!').map_or_else(|| (part.to_owned(), false), |key| (key.to_owned(), true));
    split_list(pending.get("delete").unwrap_or_default()).map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::schema::{check, tables::lxc::CONFIG},
        *,
    };

    const ANYONE: Caller<'_> = Caller { user: "a@pve", may: &|_, _| false };

    fn read(config: &Config, version: Version, request: &[(&str, &str)]) -> Result<Value, Failure> {
        let path = [("node", "pve1"), ("vmid", "100")];
        let given = path.iter().chain(request).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        super::config(config, &check(CONFIG, given, version).unwrap(), &ANYONE, 100, version)
    }

    #[test]
    fn values_are_typed_as_the_schema_says() {
        let config = Config::parse("#one\ncpulimit: 1.5\nlxc.idmap: u 0 1 2\nmemory: 256\nonboot: 0\n");
        let mut expected =
            json!({ "cpulimit": "1.5", "description": "one\n", "lxc": [["lxc.idmap", "u 0 1 2"]], "memory": 256, "onboot": 0 });
        expected["digest"] = json!(config.digest());
        assert_eq!(read(&config, Version::V8_4, &[]).unwrap(), expected);
    }

    #[test]
    fn what_is_pending_is_shown_unless_current_is_asked_for() {
        let config = Config::parse("cores: 2\nhostname: web\nonboot: 0\n\n[pve:pending]\ndelete: cores,onboot\nhostname: web2\n");
        let answer = read(&config, Version::V8_4, &[]).unwrap();
        assert_eq!((&answer["hostname"], &answer["cores"], &answer["onboot"]), (&json!("web2"), &Value::Null, &json!(0)));
        let answer = read(&config, Version::V8_4, &[("current", "1")]).unwrap();
        assert_eq!((&answer["hostname"], &answer["cores"]), (&json!("web"), &json!(2)));
    }

    #[test]
    fn variables_are_for_those_who_may_change_options() {
        let config = Config::parse("lxc.environment.runtime: A=1\n");
        let failure = read(&config, Version::V9_2, &[]).unwrap_err();
        assert_eq!(failure.message, "Permission check failed (/vms/100, VM.Config.Options)\n");
    }
}
