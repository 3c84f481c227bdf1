//! Of a batch: each container has one true end, whatever was under way when its process died, and of what had not had its turn everybody
//! is told that it is not begun.

use super::{Case, Way};
use crate::harness::{Browser, TestApp};
use berth::{
    auth::api::SignOut,
    batches::{
        api::{GetBatch, RunBatch},
        model::{BatchId, BatchItem, BatchView, Chosen, Cut, ItemState},
        service::PER_NODE,
        store::take,
    },
    containers::{api::ListContainers, model::ContainerList},
    error::AppError,
    operations::{
        model::{OperationId, OperationState},
        probe::{Side, StepKind},
    },
    server::lease::Holder,
    simulator::{Fault, FaultAction, Status as Really},
};
use std::{collections::HashMap, ops::RangeInclusive, time::Duration};

/// Eight on a node and two on another.
const ALL: [u32; 10] = [101, 102, 103, 104, 105, 107, 108, 109, 201, 202];
/// It does not run, so that it is refused. By its name it is one of the last.
const STANDS: u32 = 103;
/// Its task fails. By its name it is one of the first.
const FAILS: u32 = 105;
/// How many of them are worked on at a time.
pub const AT_ONCE: usize = PER_NODE + 2;

fn fault() -> Fault {
    Fault::new(FaultAction::FailTask { text: "unable to stop".into() }).path_contains(&format!("/lxc/{FAILS}/status/stop"))
}

/// Asks for a batch, and for what comes after that.
pub async fn begin(app: &TestApp, way: Way, url: &str) {
    let alice = app.browser_at(url, "");
    alice.post(super::sign_in_as("alice", "pve", "berth")).await;
    let list: ContainerList = alice.read(ListContainers {}).await.json();
    let ids = list.rows.into_iter().filter(|row| ALL.contains(&row.vmid.get())).map(|row| row.id);
    app.cluster.fault(fault());
    alice.post(RunBatch { verb: way.verb(), ids: Chosen::of(ids).unwrap(), confirm: None }).await;
    if way == Way::BatchOfWhoSignsOut {
        app.cluster.wait_for_running_tasks(AT_ONCE).await;
        alice.post(SignOut {}).await;
        app.cluster.finish_tasks();
    }
}

/// Waits for the end of what was left, and looks whether all agrees.
pub async fn agree(app: &TestApp, case: Case) -> Result<(), String> {
    let alice = app.sign_in("alice@pve").await;
    let id = app.column("SELECT id FROM batches").await.pop();
    let is_written = (case.point.step, case.point.side) != (StepKind::CreateBatch, Side::Before);
    if id.is_some() != is_written {
        return Err(format!("whether there is a batch: {id:?}"));
    }
    let batch = match id {
        Some(id) => Some(end_of(app, &alice, &id.parse().unwrap(), case.way).await?),
        None => None,
    };
    let items = batch.as_ref().map(|batch| batch.items.as_slice()).unwrap_or_default();
    each_has_one_end(app, items).await?;
    match &batch {
        Some(batch) => tells_it(app, &alice, batch, case).await,
        None => Ok(()),
    }
}

