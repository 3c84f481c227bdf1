//! Permission vectors: who asks for what, and what the endpoint's permission rule says.
//!
//! They record the rule alone. Where it lets somebody through, any answer agrees but a 401, a 501 and a 403 with the rule's own
//! text: code may refuse later in its own words. Endpoints that anybody may call are special: over HTTP nobody is known there
//! (HTTPServer.pm:69-84), while the vectors call the rule with a user; so the simulator's rule is asked the same way, on its
//! control side.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    compare,
    data::Case,
    report::Tally,
    scope::{self, Endpoint},
    simulator::{Simulator, Who},
    validation::describe,
    vectors::Vectors,
    wire::Answer,
};

pub fn run(simulator: &mut Simulator, vectors: &mut Vectors, cases: &[Case]) -> Tally {
    let mut tally = Tally::new("permission", 97.0);
    for case in cases {
        if !case.is_readable() {
            tally.add(|| case.name.clone(), Some("a vector / nothing that can be read as one".to_owned()));
            continue;
        }
        let Some(endpoint) = scope::find(case.method(), case.path(), case.status()) else {
            tally.out_of_scope += 1;
            continue;
        };
        let difference = replay(simulator, vectors, case, &endpoint).unwrap_or_else(|error| Some(format!("{error:#}")));
        tally.add(|| describe(case), difference);
    }
    tally
}

fn replay(simulator: &mut Simulator, vectors: &mut Vectors, case: &Case, endpoint: &Endpoint) -> Result<Option<String>> {
    let who = case.text("user").map_or_else(Vectors::root, Who::named);
    let answer = vectors.ask(simulator, &who, case)?;
    // A token is refused over HTTP too, where the endpoint wants a ticket.
    let is_rule_alone = endpoint.is_open() && !(matches!(who, Who::Token(_)) && case.value["allowtoken"] == 0);
    let answer = if is_rule_alone { rule(simulator, case).unwrap_or(answer) } else { answer };
    if case.status() != 200 {
        return Ok(compare::status_and_text(case.status(), case.text("message"), &answer));
    }
    let is_refused = match answer.status {
        401 | 501 => true,
        403 => answer.message().is_some_and(|message| is_of_rule(&case.value["rule"], message, endpoint)),
        _ => false,
    };
    Ok(is_refused.then(|| format!("may / {}", compare::cut(&answer.brief()))))
}

/// What the rule of an endpoint says to a user, in the form of an answer.
fn rule(simulator: &mut Simulator, case: &Case) -> Result<Answer> {
    let question = json!({ "user": case.text("user"), "method": case.method(), "path": case.path() });
    let json = simulator.control("POST", "/sim/rule", Some(&question))?;
    let status = json["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let reason = json["message"].as_str().and_then(|message| message.lines().next()).unwrap_or_default().to_owned();
    Ok(Answer { status, reason, text: json.to_string(), json })
}

/// Whether this is a text with which the rule itself refuses. `user: all` refuses nobody; a check of which the texts are not known
/// may say anything.
fn is_of_rule(rule: &Value, message: &str, endpoint: &Endpoint) -> bool {
    if rule["user"] == "all" {
        return false;
    }
    let mut texts = Vec::new();
    let all_known = collect_texts(&rule["check"], endpoint, &mut texts);
    !all_known || texts.iter().any(|text| message.trim_end() == text)
}

/// `["perm", path, [privileges], "any", 1]`, also within `and` and `or`. False: there is a check of another kind.
fn collect_texts(check: &Value, endpoint: &Endpoint, texts: &mut Vec<String>) -> bool {
    let Some(parts) = check.as_array() else { return false };
    match parts.first().and_then(Value::as_str) {
        // None may be left out: each can be the one that refuses.
        Some("and" | "or") => !parts[1..].iter().map(|part| collect_texts(part, endpoint, texts)).collect::<Vec<_>>().contains(&false),
        Some("perm") => {
            let path = fill_in(parts.get(1).and_then(Value::as_str).unwrap_or_default(), endpoint);
            let names = parts.get(2).and_then(Value::as_array);
            let privileges: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
            let any = parts.iter().skip(3).any(|part| part == "any");
            let mut add = |privileges: &str| texts.push(format!("Permission check failed ({path}, {privileges})"));
            if any {
                add(&privileges.join("|"))
            } else {
                privileges.into_iter().for_each(add)
            }
            true
        }
        _ => false,
    }
}

fn fill_in(path: &str, endpoint: &Endpoint) -> String {
    let parts = [("{node}", &endpoint.node), ("{vmid}", &endpoint.vmid), ("{storage}", &endpoint.storage)];
    parts.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value.as_deref().unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_whether_the_rule_or_the_code_refused() {
        let endpoint = scope::find("PUT", "/nodes/pve1/lxc/100/config", 200).unwrap();
        let rule = json!({ "check": ["perm", "/vms/{vmid}", ["VM.Config.Disk", "VM.Config.CPU"], "any", 1] });
        assert!(is_of_rule(&rule, "Permission check failed (/vms/100, VM.Config.Disk|VM.Config.CPU)\n", &endpoint));
        assert!(!is_of_rule(&rule, "Permission check failed (/vms/100, VM.Config.CPU)\n", &endpoint));
        assert!(!is_of_rule(&json!({ "user": "all" }), "Permission check failed\n", &endpoint));
        assert!(is_of_rule(&json!({ "check": ["userid-group", ["User.Modify"]] }), "Permission check failed\n", &endpoint));
        let either = json!({ "check": ["or", ["perm", "/", ["Sys.Audit"]], ["perm", "/vms/{vmid}", ["VM.Audit"]]] });
        assert!(is_of_rule(&either, "Permission check failed (/, Sys.Audit)\n", &endpoint));
        assert!(!is_of_rule(&either, "Permission check failed (/, Sys.Modify)\n", &endpoint));
    }
}
