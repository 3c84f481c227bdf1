//! Recordings of a genuine server: each exchange is replayed from a state in which it makes sense, and the answer compared by status,
//! reason phrase, errors, keys and JSON types.
//!
//! The state is worked out ([`situation`]): from what the recording says itself, its name's family beside it, and for the rest from
//! the few situations that `recordings.toml` describes. Credentials and digests were masked or belong to another server; ours stand in
//! for them wherever the recorded answer shows that they were good.

mod guest;
mod polls;
mod recording;
mod situation;
mod timeline;

use std::{error::Error, fmt};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::{
    recording::Recording,
    situation::{Situation, Situations},
};
use super::{
    compare::{self, cut},
    data::Case,
    report::Tally,
    scope,
    simulator::{Simulator, Who},
    wire::{Answer, Request, escape_value, unescape},
};

pub fn run(simulator: &mut Simulator, cases: &[Case]) -> Result<Tally> {
    let mut tally = Tally::new("recordings", 90.0);
    let situations = Situations::read()?;
    let recordings: Vec<Recording> = cases.iter().filter_map(Recording::read).collect();
    // What was signed in before was so at another time.
    simulator.forget_all();
    for case in cases {
        let outcome = if let Some(recording) = recordings.iter().find(|recording| recording.name == case.name) {
            exchange(simulator, &situations, recording, &recordings)
        } else if case.value["upid"].is_string() {
            timeline::replay(simulator, &situations, case, &recordings)
        } else if case.value["events"].is_array() {
            polls::replay(simulator, &situations, case)
        } else {
            Ok(Outcome::Done(Some("a recording / nothing that can be read as one".to_owned())))
        };
        match outcome {
            Ok(Outcome::OutOfScope) => tally.out_of_scope += 1,
            Ok(Outcome::LeftOut(reason)) => tally.leave_out(&case.name, &reason),
            Ok(Outcome::Done(difference)) => tally.add(|| describe(case), difference),
            Err(error) => tally.add(|| describe(case), Some(format!("{error:#}"))),
        }
    }
    Ok(tally)
}

pub enum Outcome {
    OutOfScope,
    /// With the reason.
    LeftOut(String),
    /// With what differs.
    Done(Option<String>),
}

fn describe(case: &Case) -> String {
    let request = &case.value["request"];
    let line = request["request_line"].as_str().unwrap_or_default().trim_end_matches(" HTTP/1.1");
    let body = request["body"].as_str().filter(|body| !body.is_empty()).map_or_else(String::new, |body| format!(" {}", cut(body)));
    let who = case.text("as").map_or_else(String::new, |who| format!(" as {who}"));
    format!("{} {}{}{who}", case.name, cut(&unescape(line, false)), unescape(&body, true)).trim_end().to_owned()
}

fn exchange(simulator: &mut Simulator, situations: &Situations, recording: &Recording, all: &[Recording]) -> Result<Outcome> {
    let Some(endpoint) = scope::find(&recording.method, recording.path(), recording.status) else {
        return Ok(Outcome::OutOfScope);
    };
    if let Some(reason) = situations.left_out(recording) {
        return Ok(Outcome::LeftOut(reason));
    }
    let situation = Situation::of(situations, recording, &endpoint, all);
    let answer = match play(simulator, &situation, recording) {
        Ok(answer) => answer,
        Err(error) if error.is::<NoDaemon>() => return Ok(Outcome::LeftOut(error.to_string())),
        Err(error) => return Err(error),
    };
    Ok(Outcome::Done(difference(recording, &answer)))
}

/// The simulator does not know how to be a node of which pvedaemon is down.
#[derive(Debug)]
struct NoDaemon;

impl fmt::Display for NoDaemon {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the simulator cannot be a node of which pvedaemon is down")
    }
}

impl Error for NoDaemon {}

fn play(simulator: &mut Simulator, situation: &Situation, recording: &Recording) -> Result<Answer> {
    simulator.load(&situation.when_signing_in())?;
    let mut request = prepare(simulator, situation, recording)?;
    if situation.changes_after_sign_in() {
        simulator.load(&situation.json())?;
    }
    for step in &situation.before {
        simulator.ask(&step.who, &step.method, &step.path, &step.parameters).context("a step before it")?;
    }
    if recording.status == 301 {
        return simulator.exchange_plain(&request);
    }
    if recording.status == 595 {
        return without_daemon(simulator, &request);
    }
    let answer = simulator.exchange(&request)?;
    if answer.status != 401 || recording.status == 401 {
        return Ok(answer);
    }
    // Our ticket may be older than tickets get.
    simulator.forget(&situation.who);
    request = prepare(simulator, situation, recording)?;
    simulator.exchange(&request)
}