/// A batch that is over. What was told of a container's end meanwhile is so for good.
async fn end_of(app: &TestApp, alice: &Browser<'_>, id: &BatchId, way: Way) -> Result<BatchView, String> {
    let mut told: HashMap<u32, BatchItem> = HashMap::new();
    let look = async {
        loop {
            let seen: BatchView = alice.read(GetBatch { id: id.clone() }).await.json();
            for item in seen.items.iter().filter(|item| item.state.has_ended()) {
                let before = told.entry(item.position).or_insert_with(|| item.clone());
                if before != item {
                    return Err(format!("an end was taken back: {before:?} {item:?}"));
                }
            }
            let is_over = seen.ended_at.is_some() || seen.cut.is_some();
            if is_over && !seen.tally.is_under_way() {
                return Ok(seen);
            }
            if way.is_stepped() {
                app.cluster.advance(Duration::from_secs(1));
            }
            super::a_moment().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.unwrap_or_else(|_| Err("the batch is not over".to_owned()))
}

/// Operations, events, rows and the cluster say of each container what its batch says, and nothing else.
async fn each_has_one_end(app: &TestApp, items: &[BatchItem]) -> Result<(), String> {
    let wrong = |what: &str, found: String| Err(format!("{what}: {found}"));
    for (what, sql) in
        [("a lease is left", "SELECT operation_id FROM leases"), ("a ticket is left", "SELECT id FROM operations WHERE ticket IS NOT NULL")]
    {
        let left = app.column(sql).await;
        if !left.is_empty() {
            return wrong(what, format!("{left:?}"));
        }
    }
    let mut writes = app.writes();
    writes.sort();
    if writes.windows(2).any(|two| two[0] == two[1]) {
        return wrong("a call was repeated", format!("{writes:?}"));
    }
    let (mut operations, mut events, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    let mut statuses = HashMap::new();
    for item in items {
        let number = item.vmid.get();
        let id = item.operation.as_ref().map_or("-", OperationId::as_str);
        // its operation, its event, and whether it has a task; a call that was cut off in the middle has none
        let (operation, event, has_task) = match (item.state, item.operation_state, &item.error) {
            (ItemState::Done, Some(OperationState::Succeeded), None) => (Some("succeeded"), Some("stopped"), true),
            (ItemState::Failed, Some(OperationState::Failed), Some(_)) if number == FAILS => (Some("failed"), Some("failed"), true),
            (ItemState::Failed, Some(OperationState::Interrupted), Some(AppError::Interrupted { .. })) => {
                (Some("interrupted"), Some("failed"), false)
            }
            (ItemState::Refused, None, Some(AppError::NotRunning { .. })) if number == STANDS => (None, Some("refused"), false),
            (ItemState::NotBegun, None, None) => (None, None, false),
            _ => return wrong("what became of it", format!("{item:?}")),
        };
        operations.extend(operation.map(|state| format!("{number} {state} {id}")));
        events.extend(event.map(|kind| format!("{number} {kind} {id}")));
        tasks.extend(has_task.then(|| number.to_string()));
        let stands = item.state == ItemState::Done || number == STANDS;
        statuses.insert(number, if stands { "stopped" } else { "running" });
    }
    let own = |lines: Vec<String>| -> Vec<String> {
        // its refusal may have been written down when nobody said so to the batch any more
        let was_refused = items.iter().any(|item| item.state == ItemState::Refused);
        lines.into_iter().filter(|line| was_refused || *line != format!("{STANDS} refused -")).collect()
    };
    let found = [
        ("operations", operations, app.column("SELECT vmid || ' ' || state || ' ' || id FROM operations").await),
        ("events", events, own(app.column("SELECT vmid || ' ' || kind || ' ' || COALESCE(operation_id, '-') FROM container_events").await)),
        ("tasks", tasks, app.cluster.tasks().iter().filter_map(|upid| Some(upid.split(':').nth(6)?.to_owned())).collect()),
    ];
    for (what, mut expected, mut found) in found {
        expected.sort();
        found.sort();
        if found != expected {
            return wrong(what, format!("{found:?} and not {expected:?}"));
        }
    }
    let rows = app.column("SELECT vmid || ' ' || status FROM containers").await;
    for (number, status) in statuses {
        let really = if status == "running" { Really::Running } else { Really::Stopped };
        let is_so = app.cluster.container_status(number) == Some(really);
        if !is_so || !rows.contains(&format!("{number} {status}")) {
            return wrong("row and container", format!("{number} is not {status}: {rows:?}"));
        }
    }
    Ok(())
}

/// As many had their turn as could, the rest is never begun, and its page says why.
async fn tells_it(app: &TestApp, alice: &Browser<'_>, batch: &BatchView, case: Case) -> Result<(), String> {
    let wrong = |what: &str, found: String| Err(format!("{what}: {found} {:?}", batch.tally));
    let (tally, cut) = (batch.tally, cut(case));
    if (tally.total, batch.cut) != (ALL.len(), cut) {
        return wrong("why it ended", format!("{:?}", batch.cut));
    }
    let taken = app.column("SELECT operation_id FROM batch_items WHERE operation_id IS NOT NULL").await.len();
    if !had_their_turn(case).contains(&taken) {
        return wrong("so many had their turn", taken.to_string());
    }
    // what was under way when nothing more was begun has ended as if nothing had happened
    if case.way.is_stepped() && (tally.done, tally.failed, tally.refused) != (AT_ONCE - 1, 1, 0) {
        return wrong("what was under way", String::new());
    }
    if case.way == Way::BatchOfWhichSomeHaveEnded && tally.done == 0 {
        return wrong("what had ended", String::new());
    }
    // not even whoever worked on it can go on
    let holder: Holder = app.column("SELECT holder FROM batches").await.remove(0).parse().unwrap();
    for item in batch.items.iter().filter(|item| item.state == ItemState::NotBegun) {
        if take(&app.db(), &batch.id, &holder, item.position, &OperationId::fresh()).await.unwrap() {
            return wrong("it can be begun still", format!("{item:?}"));
        }
    }
    let page = alice.open(&berth::paths::batch(&batch.id)).await.text;
    let whys = page.matches("Not begun: ").count();
    let says_why = cut.is_none_or(|cut| page.matches(cut.sentence()).count() == tally.not_begun);
    let again = format!("Retry what was not done ({})", tally.bad());
    if whys != tally.not_begun || !says_why || !page.contains(&tally.sentence()) || !page.contains(&again) {
        return wrong("the page", page);
    }
    Ok(())
}

/// Why it ended, where somebody could still say so.
fn cut(Case { way, left_at, point }: Case) -> Option<Cut> {
    let is_said = left_at.is_none() && (point.step, point.side) == (StepKind::EndBatch, Side::After);
    match way {
        Way::Batch if is_said => None,
        Way::BatchOfWhoSignsOut if is_said => Some(Cut::SignedOut),
        _ => Some(Cut::Stopped),
    }
}

/// How many containers can have been taken up.
fn had_their_turn(Case { way, left_at, point }: Case) -> RangeInclusive<usize> {
    let all = ALL.len();
    match (point.step, point.side) {
        _ if left_at.is_some() => 1..=all,
        (StepKind::CreateBatch, _) => 0..=0,
        (StepKind::TakeItem, Side::Before) => 0..=way.passage() - 1,
        (StepKind::TakeItem, Side::After) => way.passage()..=all,
        (StepKind::EndBatch, _) if way == Way::Batch => all..=all,
        (StepKind::EndBatch, _) => AT_ONCE..=AT_ONCE,
        _ if way == Way::BatchThatTakesLong => AT_ONCE..=AT_ONCE,
        _ => 0..=all,
    }
}
