//! Many verbs on one container at once: on PostgreSQL from two processes, on SQLite from the one that there is.

use crate::{
    crash::Replica,
    harness::{Setup, TestApp},
};
use berth::{
    error::AppError,
    operations::model::{ContainerId, Outcome, Verb},
    server::config::Lifecycle,
};
use futures::future::join_all;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

const VERBS: usize = 200;

/// Berth with another process on its database, where that can be; and the addresses at which it is asked.
async fn berths(setup: Setup) -> (TestApp, Option<Replica>, Vec<String>) {
    let lifecycle = Lifecycle { answer_within: Duration::from_secs(60), ..Lifecycle::default() };
    let app = TestApp::with(Setup { lifecycle, ..setup }).await;
    if app.config.database_url.is_none() {
        let urls = vec![app.url.clone()];
        return (app, None, urls);
    }
    let (replica, url) = Replica::start(&app).await;
    let urls = vec![app.url.clone(), url];
    (app, Some(replica), urls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_verbs_at_once_one_works_and_each_other_hears_that_it_is_busy() {
    let (app, _replica, urls) = berths(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let cookies = alice.cookies();
    let refused = AtomicUsize::new(0);
    let all = (0..VERBS).map(async |n| {
        let answer = app.browser_at(&urls[n % urls.len()], &cookies).act_on(Verb::Start, id.clone(), "").await;
        if answer.status.is_success() {
            return true;
        }
        let error = answer.error();
        assert!(matches!(&error, AppError::Busy { verb: Verb::Start, by, .. } if by.as_str() == "alice@pve"), "{error:?}");
        if refused.fetch_add(1, Ordering::Relaxed) == VERBS - 2 {
            app.cluster.finish_tasks();
        }
        false
    });
    let worked = join_all(all).await.into_iter().filter(|worked| *worked).count();
    assert_eq!((worked, refused.into_inner()), (1, VERBS - 1));
    assert_eq!(app.writes(), ["POST /nodes/pve1/lxc/103/status/start"]);
    assert_eq!(app.column("SELECT kind FROM container_events").await, ["started"]);
    assert!(app.column("SELECT operation_id FROM leases").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_verbs_that_come_and_go_no_two_work_at_the_same_time_and_each_has_its_event() {
    let (app, _replica, urls) = berths(Setup::quick()).await;
    let alice = app.sign_in("alice@pve").await;
    let id: ContainerId = alice.id(103).await;
    let cookies = alice.cookies();
    let all = (0..VERBS).map(async |n| {
        let verb = [Verb::Start, Verb::Stop, Verb::Restart][n % 3];
        let browser = app.browser_at(&urls[n % urls.len()], &cookies);
        tokio::time::sleep(Duration::from_millis(10 * n as u64)).await;
        let answer = browser.act_on(verb, id.clone(), "").await;
        match answer.status.is_success() {
            true => Ok(answer.json::<Outcome>()),
            false => Err(answer.error()),
        }
    });
    let answers = join_all(all).await;
    let worked = answers.iter().filter(|answer| matches!(answer, Ok(Outcome::Done(_)))).count();
    for answer in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let expected = matches!(answer, AppError::Busy { .. } | AppError::AlreadyRunning { .. } | AppError::NotRunning { .. });
        assert!(expected, "{answer:?}");
    }
    // by the database's clock: each begins after the end of the one before
    let overlaps = "SELECT a.id FROM operations a JOIN operations b
         ON a.id <> b.id AND a.started_at <= b.started_at AND b.started_at < a.ended_at";
    assert_eq!(app.column(overlaps).await, Vec::<String>::new());
    assert_eq!(app.column("SELECT id FROM operations WHERE state = 'succeeded'").await.len(), worked);
    assert!(worked > 1);
    let events =
        "SELECT operation_id FROM container_events WHERE kind IN ('started', 'stopped') AND operation_id IS NOT NULL GROUP BY operation_id";
    assert_eq!(app.column(events).await.len(), worked);
    assert!(app.column("SELECT operation_id FROM leases").await.is_empty());
}
