//! The stream that tells a tab to look again: across replicas, to nobody who may not hear of it, and only as long as it has to be open.

use crate::harness::{Browser, Listening, Running, Setup, TestApp};
use berth::{
    auth::api::SignOut,
    operations::{
        model::{OperationState, Verb},
        probe::Probe,
    },
    paths,
};
use std::time::{Duration, Instant};
use tokio::{net::TcpStream, time::timeout};

/// Two beats of the stream, and some time for a machine that is busy.
const SOON: Duration = Duration::from_secs(4);
/// Half of what requests get at the end.
const WELL_WITHIN: Duration = Duration::from_secs(5);

/// What a tab hears next.
async fn hears(tab: &mut Listening) -> Option<String> {
    timeout(SOON, tab.next()).await.expect("it hears something soon")
}

/// Until nothing more comes of what has happened so far.
async fn listen_out(tab: &mut Listening) {
    while timeout(SOON / 2, tab.next()).await.is_ok() {}
}

/// Another Berth on the same database where that can be, else the only one.
async fn replica(app: &TestApp) -> (String, Option<Running>) {
    if app.config.database_url.is_none() {
        return (app.url.clone(), None);
    }
    let config = berth::server::config::Config { data_dir: app.data.path().join("replica"), ..app.config.clone() };
    let running = Running::start(config, Probe::default()).await;
    (running.url.clone(), Some(running))
}

/// A tab that shows the list, and listens.
async fn tab(browser: &Browser<'_>) -> Listening {
    browser.open(paths::home()).await;
    browser.listen().await
}

#[tokio::test]
async fn what_begins_and_ends_at_one_replica_is_heard_at_another_by_who_may_hear_of_it() {
    let mut app = TestApp::with(Setup::stepped()).await;
    let (other, running) = replica(&app).await;
    let cookies =
        [app.sign_in("alice@pve").await.cookies(), app.sign_in("bob@pve").await.cookies(), app.sign_in("nobody@pve").await.cookies()];
    let [alice, bob, nobody] = cookies.each_ref().map(|cookies| app.browser_at(&other, cookies));
    let (mut hers, mut his, mut nobodys) = (tab(&alice).await, tab(&bob).await, tab(&nobody).await);
    let here = app.browser(&cookies[0]);
    let (id, seen_by_bob) = (here.id(110).await, here.id(103).await);

    let act = async {
        tokio::select! {
            answer = here.act(Verb::Start, 110) => panic!("it has not begun to be heard of: {}", answer.text),
            heard = hears(&mut hers) => heard,
        }
    };
    assert_eq!(act.await, Some(id.to_string()), "it has begun");
    app.cluster.wait_for_running_tasks(1).await;
    listen_out(&mut hers).await;
    app.cluster.finish_tasks();
    assert_eq!(hears(&mut hers).await, Some(id.to_string()), "it has ended");
    let operation = app.column("SELECT id FROM operations").await.remove(0).parse().unwrap();
    assert_eq!(alice.operation(&operation).await.state, OperationState::Succeeded);

    // who may not audit it: the first that he hears is of another one
    tokio::select! {
        answer = here.act(Verb::Start, 103) => panic!("it has not begun to be heard of: {}", answer.text),
        heard = hears(&mut his) => assert_eq!(heard, Some(seen_by_bob.to_string())),
    }
    // who may see nothing hears the end of the stream and nothing before
    match running {
        Some(running) => running.stop().await,
        None => app.stop().await,
    }
    assert_eq!(hears(&mut nobodys).await, None);
}

#[tokio::test]
async fn a_stream_is_for_who_is_signed_in_and_ends_with_the_session() {
    let app = TestApp::with(Setup::stepped()).await;
    assert!(app.stranger().open(paths::live()).await.status.is_client_error());
    let alice = app.sign_in("alice@pve").await;
    let mut stream = tab(&alice).await;
    alice.twin().post(SignOut {}).await;
    // it is looked for every ten seconds
    let ended = timeout(Duration::from_secs(15), stream.next()).await.expect("it ends");
    assert_eq!(ended, None);
}

#[tokio::test]
async fn an_open_stream_an_idle_connection_and_a_verb_that_is_waited_for_do_not_hold_up_the_end() {
    let mut app = TestApp::with(Setup::stepped()).await;
    let cookies = app.sign_in("alice@pve").await.cookies();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(tab(&app.browser(&cookies)).await);
    }
    // as a browser opens them for what may come
    let address = app.url.strip_prefix("http://").unwrap().to_owned();
    let silent = [TcpStream::connect(&address).await.unwrap(), TcpStream::connect(&address).await.unwrap()];
    let began = {
        let berth = app.take();
        let alice = app.browser(&cookies);
        let (answer, began) = tokio::join!(alice.act(Verb::Start, 103), async {
            app.cluster.wait_for_running_tasks(1).await;
            let began = Instant::now();
            berth.stop().await;
            began
        });
        answer.goes_on();
        began
    };
    assert!(began.elapsed() < WELL_WITHIN, "{:?}", began.elapsed());
    for stream in &mut streams {
        // what it has heard so far, and the end
        while stream.next().await.is_some() {}
    }
    drop(silent);
}
