//! `*-timeline`: a call, and what five lists said about it until all was quiet, only changes noted. The call is made again, simulated
//! time passes, and the same lists are polled.
//!
//! How fast a machine is decides when something changes, so the order counts: our changes of each list come in the recorded order and
//! end the same. What is over before the next poll may have been missed, there or here. `/cluster/resources` flips between two workers
//! (REAL.md), so there only the values count, and the last one. The whole lasts about as long as recorded.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::{
    super::{
        compare::{Upid, brief},
        data::Case,
        scope,
        simulator::Simulator,
    },
    Outcome, as_who,
    recording::Recording,
    situation::{Situation, Situations, Step},
};

/// The lists, by their names in the recordings.
const LISTS: [&str; 5] = ["task", "status/current", "cluster/resources", "tasks?source=active", "cluster/tasks"];
/// How often is polled, as in the recordings, and how long after the recorded end at most.
const STEP: f64 = 0.25;
const LATER: f64 = 30.0;

pub fn replay(simulator: &mut Simulator, situations: &Situations, case: &Case, all: &[Recording]) -> Result<Outcome> {
    let upid = case.text("upid").and_then(Upid::parse).context("the timeline's UPID cannot be read")?;
    let recorded = Recorded::read(case);
    let Some((situation, call)) = begin(situations, case, &upid, &recorded, all) else { return Ok(Outcome::OutOfScope) };
    if scope::find(&call.method, &call.path, 200).is_none() {
        return Ok(Outcome::OutOfScope);
    }
    simulator.load(&situation.json())?;
    let answer = simulator.ask(&call.who, &call.method, &call.path, &call.parameters)?;
    let Some(started) = answer.json["data"].as_str().filter(|text| Upid::parse(text).is_some()).map(str::to_owned) else {
        return Ok(Outcome::Done(Some(format!("a task / {}", answer.brief()))));
    };
    let vmid = case.value["vmid"].as_u64().unwrap_or_default();
    let mut watch = Watch { simulator, situation: &situation, node: upid.node.clone(), upid: started, vmid, seen: Default::default() };
    let length = watch.until_quiet(&recorded)?;
    Ok(Outcome::Done(recorded.difference(&watch.seen, length)))
}

/// The changes of each list.
struct Recorded {
    changes: [Vec<Value>; LISTS.len()],
    /// Of the task, in seconds.
    length: Option<f64>,
    last: f64,
}

impl Recorded {
    fn read(case: &Case) -> Self {
        let mut recorded = Self { changes: Default::default(), length: None, last: 0.0 };
        for event in case.value["events"].as_array().into_iter().flatten() {
            let at = event["t_ms"].as_f64().unwrap_or_default() / 1e3;
            recorded.last = at;
            for (list, changes) in LISTS.iter().zip(&mut recorded.changes) {
                let Some(value) = event.get(list) else { continue };
                if *list == "task" && value["status"] == "stopped" {
                    recorded.length = Some(at);
                }
                push(changes, without_times(value));
            }
        }
        recorded
    }

    fn of(&self, list: &str) -> &[Value] {
        LISTS.iter().zip(&self.changes).find(|(name, _)| **name == list).map_or(&[], |(_, changes)| changes)
    }

    fn difference(&self, seen: &[Seen; LISTS.len()], length: Option<f64>) -> Option<String> {
        let lists = LISTS.iter().zip(self.changes.iter().zip(seen));
        let wrong = lists.filter(|(_, (expected, _))| !expected.is_empty()).find_map(|(list, (expected, seen))| {
            let got = seen.lasting(expected);
            let fits = if *list == "cluster/resources" { same_values(expected, &got) } else { same_order(expected, &got) };
            (!fits).then(|| format!("{list}: {} / {}", shown(expected), shown(&got)))
        });
        wrong.or_else(|| {
            let (expected, got) = (self.length?, length?);
            // A busy machine takes its time; what a timeout decides takes longer than that.
            let is_off = (expected - got).abs() > f64::max(5.0, expected / 2.0);
            is_off.then(|| format!("the task lasts {expected:.1} s / {got:.1} s"))
        })
    }
}

fn shown(changes: &[Value]) -> String {
    changes.iter().map(brief).collect::<Vec<_>>().join(" → ")
}

