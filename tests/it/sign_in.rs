//! Signing in.

use crate::harness::{Setup, TestApp, sign_in_as};
use berth::{
    auth::{
        api::{GetMe, GetSignInForm, SignIn},
        model::{Me, SignInForm},
    },
    error::{AppError, Field, Flaw},
    proxmox::{client::Address, tls::Trust},
    server::config::ClusterConfig,
    simulator::{Fault, FaultAction},
};

#[tokio::test]
async fn a_proxmox_account_signs_in_and_is_known_afterwards() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    let me: Me = alice.read(GetMe {}).await.json();
    assert_eq!((me.user.as_str(), me.cluster.as_str()), ("alice@pve", "homelab"));
}

#[tokio::test]
async fn the_form_offers_the_clusters_realms_with_its_default_first_chosen() {
    let app = TestApp::start().await;
    let form: SignInForm = app.stranger().read(GetSignInForm { cluster: None }).await.json();
    let realms: Vec<_> = form.realms.iter().map(|r| (r.realm.as_str(), r.title.as_str(), r.default)).collect();
    assert!(realms.contains(&("pve", "Proxmox VE (pve)", true)), "{realms:?}");
    assert!(realms.contains(&("pam", "Linux PAM (pam)", false)), "{realms:?}");
    assert_eq!(form.trouble, None);
}

#[tokio::test]
async fn without_a_cluster_berth_starts_and_says_how_to_connect_one() {
    let mut app = TestApp::start().await;
    let cookies = app.sign_in("alice@pve").await.cookies();
    app.config.clusters.clear();
    app.restart().await;
    for visitor in [app.stranger(), app.browser(&cookies)] {
        let home = visitor.open("/").await;
        assert_eq!((home.status.as_u16(), home.header("location")), (303, "/login"));
        let page = visitor.open("/login").await;
        assert!(page.status == 200 && page.text.contains("Connect a cluster") && page.text.contains("[[cluster]]"), "{}", page.text);
        assert!(!page.text.contains("name=\"password\""), "there is nowhere to send one");
        assert_eq!(visitor.post(sign_in_as("alice", "pve", "berth")).await.error(), AppError::NoCluster);
    }
}

#[tokio::test]
async fn whatever_proxmox_refuses_is_refused_in_one_way() {
    let app = TestApp::start().await;
    for (user, realm, password) in [("alice", "pve", "wrong"), ("nosuch", "pve", "berth"), ("disabled", "pve", "berth")] {
        let error = app.stranger().post(sign_in_as(user, realm, password)).await.error();
        assert!(matches!(error, AppError::WrongCredentials { .. }), "{user}: {error:?}");
    }
}

#[tokio::test]
async fn bad_input_is_answered_by_field_and_asks_proxmox_nothing() {
    let app = TestApp::start().await;
    let refused = |field, flaw| AppError::Invalid { field, flaw };
    let long = "x".repeat(100);
    for (arguments, error) in [
        (sign_in_as("", "pve", "berth"), refused(Field::Username, Flaw::Empty)),
        (sign_in_as("   ", "pve", "berth"), refused(Field::Username, Flaw::Empty)),
        (sign_in_as("a/b", "pve", "berth"), refused(Field::Username, Flaw::Malformed)),
        (sign_in_as(&long, "pve", "berth"), refused(Field::Username, Flaw::Malformed)),
        (sign_in_as("alice", "pve", ""), refused(Field::Password, Flaw::Empty)),
        (sign_in_as("alice", "", "berth"), refused(Field::Realm, Flaw::Empty)),
        (sign_in_as("alice", "nosuch", "berth"), refused(Field::Realm, Flaw::Unknown)),
        (sign_in_as("alice", "../x", "berth"), refused(Field::Realm, Flaw::Unknown)),
        (SignIn { cluster: "evil.example".into(), ..sign_in_as("alice", "pve", "berth") }, refused(Field::Cluster, Flaw::Unknown)),
    ] {
        assert_eq!(app.stranger().post(arguments).await.error(), error);
    }
    assert!(app.cluster.requests().iter().all(|request| request.path.ends_with("/access/domains")));
}

