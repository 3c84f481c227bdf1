//! Sessions and their tickets.

use crate::harness::{Setup, TestApp, sign_in_as};
use berth::{
    auth::api::{GetMe, SignOut},
    containers::api::ListContainers,
    error::AppError,
    server::session::{IDLE, Sessions, session_key},
    simulator::{Fault, FaultAction},
};
use std::{collections::HashMap, os::unix::fs::PermissionsExt};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
};

#[tokio::test]
async fn the_cookie_is_for_the_server_alone() {
    let app = TestApp::start().await;
    let answer = app.stranger().post(sign_in_as("alice", "pve", "berth")).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("berth=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn under_https_the_cookie_is_secure() {
    let public_url = Some("https://berth.example".parse().unwrap());
    let app = TestApp::with(Setup { public_url, ..Setup::quick() }).await;
    let answer = app.stranger().post(sign_in_as("alice", "pve", "berth")).await;
    assert!(answer.header("set-cookie").contains("Secure"));
}

#[tokio::test]
async fn neither_the_cookie_nor_the_ticket_stands_in_the_database() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let cookie = alice.cookies().split_once('=').unwrap().1.to_owned();
    let id = cookie.parse().unwrap();
    assert_eq!(app.column("SELECT session_id FROM tickets").await, [session_key(&id)]);
    assert!(!app.column("SELECT id FROM sessions").await.contains(&cookie));
    assert!(app.column("SELECT data FROM sessions").await.iter().all(|data| !data.contains("PVE:")));
    let file = app.data.path().join("berth.db");
    if std::env::var_os("BERTH_TEST_POSTGRES").is_none() {
        for file in [file.clone(), file.with_extension("db-wal")] {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(5).any(|w| w == b"PVE:a"), "{file:?}");
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{file:?}");
        }
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_in_the_store_and_its_ticket_goes_with_it() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let copy = alice.twin();
    assert_eq!(alice.post(SignOut {}).await.header("location"), "/login");
    assert_eq!(copy.read(GetMe {}).await.error(), AppError::SignedOut);
    assert_eq!(app.column("SELECT session_id FROM tickets").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_new_sign_in_has_a_new_session_and_ends_the_old_one() {
    let app = TestApp::start().await;
    let browser = app.sign_in("alice@pve").await;
    let old = browser.twin();
    browser.post(sign_in_as("bob", "pve", "berth")).await;
    assert_ne!(browser.cookies(), old.cookies());
    assert_eq!(old.read(GetMe {}).await.error(), AppError::SignedOut);
}

#[tokio::test]
async fn a_session_that_has_expired_is_none() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.execute("UPDATE sessions SET expires_at = 1").await;
    assert_eq!(alice.read(GetMe {}).await.error(), AppError::SignedOut);
}

#[tokio::test]
async fn a_made_up_cookie_is_none() {
    let app = TestApp::start().await;
    for cookie in ["berth=x", "berth=AAAAAAAAAAAAAAAAAAAAAA", "berth=", "berth=%00%ff"] {
        let answer = app.stranger().send(reqwest::Method::GET, "/", &[("cookie", cookie)], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/login"), "{cookie}");
    }
}

#[tokio::test]
async fn a_ticket_is_renewed_while_somebody_works() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.execute("UPDATE tickets SET issued_at = issued_at - 1000").await;
    app.cluster.clear_requests();
    assert_eq!(alice.read(ListContainers {}).await.status, 200);
    let renewals = || app.cluster.requests().iter().filter(|r| r.path.ends_with("/access/ticket")).count();
    assert_eq!(renewals(), 1);
    assert_eq!(alice.read(ListContainers {}).await.status, 200);
    assert_eq!(renewals(), 1, "the new ticket is young");
}

#[tokio::test]
async fn a_ticket_that_is_renewed_in_the_middle_of_a_call_is_kept() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.execute("UPDATE tickets SET issued_at = issued_at - 100").await;
    let issued = async || app.column("SELECT CAST(issued_at AS TEXT) FROM tickets").await;
    let before = issued().await;
    let refused = FaultAction::Status { code: 401, reason: "permission denied - invalid PVE ticket".into() };
    app.cluster.fault(Fault::new(refused).path_prefix("/cluster/resources").times(1));
    assert_eq!(alice.read(ListContainers {}).await.status, 200);
    let kept = async {
        while issued().await == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), kept).await.expect("the new ticket is in the database");
}