/// Whether ours are some of theirs in their order, with the same end.
fn same_order(expected: &[Value], got: &[Value]) -> bool {
    let mut rest = expected.iter();
    got.iter().all(|value| rest.any(|expected| expected == value)) && expected.last() == got.last()
}

fn same_values(expected: &[Value], got: &[Value]) -> bool {
    got.iter().all(|value| expected.contains(value)) && expected.last() == got.last()
}

fn push(changes: &mut Vec<Value>, value: Value) {
    if changes.last() != Some(&value) {
        changes.push(value);
    }
}

/// `saved` changes by itself, and an end is at another time.
fn without_times(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let fields = fields.iter().filter(|(name, _)| *name != "saved" && *name != "endtime");
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The state before the call, and the call: the recorded one beside the timeline, or one that makes such a task. `None`: no call of
/// this run makes such tasks.
fn begin(situations: &Situations, case: &Case, upid: &Upid, recorded: &Recorded, all: &[Recording]) -> Option<(Situation, Step)> {
    let family = case.name.strip_suffix("-timeline").unwrap_or(&case.name);
    let who = as_who(&upid.user);
    let vmid = upid.id.parse::<u64>().ok()?;
    let lxc = format!("/nodes/{}/lxc", upid.node);
    let own_call = all.iter().find(|recording| recording.name == family && recording.method != "GET");
    let (method, path, parameters) = match own_call {
        Some(call) => (call.method.as_str(), call.path().to_owned(), call.parameters.clone()),
        None => match upid.kind.as_str() {
            "vzcreate" | "vzrestore" => ("POST", lxc, create(situations, &case.name, vmid, recorded)),
            "vzdestroy" => ("DELETE", format!("{lxc}/{vmid}"), Value::Null),
            "vzstart" | "vzstop" | "vzshutdown" | "vzreboot" => {
                let verb = upid.kind.trim_start_matches("vz");
                ("POST", format!("{lxc}/{vmid}/status/{verb}"), timeout_of(family, all))
            }
            _ => return None,
        },
    };
    let mut situation = Situation::named(situations, &case.name, who);
    situation.set_version(case.version.as_deref());
    situation.set_now(upid.starttime);
    situation.admit_caller();
    if !matches!(upid.kind.as_str(), "vzcreate" | "vzrestore") {
        take_guest(&mut situation, vmid, &upid.kind, recorded);
    }
    let step = Step { who: situation.who.clone(), method: method.to_owned(), path, parameters };
    Some((situation, step))
}

fn take_guest(situation: &mut Situation, vmid: u64, kind: &str, recorded: &Recorded) {
    let first_status = recorded.of("status/current").iter().find_map(|value| value["status"].as_str());
    let name = recorded.of("cluster/resources").iter().find_map(|value| value["name"].as_str());
    let end = recorded.of("task").iter().find_map(|value| value["exitstatus"].as_str()).unwrap_or_default();
    let guest = situation.guest(vmid);
    guest.is_running = match kind {
        "vzstart" => false,
        "vzdestroy" => first_status == Some("running"),
        _ => true,
    };
    if let Some(name) = name {
        guest.set("hostname", name);
    }
    if let Some(bridge) = end.strip_prefix("bridge '").and_then(|rest| rest.strip_suffix("' does not exist")) {
        guest.set_net0_bridge(bridge);
    }
    if let Some(lock) = end.strip_prefix("CT is locked (").and_then(|rest| rest.strip_suffix(')')) {
        guest.set("lock", lock);
    }
    if end == "container did not stop" {
        guest.habit = Some("ignores-shutdown");
    }
}

fn create(situations: &Situations, name: &str, vmid: u64, recorded: &Recorded) -> Value {
    let mut parameters = situations.create().as_object().cloned().unwrap_or_default();
    if let Some(own) = situations.about(name).find_map(|entry| entry["create"].as_object()) {
        // What is restored has its parts with it.
        parameters = own.clone();
    }
    parameters.insert("vmid".to_owned(), json!(vmid));
    if let Some(hostname) = recorded.of("cluster/resources").iter().find_map(|value| value["name"].as_str()) {
        parameters.insert("hostname".to_owned(), json!(hostname));
    }
    if recorded.of("status/current").last().is_some_and(|value| value["status"] == "running") {
        parameters.insert("start".to_owned(), json!("1"));
    }
    Value::Object(parameters)
}

/// The command in the log of the same family names it.
fn timeout_of(family: &str, all: &[Recording]) -> Value {
    let log = all.iter().find(|recording| recording.name == format!("{family}-tasklog"));
    let lines = log.and_then(|log| log.data().as_array()).into_iter().flatten().filter_map(|row| row["t"].as_str());
    let timeout = lines.filter_map(|line| line.split_once("--timeout ")).find_map(|(_, rest)| rest.split(['\'', ' ']).next());
    timeout.map_or(Value::Null, |timeout| json!({ "timeout": timeout }))
}

/// What a list said, and in how many polls one after the other.
#[derive(Default)]
struct Seen(Vec<(Value, usize)>);

impl Seen {
    fn push(&mut self, value: Value) {
        match self.0.last_mut() {
            Some((last, polls)) if *last == value => *polls += 1,
            _ => self.0.push((value, 1)),
        }
    }

    fn last(&self) -> Option<&Value> {
        self.0.last().map(|(value, _)| value)
    }

    /// Without what one poll saw and the recording does not have.
    fn lasting(&self, expected: &[Value]) -> Vec<Value> {
        let mut changes = Vec::new();
        for (value, polls) in &self.0 {
            if *polls > 1 || expected.contains(value) {
                push(&mut changes, value.clone());
            }
        }
        changes
    }
}

struct Watch<'a> {
    simulator: &'a mut Simulator,
    situation: &'a Situation,
    node: String,
    upid: String,
    vmid: u64,
    seen: [Seen; LISTS.len()],
}

