//! `slow-*`: a container was started while several clients polled side by side; kept are calls that took long and changes of result.
//!
//! The start comes before the first call that had to wait. Each call is sent at its moment of simulated time and its answer looked at
//! when it was there in the recording: the status line, and what it says about the container. Statuses in `/cluster/resources` lag
//! behind (REAL.md), so there the status line counts alone.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    super::{
        compare::cut,
        data::Case,
        scope,
        simulator::{Simulator, Who, prepare},
        wire::{Answer, Connection},
    },
    Outcome,
    situation::{Situation, Situations},
};

/// Whoever had to wait longer than this was held up by the start.
const LONG: f64 = 1.0;
/// A call that ran into pveproxy's time limit (30 s).
const LIMIT: f64 = 30.0;

/// Real time in which a request has surely been seen by the simulator.
const TAKEN_UP: Duration = Duration::from_millis(100);

/// One recorded call.
struct Poll<'a> {
    at: f64,
    took: f64,
    path: &'a str,
    status_line: &'a str,
    status: &'a Value,
}

impl<'a> Poll<'a> {
    fn read(event: &'a Value) -> Option<Self> {
        Some(Self {
            at: event["t_start_ms"].as_f64()? / 1e3,
            took: event["elapsed_ms"].as_f64()? / 1e3,
            path: event["path"].as_str()?,
            status_line: event["status_line"].as_str()?,
            status: &event["ct_status"],
        })
    }

    fn is_held_up(&self) -> bool {
        self.took > LONG
    }

    fn difference(&self, vmid: u64, answer: &Answer) -> Option<String> {
        let status_line = format!("HTTP/1.1 {} {}", answer.status, answer.reason);
        if status_line.trim_end() != self.status_line.trim_end() {
            return Some(format!("{} at {:.1} s: {} / {}", self.path, self.at, self.status_line, cut(&answer.brief())));
        }
        let data = &answer.json["data"];
        let got = match self.status {
            Value::String(_) => data["status"].clone(),
            Value::Array(_) if self.path.contains("/lxc") => {
                let rows = data.as_array().into_iter().flatten().filter(|row| row["vmid"] == vmid);
                rows.map(|row| row["status"].clone()).collect()
            }
            _ => return None,
        };
        (*self.status != got).then(|| format!("{} at {:.1} s: {} / {got}", self.path, self.at, self.status))
    }
}

pub fn replay(simulator: &mut Simulator, situations: &Situations, case: &Case) -> Result<Outcome> {
    let mut polls: Vec<Poll<'_>> = case.value["events"].as_array().into_iter().flatten().filter_map(Poll::read).collect();
    polls.sort_by(|one, other| one.at.total_cmp(&other.at));
    let of_path = |path: &str| scope::find("GET", path, 200);
    if polls.is_empty() || polls.iter().any(|poll| of_path(poll.path).is_none()) {
        return Ok(Outcome::OutOfScope);
    }
    let endpoint = polls.iter().filter_map(|poll| of_path(poll.path)).find(|endpoint| endpoint.vmid.is_some());
    let endpoint = endpoint.context("no call is about a container")?;
    let vmid: u64 = endpoint.vmid.as_deref().unwrap_or_default().parse().context("no vmid")?;
    let node = endpoint.node.unwrap_or_default();

    let mut situation = Situation::named(situations, &case.name, Who::named("admin@pve"));
    situation.set_version(case.version.as_deref());
    situation.admit_caller();
    let guest = situation.guest(vmid);
    if polls.iter().any(|poll| poll.took >= LIMIT) {
        guest.habit = Some("start-hangs");
    }
    simulator.load(&situation.json())?;
    simulator.forget(&situation.who);
    play(simulator, &situation, &polls, &node, vmid).map(Outcome::Done)
}

/// A call that is under way, or answered already.
struct Sent {
    connection: Connection,
    answer: Option<Answer>,
}

/// What happens when.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Start,
    Send(usize),
    Look(usize),
}

fn play(simulator: &mut Simulator, situation: &Situation, polls: &[Poll<'_>], node: &str, vmid: u64) -> Result<Option<String>> {
    let started = polls.iter().find(|poll| poll.is_held_up()).map_or(0.0, |poll| poll.at - 0.05);
    let mut moments = vec![(started, Moment::Start)];
    for (index, poll) in polls.iter().enumerate() {
        // What was answered at once is looked at at once; what waited, a little later than it was answered.
        let looked_at = if poll.is_held_up() { poll.at + poll.took * 1.2 + 1.0 } else { poll.at };
        moments.extend([(poll.at, Moment::Send(index)), (looked_at, Moment::Look(index))]);
    }
    moments.sort_by(|one, other| one.0.total_cmp(&other.0));

    let mut sent: Vec<Option<Sent>> = polls.iter().map(|_| None).collect();
    let mut now = 0.0;
    for (at, moment) in moments {
        if at > now {
            simulator.advance(at - now)?;
            now = at;
        }
        match moment {
            Moment::Start => {
                let path = format!("/nodes/{node}/lxc/{vmid}/status/start");
                let answer = simulator.ask(&situation.who, "POST", &path, &json!({}))?;
                if answer.status != 200 {
                    return Ok(Some(format!("a start / {}", answer.brief())));
                }
            }
            Moment::Send(index) => {
                let (path, query) = polls[index].path.split_once('?').unwrap_or((polls[index].path, ""));
                let mut request = prepare("GET", path, &Value::Null);
                if !query.is_empty() {
                    request.target = format!("{}?{query}", request.target);
                }
                request.headers.extend(simulator.credentials(&situation.who, "GET")?);
                let mut connection = simulator.connect()?;
                connection.send(&request)?;
                // Time must not pass before it has been taken up.
                let answer = connection.receive(TAKEN_UP)?.map(|(answer, _)| answer);
                sent[index] = Some(Sent { connection, answer });
            }
            Moment::Look(index) => {
                let Sent { mut connection, answer } = sent[index].take().context("it was sent before")?;
                let answer = match answer {
                    Some(answer) => Some(answer),
                    None => connection.receive(Duration::from_secs(3))?.map(|(answer, _)| answer),
                };
                let Some(answer) = answer else {
                    let Poll { at, path, status_line, .. } = polls[index];
                    return Ok(Some(format!("{path} at {at:.1} s: {status_line} / no answer")));
                };
                if let Some(difference) = polls[index].difference(vmid, &answer) {
                    return Ok(Some(difference));
                }
            }
        }
    }
    Ok(None)
}
