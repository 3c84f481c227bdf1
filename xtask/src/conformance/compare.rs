//! When two answers agree. Each function says what differs, or `None`.
//!
//! Exact is what Proxmox's code decides: statuses, texts, configurations. What the machine underneath decides is compared by its
//! form: numbers that were measured, process ids, UPIDs, MAC addresses out of the air. Hashes of Perl come in any order, so lists
//! of rows do too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::wire::Answer;

/// Usage of a guest or node as it was measured: a number (pressure: a text) that no rule gives. Only of what runs; what is stopped
/// has exact zeros.
const MEASURED: &[&str] = &[
    "cpu",
    "mem",
    "swap",
    "disk",
    "maxdisk",
    "diskread",
    "diskwrite",
    "netin",
    "netout",
    "uptime",
    "pid",
    "pressurecpusome",
    "pressurecpufull",
    "pressureiosome",
    "pressureiofull",
    "pressurememorysome",
    "pressurememoryfull",
];

/// By what a row of a list is known, the first that it has.
const IDENTITIES: &[&str] = &["upid", "id", "vmid", "storage", "volid", "iface", "key", "realm", "name", "subdir", "node", "time", "n"];

/// `{field: text}` on both sides; a text is the set of its lines.
pub fn errors(expected: &Value, got: &Value) -> Option<String> {
    let fields = |errors: &Value| -> BTreeMap<String, BTreeSet<String>> {
        let lines = |text: &Value| {
            let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        errors.as_object().into_iter().flatten().map(|(field, text)| (field.clone(), lines(text))).collect()
    };
    let (expected_fields, got_fields) = (fields(expected), fields(got));
    (expected_fields != got_fields).then(|| format!("errors {expected} / {got}"))
}

/// Status and text. The reason phrase is the text's first line.
pub fn status_and_text(expected_status: u16, expected_text: Option<&str>, got: &Answer) -> Option<String> {
    if got.status != expected_status {
        return Some(format!("status {expected_status} / {}", got.brief()));
    }
    let text = without_source_line(expected_text?);
    let first_line = text.lines().next().unwrap_or_default().trim_end();
    if without_source_line(&got.reason).trim_end() != first_line {
        return Some(format!("reason {first_line:?} / {:?}", got.reason));
    }
    match got.message() {
        Some(message) if without_source_line(message) != text => Some(format!("message {text:?} / {message:?}")),
        Some(_) => None,
        None => Some(format!("message {text:?} / a body without one: {}", got.text)),
    }
}

/// Perl says where it died when the text has no newline, and modules lie elsewhere on every machine (REAL.md): ` at /…/PVE/X.pm
/// line 7.` becomes ` at PVE/X.pm`.
fn without_source_line(text: &str) -> String {
    let found = text.split_once(" at /").and_then(|(before, after)| {
        let (path, rest) = after.split_once(" line ")?;
        let module = &path[path.find("PVE/")?..];
        Some(format!("{before} at {module}{}", rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start_matches('.')))
    });
    found.unwrap_or_else(|| text.to_owned())
}

/// The `data` of two answers, exactly but for what no rule gives.
pub fn data(expected: &Value, got: &Value) -> Option<String> {
    match (expected, got) {
        (Value::Array(expected_rows), Value::Array(got_rows)) if expected_rows.len() == got_rows.len() => {
            let (expected_rows, got_rows) = (sorted(expected_rows), sorted(got_rows));
            expected_rows.iter().zip(&got_rows).find_map(|(expected, got)| row(expected, got))
        }
        (Value::Array(_), Value::Array(_)) => Some(format!("rows {} / {}", brief(expected), brief(got))),
        (expected, got) => row(expected, got),
    }
}

fn row(expected: &Value, got: &Value) -> Option<String> {
    if let (Some(expected), Some(got)) = (expected.as_str().and_then(Upid::parse), got.as_str().and_then(Upid::parse)) {
        return (expected.work() != got.work()).then(|| format!("task {} / {}", expected.work(), got.work()));
    }
    // 0 and 0.0 are the same number in JSON.
    if let (Some(expected), Some(got)) = (expected.as_f64(), got.as_f64()) {
        return (expected != got).then(|| format!("data {expected} / {got}"));
    }
    let (Value::Object(expected_fields), Value::Object(got_fields)) = (expected, got) else {
        return (expected != got).then(|| format!("data {} / {}", brief(expected), brief(got)));
    };
    let names: BTreeSet<&String> = expected_fields.keys().chain(got_fields.keys()).collect();
    let is_running = expected_fields.get("status").is_some_and(|status| status == "running");
    names.into_iter().find_map(|name| {
        let (Some(expected), Some(got)) = (expected_fields.get(name), got_fields.get(name)) else {
            let (expected, got) = (present(expected_fields, name), present(got_fields, name));
            return Some(format!("{name} {expected} / {got} in {}", brief(&Value::Object(expected_fields.clone()))));
        };
        let by_form = is_running && MEASURED.contains(&name.as_str());
        let agrees = if by_form { kind(expected) == kind(got) } else { data(expected, got).is_none() };
        (!agrees).then(|| format!("{name} {} / {}", brief(expected), brief(got)))
    })
}

fn present(fields: &Map<String, Value>, name: &str) -> String {
    fields.get(name).map_or_else(|| "absent".to_owned(), brief)
}

fn sorted(rows: &[Value]) -> Vec<&Value> {
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| identity(row));
    rows
}