impl Watch<'_> {
    /// Until every list says what was said last, a while after the recorded end at most. Gives the length of the task.
    fn until_quiet(&mut self, recorded: &Recorded) -> Result<Option<f64>> {
        let (mut now, mut length) = (0.0, None);
        loop {
            for (index, list) in LISTS.iter().enumerate() {
                let value = self.poll(list)?;
                if *list == "task" && value["status"] == "stopped" && length.is_none() {
                    length = Some(now);
                }
                self.seen[index].push(value);
            }
            let is_quiet =
                recorded.changes.iter().zip(&self.seen).all(|(expected, got)| expected.is_empty() || expected.last() == got.last());
            if now > recorded.last + LATER || is_quiet && now >= recorded.last {
                return Ok(length);
            }
            self.simulator.advance(STEP)?;
            now += STEP;
        }
    }

    fn poll(&mut self, list: &str) -> Result<Value> {
        let (node, upid, vmid) = (&self.node, &self.upid, self.vmid);
        let picked: &[&str] = match list {
            "task" => &["status", "exitstatus"],
            "status/current" => &["status", "lock"],
            "cluster/resources" => &["status", "lock", "name"],
            _ => &["type", "id", "status"],
        };
        let (path, parameters) = match list {
            "task" => (format!("/nodes/{node}/tasks/{upid}/status"), Value::Null),
            "status/current" => (format!("/nodes/{node}/lxc/{vmid}/status/current"), Value::Null),
            "tasks?source=active" => (format!("/nodes/{node}/tasks"), json!({ "source": "active" })),
            list => (format!("/{list}"), Value::Null),
        };
        let answer = self.simulator.ask(&self.situation.who, "GET", &path, &parameters)?;
        if answer.status != 200 {
            return Ok(json!(format!("{} {}", answer.status, answer.reason)));
        }
        let data = &answer.json["data"];
        let id = format!("lxc/{vmid}");
        let row = match data.as_array() {
            Some(rows) => rows.iter().find(|row| row["upid"] == upid.as_str() || row["id"] == id && row["type"] == "lxc"),
            None => Some(data),
        };
        let Some(row) = row else { return Ok(json!("absent")) };
        let fields = picked.iter().filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone())));
        Ok(Value::Object(fields.collect::<Map<_, _>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_agree_in_their_order_and_at_their_end() {
        let expected = [json!(1), json!(2), json!(3)];
        assert!(same_order(&expected, &expected) && same_order(&expected, &[json!(1), json!(3)]));
        assert!(!same_order(&expected, &[json!(2), json!(1), json!(3)]) && !same_order(&expected, &[json!(1), json!(2)]));
        assert!(same_values(&expected, &[json!(2), json!(1), json!(2), json!(3)]) && !same_values(&expected, &[json!(4), json!(3)]));
    }
}