/// What pveproxy hands on to pvedaemon finds nobody there.
fn without_daemon(simulator: &mut Simulator, request: &Request) -> Result<Answer> {
    let fault = json!({ "action": { "kind": "daemon_down" } });
    simulator.control("POST", "/sim/fault", Some(&fault)).map_err(|_| NoDaemon)?;
    let answer = simulator.exchange(request);
    simulator.control("DELETE", "/sim/faults", None)?;
    answer
}

/// The recorded request with credentials that are good here, where those recorded were good there.
fn prepare(simulator: &mut Simulator, situation: &Situation, recording: &Recording) -> Result<Request> {
    let mut headers = Vec::new();
    for (name, value) in &recording.headers {
        let header = name.to_ascii_lowercase();
        match header.as_str() {
            // They are about the connection, which is ours.
            "host" | "connection" | "content-length" | "accept-encoding" => {}
            "cookie" | "csrfpreventiontoken" | "authorization" if !is_bad(recording, &header) => {
                let credentials = simulator.credentials(&situation.who, "POST")?;
                let ours = |name: &str| credentials.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
                // A ticket may stand in either header.
                let value = ours(&header).or_else(|| ours("cookie").filter(|_| header == "authorization"));
                headers.extend(value.map(|(_, value)| (name.clone(), value.clone())));
            }
            _ => headers.push((name.clone(), value.clone())),
        }
    }
    let mut body = recording.body.clone();
    if let Some(user) = recording.renews() {
        body = format!(
            "username={}&password={}",
            escape_value(&user),
            simulator.ticket(&user, situation.password_of(&user).as_deref())?.cookie
        );
    }
    let mut request = Request { method: recording.method.clone(), target: recording.target.clone(), headers, body };
    if recording.status == 200 && recording.parameters["digest"].is_string() {
        let digest = fresh_digest(simulator, situation, recording)?;
        let old = recording.parameters["digest"].as_str().unwrap_or_default();
        request.body = request.body.replace(old, &digest);
        request.target = request.target.replace(old, &digest);
    }
    Ok(request)
}

/// Whether what this header says was what the 401 is about: then it has to be as bad here.
fn is_bad(recording: &Recording, header: &str) -> bool {
    let reason = recording.reason.to_ascii_lowercase();
    let about = |words: &[&str]| recording.status == 401 && words.iter().any(|word| reason.contains(word));
    match header {
        "csrfpreventiontoken" => about(&["csrf"]),
        "cookie" => about(&["ticket", "authentication failed"]),
        _ => about(&["ticket", "invalid token", "no such token"]),
    }
}

fn fresh_digest(simulator: &mut Simulator, situation: &Situation, recording: &Recording) -> Result<String> {
    let answer = simulator.ask(&situation.who, "GET", recording.path(), &Value::Null)?;
    Ok(answer.json["data"]["digest"].as_str().context("no digest in our configuration")?.to_owned())
}

fn difference(recording: &Recording, answer: &Answer) -> Option<String> {
    let message = recording.json["message"].as_str();
    // Before 8.4 the text stood in the reason phrase alone; and where the body is plain text, that is compared as it is.
    let text = message.or(Some(recording.reason.as_str()).filter(|_| answer.message().is_some()));
    // The extjs format is always 200 OK, whatever its message says.
    let text = text.filter(|_| recording.status != 200);
    if let Some(difference) = compare::status_and_text(recording.status, text, answer) {
        return Some(difference);
    }
    if text.is_none() && answer.reason != recording.reason {
        return Some(format!("reason {:?} / {:?}", recording.reason, answer.reason));
    }
    if recording.json.is_null() {
        let (expected, got) = (recording.text.trim_end(), answer.text.trim_end());
        return (expected != got).then(|| format!("body {:?} / {:?}", cut(expected), cut(got)));
    }
    let errors = compare::errors(&recording.json["errors"], &answer.json["errors"]);
    errors.or_else(|| compare::shape("body", &recording.json, &answer.json))
}

/// From the way in which the recordings say who asks: `user@realm` or `token user@realm!token`, or words about somebody without.
fn as_who(name: &str) -> Who {
    name.split_whitespace().find(|word| word.contains('@')).map_or(Who::Nobody, Who::named)
}