fn identity(row: &Value) -> String {
    let named = IDENTITIES.iter().find_map(|name| row.get(name));
    named.unwrap_or(row).to_string()
}

/// Keys and JSON types, all the way down; `place` is what they are called in a report.
pub fn shape(place: &str, expected: &Value, got: &Value) -> Option<String> {
    match (expected, got) {
        (Value::Object(expected_fields), Value::Object(got_fields)) => {
            let names: BTreeSet<&String> = expected_fields.keys().chain(got_fields.keys()).collect();
            names.into_iter().find_map(|name| match (expected_fields.get(name), got_fields.get(name)) {
                // A task's `saved` is a number from the worker that ended it and a text from the file (REAL.md, Tasks).
                (Some(_), Some(_)) if name == "saved" => None,
                (Some(expected), Some(got)) => shape(&format!("{place}.{name}"), expected, got),
                (expected, got) => {
                    let [expected, got] = [expected, got].map(|value| value.map_or_else(|| "absent".to_owned(), brief));
                    Some(format!("{place}.{name} {expected} / {got}"))
                }
            })
        }
        (Value::Array(expected_rows), Value::Array(got_rows)) => rows_shape(place, expected_rows, got_rows),
        (Value::String(expected), Value::String(got)) => {
            let (expected, got) = (Upid::parse(expected)?, Upid::parse(got));
            let got = got.map_or_else(|| "no UPID".to_owned(), |got| got.work());
            (expected.work() != got).then(|| format!("{place} task {} / {got}", expected.work()))
        }
        (expected, got) => (kind(expected) != kind(got)).then(|| format!("{place} {} / {}", brief(expected), brief(got))),
    }
}

/// Rows that can be told apart are compared one by one; samples over time, and the addresses that a network gave, by the keys that
/// any of them has.
fn rows_shape(place: &str, expected: &[Value], got: &[Value]) -> Option<String> {
    let any_number = ["time", "ip-address"].iter().any(|name| expected.iter().any(|row| row.get(*name).is_some()));
    if any_number {
        return shape(&format!("{place}[any]"), &union(expected), &union(got));
    }
    if expected.len() != got.len() {
        return Some(format!("{place} {} rows / {} rows: {}", expected.len(), got.len(), brief(&Value::from(got))));
    }
    sorted(expected).iter().zip(sorted(got)).find_map(|(expected, got)| {
        let place = format!("{place}[{}]", identity(expected).trim_matches('"'));
        shape(&place, expected, got)
    })
}

fn union(rows: &[Value]) -> Value {
    let fields = rows.iter().filter_map(Value::as_object).flatten();
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// In a report: not longer than a line or two.
pub fn brief(value: &Value) -> String {
    cut(&value.to_string())
}

pub fn cut(text: &str) -> String {
    const MOST: usize = 300;
    let text = text.replace('\n', "\\n");
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST).chain("…".chars()).collect()
}

/// `UPID:{node}:{pid}:{pstart}:{starttime}:{type}:{id}:{user}:`
#[derive(Clone, Debug, PartialEq)]
pub struct Upid {
    pub node: String,
    pub starttime: i64,
    pub kind: String,
    pub id: String,
    pub user: String,
}

impl Upid {
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix("UPID:")?.strip_suffix(':')?.splitn(7, ':').collect();
        let [node, _, _, starttime, kind, id, user] = parts[..] else { return None };
        let [node, kind, id, user] = [node, kind, id, user].map(str::to_owned);
        Some(Self { node, starttime: i64::from_str_radix(starttime, 16).ok()?, kind, id, user })
    }

    /// What it does to what for whom, without the numbers.
    pub fn work(&self) -> String {
        format!("{}:{}:{}:{}", self.node, self.kind, self.id, self.user)
    }
}

