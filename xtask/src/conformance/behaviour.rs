//! Behaviour vectors: a state, a request, and everything that Proxmox's code made of it: status and text, data, tasks, and the
//! configurations right after the answer and after the tasks.
//!
//! What the vectors' stand-ins for the machine made up is compared by its form ([`compare::data`]). Of a task's log the lines that a
//! vector has must come in their order among ours, where an archive is known by its file name; the rest of a log is the machine's.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    compare::{self, Upid},
    data::Case,
    report::Tally,
    scope,
    simulator::{Simulator, Who},
    validation::describe,
    vectors::Vectors,
    world::World,
};

pub fn run(simulator: &mut Simulator, vectors: &mut Vectors, cases: &[Case]) -> Tally {
    let mut tally = Tally::new("behaviour", 95.0);
    for case in cases {
        if !case.is_readable() {
            tally.add(|| case.name.clone(), Some("a vector / nothing that can be read as one".to_owned()));
            continue;
        }
        if scope::find(case.method(), case.path(), case.status()).is_none() {
            tally.out_of_scope += 1;
            continue;
        }
        let difference = replay(simulator, &vectors.world, case).unwrap_or_else(|error| Some(format!("{error:#}")));
        tally.add(|| describe(case), difference);
    }
    tally
}

fn replay(simulator: &mut Simulator, world: &World, case: &Case) -> Result<Option<String>> {
    let who = case.text("user").map_or_else(Vectors::root, Who::named);
    let mut world = world.clone();
    world.admit(&who);
    put_containers(&mut world, case);
    world.set("tasks", json!([]));
    simulator.load(&world.json())?;

    let answer = simulator.ask(&who, case.method(), case.path(), &case.value["params"])?;
    let mut difference = compare::status_and_text(case.status(), case.text("message"), &answer);
    if let Some(errors) = case.value.get("errors") {
        difference = difference.or_else(|| compare::errors(errors, &answer.json["errors"]));
    }
    if let Some(data) = case.value.get("data").filter(|_| case.status() == 200) {
        difference = difference.or_else(|| compare::data(data, &answer.json["data"]));
    }
    if difference.is_some() {
        return Ok(difference);
    }

    if let Some(expected) = case.value.get("conf_after_sync") {
        let state = simulator.state()?;
        if let Some(difference) = configurations(case, expected, &state) {
            return Ok(Some(format!("right after the answer: {difference}")));
        }
    }
    simulator.finish_tasks()?;
    let state = simulator.state()?;
    let expected = ["conf_after", "conf"].iter().find_map(|name| case.value.get(name)).unwrap_or(&Value::Null);
    Ok(tasks(&case.value["forked"], &state).or_else(|| configurations(case, expected, &state)).or_else(|| running(case, &state)))
}

fn put_containers(world: &mut World, case: &Case) {
    let node = world.first_node();
    let is_set = |name: &str, vmid: &str| truthy(&case.value[name][vmid]);
    world.remove_containers();
    for (id, text) in case.value["conf"].as_object().into_iter().flatten() {
        let Ok(vmid) = id.parse::<u64>() else { continue };
        let mut container = json!({ "vmid": vmid, "node": node, "config": text, "running": is_set("running", id) });
        // In `/cluster/resources` names are those that pvestatd sent around, and the vectors' stand-in for it has its own.
        container["sample"] = json!({ "name": format!("ct{id}") });
        if is_set("hang", id) {
            container["habit"] = json!("ignores-shutdown");
        }
        world.put_container(vmid, container);
    }
}

/// As Perl sees it.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "0",
        Value::Null => false,
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn containers(state: &Value) -> BTreeMap<String, &Value> {
    let rows = state["containers"].as_array().into_iter().flatten();
    rows.map(|row| (row["vmid"].to_string(), row)).collect()
}

fn configurations(case: &Case, expected: &Value, state: &Value) -> Option<String> {
    let got = containers(state);
    let known = format!("{} {}", case.value["conf"], case.value["params"]);
    let expected: BTreeMap<&String, &Value> = expected.as_object().into_iter().flatten().filter(|(_, text)| text.is_string()).collect();
    if let Some(vmid) = got.keys().find(|vmid| !expected.contains_key(vmid)) {
        return Some(format!("no configuration of {vmid} / {}", compare::brief(&got[vmid]["config"])));
    }
    expected.into_iter().find_map(|(vmid, text)| {
        let Some(row) = got.get(vmid) else { return Some(format!("a configuration of {vmid} / none")) };
        let (text, config) = (text.as_str().unwrap_or_default(), row["config"].as_str().unwrap_or_default());
        compare::configuration(&known, text, config).map(|difference| format!("configuration of {vmid}: {difference}"))
    })
}

