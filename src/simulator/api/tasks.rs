//! `/nodes/{node}/tasks`.

use super::Call;
use crate::proxmox::ids::Upid;
use crate::simulator::{
    clock::seconds,
    reply::{Answer, Failure},
    tasks::Task,
};
use serde_json::{Map, Value, json};

/// A user's own tasks, and those of their tokens.
pub fn is_own(call: &Call<'_>, task: &Task) -> bool {
    task.user == call.user || task.user.split_once('!').is_some_and(|(user, _)| user == call.user)
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
        ("type".to_owned(), json!(task.work.kind())),
        ("id".to_owned(), json!(task.vmid.to_string())),
        ("user".to_owned(), json!(user)),
    ]);
    if let Some(token) = token {
        row.insert("tokenid".to_owned(), json!(token));
    }
    row
}

/// The UPID of the path, if its text is one at all, and the task, if there is one that the caller may see (T:451-546).
fn find<'a>(call: &'a Call<'_>, privilege: &str) -> Result<Option<&'a Task>, Failure> {
    let text = call.params.text("upid").unwrap_or_default();
    let upid: Upid = text.parse().map_err(|_| Failure::parameter("upid", "unable to parse worker upid"))?;
    let is_own = upid.user().split('!').next() == Some(call.user);
    let node = format!("/nodes/{}", call.node());
    if !is_own && !call.may(&node, privilege) {
        return Err(Failure::forbidden(&node, &[privilege]));
    }
    Ok(call.state.tasks.find(text))
}

/// life-01-start-taskstatus; `exitstatus` only when it has ended.
pub fn status(call: &mut Call<'_>) -> Result<Answer, Failure> {
    // basic-44-task-unknown-upid
    let task = find(call, "Sys.Audit")?.ok_or_else(|| Failure::parameter("upid", "no such task"))?;
    let mut row = identity(task);
    row.insert("status".to_owned(), json!(if task.ended().is_some() { "stopped" } else { "running" }));
    if let Some(exit) = task.exit() {
        row.insert("exitstatus".to_owned(), json!(exit));
    }
    Ok(Value::Object(row).into())
}

/// life-01-start-tasklog. Lines are counted from 1; `limit` 0 means all.
pub fn log(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let Some(task) = find(call, "Sys.Audit")? else {
        // An object where a list should be (basic-46-task-unknown-upid-log).
        return Ok(Answer::Data { data: json!({ "n": 1, "t": "unable to open file - No such file or directory" }), total: Some(1) });
    };
    let count = |name: &str, default: usize| call.params.integer(name).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let (start, limit) = (count("start", 0), count("limit", 50));
    let lines: Vec<&str> = if task.log.is_empty() { vec!["no content"] } else { task.log.iter().map(String::as_str).collect() };
    let limit = if limit == 0 { usize::MAX } else { limit };
    let data = lines.iter().enumerate().skip(start).take(limit).map(|(index, line)| json!({ "n": index + 1, "t": line })).collect();
    Ok(Answer::Data { data, total: Some(lines.len() as u64) })
}

/// Stops a task; one that has ended is left as it is (task-05-abort-finished-task).
pub fn abort(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let task = find(call, "Sys.Modify")?.ok_or_else(|| Failure::parameter("upid", "no such task"))?;
    if let Some(index) = call.state.tasks.position(&task.upid) {
        call.state.abort_task(index, call.now);
    }
    Ok(Value::Null.into())
}

/// basic-39-tasks-source-all. Finished tasks unless `source` says otherwise, newest first; others' tasks need Sys.Audit on the
/// node, or VM.Audit on their container (REAL, Tasks).
pub fn list(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let node = call.node();
    let sees_all = call.may(&format!("/nodes/{node}"), "Sys.Audit");
    let source = call.params.text("source").unwrap_or("archive");
    let [since, until, vmid] = ["since", "until", "vmid"].map(|name| call.params.integer(name));
    let is_wanted = |task: &&Task| {
        let ended = task.ended();
        let is_error = ended.is_some_and(|ended| ended.exit != "OK");
        task.node == node
            && match source {
                "archive" => ended.is_some(),
                "active" => ended.is_none(),
                _ => true,
            }
            && vmid.is_none_or(|vmid| vmid == i64::from(task.vmid))
            && since.is_none_or(|since| seconds(task.started) >= since)
            && until.is_none_or(|until| seconds(task.started) <= until)
            && call.params.text("typefilter").is_none_or(|kind| kind == task.work.kind())
            && call.params.text("userfilter").is_none_or(|part| task.user.contains(part))
            && (!call.params.flag("errors") || is_error)
            && (sees_all || is_own(call, task) || call.may(&format!("/vms/{}", task.vmid), "VM.Audit"))
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