#[tokio::test]
async fn a_person_at_work_is_not_thrown_out_after_two_hours() {
    let app = TestApp::with(Setup::stepped()).await;
    let alice = app.sign_in("alice@pve").await;
    for _ in 0..3 {
        app.cluster.advance(std::time::Duration::from_secs(100 * 60));
        app.execute("UPDATE tickets SET issued_at = issued_at - 6000").await;
        assert_eq!(alice.read(ListContainers {}).await.status, 200);
    }
}

#[tokio::test]
async fn a_dead_ticket_cannot_renew_itself_and_ends_the_session() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.cluster.expire_tickets();
    app.execute("UPDATE tickets SET issued_at = issued_at - 1000").await;
    assert_eq!(alice.read(ListContainers {}).await.error(), AppError::SignedOut);
    assert_eq!(app.column("SELECT id FROM sessions").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_ticket_that_died_in_mid_session_leads_a_page_to_the_sign_in_form() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.cluster.expire_tickets();
    let answer = alice.open("/?tag=prod").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/login?next=/%3Ftag%3Dprod"));
}

#[tokio::test]
async fn a_session_outlives_a_restart_of_the_cluster_and_a_short_outage() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.cluster.stop_listening().await;
    let page = alice.open("/").await;
    assert!(page.text.contains("homelab cannot be reached."), "{}", page.text);
    app.cluster.resume_listening().await;
    // each look at the trouble asks whether it is over, and none waits long for that
    let answers = async {
        loop {
            let page = alice.open("/").await;
            if !page.text.contains("homelab cannot be reached.") {
                return page;
            }
        }
    };
    let page = tokio::time::timeout(std::time::Duration::from_secs(60), answers).await.expect("the cluster is reached again");
    assert!(page.text.contains(alice.id(103).await.as_str()));
}

#[tokio::test]
async fn a_request_that_ends_after_the_sign_out_does_not_bring_the_session_back() {
    let app = TestApp::start().await;
    app.sign_in("alice@pve").await;
    let sessions = Sessions(app.db());
    let mut record = Record { id: Id::default(), data: HashMap::new(), expiry_date: OffsetDateTime::now_utc() + IDLE };
    sessions.create(&mut record).await.unwrap();
    sessions.delete(&record.id).await.unwrap();
    sessions.save(&record).await.unwrap();
    assert_eq!(sessions.load(&record.id).await.unwrap(), None);
}

#[tokio::test]
async fn two_sessions_never_get_the_same_id() {
    let app = TestApp::start().await;
    let sessions = Sessions(app.db());
    let mut first = Record { id: Id::default(), data: HashMap::new(), expiry_date: OffsetDateTime::now_utc() + IDLE };
    sessions.create(&mut first).await.unwrap();
    let mut second = first.clone();
    sessions.create(&mut second).await.unwrap();
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn what_has_expired_is_removed_and_its_ticket_with_it() {
    let app = TestApp::start().await;
    app.sign_in("alice@pve").await;
    app.execute("UPDATE sessions SET expires_at = 100").await;
    app.sign_in("bob@pve").await;
    assert_eq!(Sessions(app.db()).delete_expired(100).await.unwrap(), 1);
    assert_eq!(app.column("SELECT user_id FROM tickets").await, ["bob@pve"]);
}

#[tokio::test]
async fn a_sign_in_that_was_cut_off_before_its_ticket_was_kept_is_no_session() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    // as after a kill -9 between the two writes
    app.execute("DELETE FROM tickets").await;
    assert_eq!(alice.read(ListContainers {}).await.error(), AppError::SignedOut);
    assert_eq!(app.column("SELECT id FROM sessions").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_dead_session_of_one_browser_does_not_end_that_of_another() {
    let app = TestApp::with(Setup::stepped()).await;
    let (dead, alive) = (app.sign_in("alice@pve").await, app.sign_in("alice@pve").await);
    let key = session_key(&dead.cookies().split_once('=').unwrap().1.parse().unwrap());
    app.forget_ticket(&key).await;
    // whichever asks first, the other joins its question
    let (_, joined) = tokio::join!(dead.read(ListContainers {}), alive.read(ListContainers {}));
    assert_eq!(joined.status, 200, "{}", joined.text);
    assert_eq!(dead.read(ListContainers {}).await.error(), AppError::SignedOut);
    assert_eq!(alive.read(GetMe {}).await.status, 200);
}

#[tokio::test]
async fn without_a_database_a_page_says_so_with_the_number_that_is_in_the_log() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.break_database().await;
    let page = alice.open("/").await;
    assert_eq!(page.status, 500);
    assert!(page.text.contains("Something went wrong in Berth.") && page.text.contains("Reference <code>"), "{}", page.text);
}