/// Two configurations. MAC addresses that the request and the configuration before did not have are out of the air.
pub fn configuration(known: &str, expected: &str, got: &str) -> Option<String> {
    let (expected, got) = (without_new_addresses(known, expected), without_new_addresses(known, got));
    if expected == got {
        return None;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (expected_lines, got_lines) = (lines(&expected), lines(&got));
    let only = |of: &[String], other: &[String]| of.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join(" | ");
    let (missing, added) = (only(&expected_lines, &got_lines), only(&got_lines, &expected_lines));
    if missing.is_empty() && added.is_empty() {
        return Some(format!("the same lines in another order {expected:?} / {got:?}"));
    }
    Some(format!("lines [{missing}] / [{added}]"))
}

fn without_new_addresses(known: &str, text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("hwaddr=") {
        result.push_str(before);
        result.push_str("hwaddr=");
        rest = after;
        if let Some(address) = after.get(..17).filter(|address| is_mac(address) && !known.contains(*address)) {
            result.push_str("<new>");
            rest = &after[address.len()..];
        }
    }
    result.push_str(rest);
    result
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_agree_when_their_lines_do_in_any_order() {
        let expected = json!({ "net0": "invalid format - format error\nnet0.a: x\nnet0.b: y\n" });
        assert_eq!(errors(&expected, &json!({ "net0": "invalid format - format error\nnet0.b: y\nnet0.a: x" })), None);
        assert!(errors(&expected, &json!({ "net0": "invalid format - format error\nnet0.a: x\n" })).is_some());
        assert!(errors(&expected, &Value::Null).is_some());
    }

    #[test]
    fn a_reason_phrase_is_the_first_line_of_the_message() {
        let json = json!({ "message": "Permission check failed (x.\n)\n", "data": null });
        let answer = Answer { status: 403, reason: "Permission check failed (x.".into(), json, ..Answer::default() };
        assert_eq!(status_and_text(403, Some("Permission check failed (x.\n)\n"), &answer), None);
        assert!(status_and_text(403, Some("Permission check failed\n"), &answer).is_some());
        assert!(status_and_text(200, None, &answer).is_some());
    }

    #[test]
    fn where_a_perl_module_lies_is_no_difference() {
        let text = |path: &str| format!("Only root can. at {path}/PVE/Storage.pm line 569.\n");
        let answer = Answer { status: 500, reason: text("/usr/share/perl5").trim_end().to_owned(), ..Answer::default() };
        let answer = Answer { json: json!({ "message": text("/usr/share/perl5") }), ..answer };
        assert_eq!(status_and_text(500, Some(&text("/usr/local/share/perl/5.36.0")), &answer), None);
    }

    #[test]
    fn usage_of_a_running_guest_is_compared_by_its_form_and_of_a_stopped_one_exactly() {
        let running = json!([{ "vmid": 100, "status": "running", "mem": 123 }, { "vmid": 200, "status": "stopped", "mem": 0 }]);
        let other = json!([{ "vmid": 200, "status": "stopped", "mem": 0 }, { "vmid": 100, "status": "running", "mem": 7 }]);
        assert_eq!(data(&running, &other), None);
        assert!(data(&json!({ "status": "stopped", "mem": 0 }), &json!({ "status": "stopped", "mem": 1 })).is_some());
        assert!(data(&json!({ "status": "running", "mem": 1 }), &json!({ "status": "running", "mem": "1" })).is_some());
    }

    #[test]
    fn upids_are_compared_by_what_they_say_about_the_work() {
        let upid = |user: &str| json!(format!("UPID:pve1:00001000:00002000:65A1B2C3:vzstart:100:{user}:"));
        assert_eq!(data(&upid("root@pam"), &json!("UPID:pve1:00000002:00000003:00000004:vzstart:100:root@pam:")), None);
        assert!(data(&upid("root@pam"), &upid("root@pam!full")).is_some());
        assert!(shape("data", &upid("root@pam"), &json!("OK")).is_some());
    }

    #[test]
    fn a_shape_is_keys_and_types_all_the_way_down() {
        let expected = json!([{ "id": "a", "x": { "y": 1 } }, { "id": "b", "x": null }]);
        assert_eq!(shape("data", &expected, &json!([{ "id": "b", "x": null }, { "id": "a", "x": { "y": 2.5 } }])), None);
        assert!(shape("data", &expected, &json!([{ "id": "b", "x": 1 }, { "id": "a", "x": { "y": 2 } }])).is_some());
        assert!(shape("data", &expected, &json!([{ "id": "a", "x": { "y": 2, "z": 1 } }, { "id": "b", "x": null }])).is_some());
    }

    #[test]
    fn only_addresses_that_were_known_before_have_to_be_the_same() {
        let known = "net0: hwaddr=BC:24:11:AA:BB:CC";
        let expected = "net0: name=eth0,hwaddr=BC:24:11:00:00:01,type=veth\n";
        assert_eq!(configuration(known, expected, "net0: name=eth0,hwaddr=BC:24:11:12:34:56,type=veth\n"), None);
        assert!(configuration(known, expected, "net0: name=eth0,hwaddr=BC:24:11:AA:BB:CC,type=veth\n").is_some());
    }
}