fn running(case: &Case, state: &Value) -> Option<String> {
    let expected = &case.value["running_after"];
    expected.as_object()?;
    let wrong = containers(state).into_iter().find(|(vmid, row)| truthy(&row["running"]) != truthy(&expected[vmid.as_str()]));
    wrong.map(|(vmid, row)| format!("{vmid} runs afterwards: {} / {}", truthy(&expected[vmid.as_str()]), truthy(&row["running"])))
}

/// Those that a vector says were forked, against those that are there now.
fn tasks(expected: &Value, state: &Value) -> Option<String> {
    let rows = state["tasks"].as_array().into_iter().flatten();
    let mut got: Vec<(Upid, &Value)> = rows.filter_map(|row| Some((Upid::parse(row["upid"].as_str()?)?, row))).collect();
    for task in expected.as_array().into_iter().flatten() {
        let wanted = |upid: &Upid| {
            let fits = |name: &str, value: &str| task[name].as_str().is_none_or(|expected| expected == value);
            fits("type", &upid.kind) && fits("id", &upid.id) && fits("user", &upid.user)
        };
        let Some(index) = got.iter().position(|(upid, _)| wanted(upid)) else {
            return Some(format!("task {} / {}", compare::brief(task), said(&got)));
        };
        let (_, row) = got.remove(index);
        if task["exitstatus"] != row["exitstatus"] {
            let log = compare::brief(&row["log"]);
            return Some(format!("exitstatus of {} {} / {} (log {log})", task["type"], task["exitstatus"], row["exitstatus"]));
        }
        if let Some(line) = missing_line(task["log"].as_str().unwrap_or_default(), &row["log"]) {
            return Some(format!("log of {} has {line:?} / {}", task["type"], compare::brief(&row["log"])));
        }
    }
    (!got.is_empty()).then(|| format!("no other task / {}", said(&got)))
}

fn said(tasks: &[(Upid, &Value)]) -> String {
    let tasks: Vec<String> = tasks.iter().map(|(upid, row)| format!("{} {}", upid.work(), row["exitstatus"])).collect();
    if tasks.is_empty() { "none".to_owned() } else { tasks.join(", ") }
}

/// The first line of the expected log that does not come after those before it.
fn missing_line<'a>(expected: &'a str, got: &Value) -> Option<&'a str> {
    let mut got = got.as_array().into_iter().flatten().filter_map(|line| line.as_str().or_else(|| line["t"].as_str()));
    expected.lines().find(|line| {
        let wanted = by_file_name(line);
        !got.any(|line| by_file_name(line) == wanted)
    })
}

/// Archives are known by a path on a real machine and by a volume id in the vectors.
fn by_file_name(line: &str) -> String {
    let parts = line.split('\'').enumerate().map(|(index, part)| match part.rsplit_once('/') {
        Some((_, name)) if index % 2 == 1 => name,
        _ => part,
    });
    parts.collect::<Vec<_>>().join("'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_agree_by_what_they_did_and_how_they_ended() {
        let upid = "UPID:pve1:00001000:00002000:65A1B2C3:vzcreate:101:root@pam:";
        let log = ["Creating filesystem", "extracting archive '/var/lib/vz/template/cache/a.tar.zst'", "TASK OK"];
        let state = json!({ "tasks": [{ "upid": upid, "exitstatus": "OK", "log": log }] });
        let forked =
            |exit: &str, log: &str| json!([{ "type": "vzcreate", "id": "101", "user": "root@pam", "exitstatus": exit, "log": log }]);
        assert_eq!(tasks(&forked("OK", "extracting archive 'local:vztmpl/a.tar.zst'\n"), &state), None);
        assert!(tasks(&forked("OK", "extracting archive 'local:vztmpl/b.tar.zst'\n"), &state).is_some());
        assert!(tasks(&forked("no", ""), &state).is_some());
        assert!(tasks(&json!([]), &state).is_some());
        assert!(tasks(&forked("OK", ""), &json!({ "tasks": [] })).is_some());
    }
}
