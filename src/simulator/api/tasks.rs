//! `/nodes/{node}/tasks`.

use super::Call;
use crate::proxmox::ids::Upid;
use crate::simulator::{
    clock::seconds,
    reply::{Answer, Failure},
    tasks::Task,
};
use serde_json::{Map, Value, json};

/// A user's own tasks and those of their tokens; a token sees its own alone (T:27-37).
fn is_own(user: &str, task_user: &str) -> bool {
    task_user == user || task_user.split_once('!').is_some_and(|(owner, _)| owner == user)
}

/// The fields that say which task it is. A token's task has the user without it, and `tokenid` (REAL, Auth).
pub fn identity(task: &Task) -> Map<String, Value> {
    let (user, token) = task.user.split_once('!').map_or((task.user.as_str(), None), |(user, token)| (user, Some(token)));
    let mut row = Map::from_iter([
        ("upid".to_owned(), json!(task.upid)),
        ("node".to_owned(), json!(task.node)),
        ("pid".to_owned(), json!(task.pid)),
        ("pstart".to_owned(), json!(task.pstart)),
        ("starttime".to_owned(), json!(seconds(task.started))),
        ("type".to_owned(), json!(task.kind)),
        ("id".to_owned(), json!(task.id)),
        ("user".to_owned(), json!(user)),
    ]);
    if let Some(token) = token {
        row.insert("tokenid".to_owned(), json!(token));
    }
    row
}

/// The UPID of the path, if its text is one at all.
fn upid(call: &Call<'_>) -> Result<Upid, Failure> {
    let text = call.params.text("upid").unwrap_or_default();
    text.parse().map_err(|_| Failure::parameter("upid", "unable to parse worker upid"))
}

/// Others' tasks need a privilege on the node.
fn permit(call: &Call<'_>, upid: &Upid, privilege: &str) -> Result<(), Failure> {
    let node = format!("/nodes/{}", call.node());
    if is_own(call.user, upid.user()) || call.may(&node, privilege) { Ok(()) } else { Err(Failure::forbidden(&node, &[privilege])) }
}

/// A task that exists; that comes before the permission (basic-44-task-unknown-upid, T:451-546).
fn find<'a>(call: &'a Call<'_>, privilege: &str) -> Result<&'a Task, Failure> {
    let upid = upid(call)?;
    let task = call.state.tasks.find(upid.as_str()).ok_or_else(|| Failure::parameter("upid", "no such task"))?;
    permit(call, &upid, privilege)?;
    Ok(task)
}

/// life-01-start-taskstatus; `exitstatus` only when it has ended.
pub fn status(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let task = find(call, "Sys.Audit")?;
    let mut row = identity(task);
    row.insert("status".to_owned(), json!(if task.ended().is_some() { "stopped" } else { "running" }));
    if let Some(exit) = task.exit() {
        row.insert("exitstatus".to_owned(), json!(exit));
    }
    Ok(Value::Object(row).into())
}

/// life-01-start-tasklog. Lines are counted from 1; `limit` 0 means all.
pub fn log(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let upid = upid(call)?;
    permit(call, &upid, "Sys.Audit")?;
    let (start, limit) = (call.params.integer("start"), call.params.integer("limit"));
    let is_download = call.params.flag("download");
    if is_download && (start.is_some() || limit.is_some()) {
        return Err(Failure::died("'download' cannot be used together with 'start' or 'limit' parameters"));
    }
    let Some(task) = call.state.tasks.find(upid.as_str()) else {
        // An object where a list should be (basic-46-task-unknown-upid-log).
        return Ok(Answer::Data { data: json!({ "n": 1, "t": "unable to open file - No such file or directory" }), total: Some(1) });
    };
    if is_download {
        let text = task.log.iter().fold(String::new(), |text, line| text + line + "\n");
        return Ok(Answer::Text(text));
    }
    let count = |given: Option<i64>, default: usize| given.map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let lines: Vec<&str> = if task.log.is_empty() { vec!["no content"] } else { task.log.iter().map(String::as_str).collect() };
    let limit = Some(count(limit, 50)).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let window = lines.iter().enumerate().skip(count(start, 0)).take(limit);
    let data = window.map(|(index, line)| json!({ "n": index + 1, "t": line })).collect();
    Ok(Answer::Data { data, total: Some(lines.len() as u64) })
}

/// Stops a task; one that has ended is left as it is (task-05-abort-finished-task).
pub fn abort(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let upid = find(call, "Sys.Modify")?.upid.clone();
    if let Some(index) = call.state.tasks.position(&upid) {
        call.state.abort_task(index, call.now);
    }
    Ok(Value::Null.into())
}

/// `ok`, `warning`, `error` or `unknown` (UPID.pm, `normalize_status_type`).
fn status_type(exit: Option<&str>) -> &'static str {
    match exit {
        Some("OK") => "ok",
        Some(exit) if exit.starts_with("WARNINGS: ") => "warning",
        None | Some("unexpected status") => "unknown",
        Some(_) => "error",
    }
}

/// basic-39-tasks-source-all. Finished tasks unless `source` says otherwise, newest first; others' tasks need Sys.Audit on the node.
/// `total` counts what fits, also beyond the window.
pub fn list(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let node = call.node();
    let sees_all = call.may(&format!("/nodes/{node}"), "Sys.Audit");
    let source = call.params.text("source").unwrap_or("archive");
    let [since, until] = ["since", "until"].map(|name| call.params.integer(name));
    let part = call.params.text("userfilter").map(str::to_lowercase);
    let wants_errors = call.params.flag("errors");
    let statuses: Option<Vec<String>> = call
        .params
        .text("statusfilter")
        .filter(|_| !wants_errors)
        .map(|list| list.split([',', ';', ' ', '\0']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect());
    let is_wanted = |task: &&Task| {
        let kind = status_type(task.exit());
        task.node == node
            && match source {
                "archive" => task.ended().is_some(),
                "active" => task.ended().is_none(),
                _ => true,
            }
            && part.as_ref().is_none_or(|part| task.user.to_lowercase().contains(part))
            && (sees_all || is_own(call.user, &task.user))
            && call.params.text("typefilter").is_none_or(|kind| kind == task.kind)
            && call.params.text("vmid").is_none_or(|vmid| vmid == task.id)
            && since.is_none_or(|since| seconds(task.started) >= since)
            && until.is_none_or(|until| seconds(task.started) <= until)
            && !(wants_errors && kind == "ok")
            && statuses.as_ref().is_none_or(|statuses| statuses.iter().any(|status| status == kind))
    };
    let rows: Vec<Value> = call
        .state
        .tasks
        .list
        .iter()
        .rev()
        .filter(is_wanted)
        .map(|task| {
            let mut row = identity(task);
            match task.ended() {
                Some(ended) => {
                    row.insert("endtime".to_owned(), json!(seconds(ended.at)));
                    row.insert("status".to_owned(), json!(ended.exit));
                }
                None => {
                    row.insert("status".to_owned(), json!("RUNNING"));
                    // create-09-tasks-active
                    row.insert("saved".to_owned(), json!("0"));
                }
            }
            Value::Object(row)
        })
        .collect();
    let total = rows.len() as u64;
    let count = |name: &str, default: usize| call.params.integer(name).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let data = rows.into_iter().skip(count("start", 0)).take(count("limit", 50)).collect();
    Ok(Answer::Data { data, total: Some(total) })
}