fn office() -> ClusterConfig {
    // nothing listens on port 1
    let address = Address { host: "127.0.0.1".into(), port: 1, trust: Trust::System };
    ClusterConfig { name: "office".parse().unwrap(), addresses: vec![address] }
}

#[tokio::test]
async fn signing_in_leads_to_a_page_of_ours_and_nowhere_else() {
    let app = TestApp::with(Setup { others: vec![office()], ..Setup::quick() }).await;
    for (next, to) in [("/?tag=prod", "/?tag=prod"), ("https://evil.example", "/"), ("//evil.example", "/"), ("/\\evil.example", "/")] {
        let answer = app.stranger().post(SignIn { next: Some(next.into()), ..sign_in_as("alice", "pve", "berth") }).await;
        assert_eq!(answer.header("location"), to, "{next}");
        let page = app.stranger().open(&format!("/login?next={next}")).await;
        assert!(page.text.contains("href=\"/login?cluster=office"), "{}", page.text);
        assert!(!page.text.contains("href=\"//") && !page.text.contains("href=\"https://evil"), "{next}");
        assert!(!page.text.contains("&amp;next=//") && !page.text.contains("&amp;next=https"), "{next}");
    }
}

#[tokio::test]
async fn without_javascript_the_form_comes_back_with_the_error_and_all_but_the_password() {
    let app = TestApp::start().await;
    let browser = app.stranger();
    let body = "cluster=homelab&username=alice%26co&realm=pam&password=hunter2&next=/";
    let answer = browser.submit("/login?next=/", "/api/sign_in", body).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/login?next=/"));
    assert!(!browser.cookies().contains("hunter2"));
    let page = browser.open("/login?next=/").await;
    assert!(page.text.contains("Wrong user name or password."), "{}", page.text);
    assert!(page.text.contains("value=\"alice&amp;co\""), "{}", page.text);
    assert!(!page.text.contains("hunter2"));
    let again = browser.open("/login?next=/").await;
    assert!(!again.text.contains("Wrong user name or password."));
}

#[tokio::test]
async fn a_cluster_that_is_away_has_its_own_sentence_and_the_form_stays() {
    let app = TestApp::start().await;
    app.cluster.stop_listening().await;
    let form: SignInForm = app.stranger().read(GetSignInForm { cluster: None }).await.json();
    assert!(matches!(form.trouble, Some(AppError::ClusterUnreachable { .. })), "{form:?}");
    assert_eq!(form.realms.len(), 2);
    let error = app.stranger().post(sign_in_as("alice", "pve", "berth")).await.error();
    assert!(matches!(error, AppError::ClusterUnreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn the_form_comes_while_the_cluster_hangs() {
    let app = TestApp::with(Setup { page_budget: Setup::SHORT, ..Setup::stepped() }).await;
    app.cluster.fault(Fault::new(FaultAction::Hang));
    let page = app.stranger().open("/login").await;
    assert!(page.text.contains("homelab does not answer in time."), "{}", page.text);
    assert!(page.text.contains("name=\"password\""));
    app.cluster.clear_faults();
}

#[tokio::test]
async fn a_cluster_is_chosen_without_javascript_and_only_among_the_configured() {
    let app = TestApp::with(Setup { others: vec![office()], ..Setup::quick() }).await;
    let page = app.stranger().open("/login?next=/%3Ftag%3Dprod").await;
    assert!(page.text.contains("href=\"/login?cluster=office&amp;next=/%3Ftag%3Dprod\""), "{}", page.text);
    assert!(!page.text.contains("cannot be reached"));
    let page = app.stranger().open("/login?cluster=office").await;
    assert!(page.text.contains("office cannot be reached."), "{}", page.text);
    assert!(page.text.contains("name=\"cluster\" value=\"office\""), "{}", page.text);
    let page = app.stranger().open("/login?cluster=evil.example").await;
    assert!(page.text.contains("name=\"cluster\" value=\"homelab\""), "{}", page.text);
}
