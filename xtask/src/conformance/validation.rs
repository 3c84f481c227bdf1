//! Validation vectors: parameters, and what Proxmox's schema says to them.
//!
//! A vector with status 200 says that the parameters pass; what the endpoint does with them is not recorded. So any answer agrees
//! but a 400 whose errors are the schema's (code may refuse with errors of its own), a 401 where one has signed in, and a 501.

use serde_json::Value;

use super::{
    compare,
    data::Case,
    report::Tally,
    scope,
    simulator::{Simulator, Who},
    vectors::{Vectors, as_user},
    wire::Answer,
};

/// How the texts of the schema's errors begin (JSONSchema.pm:1151-1722), and of the one about parameters given twice (HTTPServer.pm).
const TEXTS: &[&str] = &[
    "property is missing and it is not optional",
    "property is not defined in schema",
    "type check (",
    "value must have a ",
    "value must be at least ",
    "value may only be ",
    "value does not match the regex pattern",
    "value '",
    "missing property required by ",
    "invalid format - ",
    "duplicate parameter (already defined in URI)",
];

pub fn run(simulator: &mut Simulator, vectors: &mut Vectors, cases: &[Case]) -> Tally {
    let mut tally = Tally::new("validation", 97.0);
    for case in cases {
        if !case.is_readable() {
            tally.add(|| case.name.clone(), Some("a vector / nothing that can be read as one".to_owned()));
            continue;
        }
        let Some(endpoint) = scope::find(case.method(), case.path(), case.status()) else {
            tally.out_of_scope += 1;
            continue;
        };
        let who = if endpoint.is_open() { Who::Nobody } else { case.text("user").map_or_else(Vectors::root, Who::named) };
        let answer = vectors.ask(simulator, &who, case);
        let difference = match answer {
            Ok(answer) if case.status() == 200 => not_passed(&answer, endpoint.is_open()),
            Ok(answer) => compare::status_and_text(case.status(), case.text("message"), &answer)
                .or_else(|| compare::errors(&case.value["errors"], &answer.json["errors"])),
            Err(error) => Some(format!("{error:#}")),
        };
        tally.add(|| describe(case), difference);
    }
    tally
}

/// Name, tag, request and who sent it.
pub fn describe(case: &Case) -> String {
    let parameters = case.value.get("params").filter(|parameters| parameters.as_object().is_some_and(|fields| !fields.is_empty()));
    let parameters = parameters.map_or_else(String::new, |parameters| format!(" {}", compare::brief(parameters)));
    let about = ["tag", "state"].iter().find_map(|name| case.text(name)).map_or_else(String::new, |about| format!(" [{about}]"));
    format!("{}{about} {} {}{parameters}{}", case.name, case.method(), case.path(), as_user(case))
}

fn not_passed(answer: &Answer, is_open: bool) -> Option<String> {
    let is_schema = |text: &Value| text.as_str().is_some_and(|text| TEXTS.iter().any(|begin| text.starts_with(begin)));
    let refused = match answer.status {
        400 => answer.json["errors"].as_object().is_some_and(|errors| errors.values().any(is_schema)),
        401 => !is_open,
        501 => true,
        _ => false,
    };
    refused.then(|| format!("passes / {}", compare::cut(&answer.brief())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, errors: Value) -> Answer {
        Answer { status, json: json!({ "errors": errors }), ..Answer::default() }
    }

    #[test]
    fn only_the_schema_can_keep_parameters_from_passing() {
        assert_eq!(not_passed(&answer(500, Value::Null), false), None);
        assert_eq!(not_passed(&answer(400, json!({ "delete": "unknown option 'x'" })), false), None);
        assert!(not_passed(&answer(400, json!({ "start": "type check ('boolean') failed - got 'x'" })), false).is_some());
        assert!(not_passed(&answer(401, Value::Null), false).is_some());
        assert_eq!(not_passed(&answer(401, Value::Null), true), None);
    }
}
