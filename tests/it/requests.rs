//! Requests that no page of ours sends.

use crate::harness::{Setup, TestApp};
use berth::{error::AppError, server::web::OPEN_FUNCTIONS, startup::Application};
use leptos::server_fn::axum::server_fn_paths;
use reqwest::{Method, StatusCode};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn every_server_function_but_the_named_few_is_closed_to_strangers_before_it_reads_its_arguments() {
    let app = TestApp::start().await;
    let (mut closed, mut open) = (0, 0);
    for (path, method) in server_fn_paths() {
        let answer = app.stranger().send(method, path, &[FORM], "nonsense=%ff").await;
        if OPEN_FUNCTIONS.contains(&path) {
            open += 1;
            assert!(answer.status == StatusCode::OK || answer.error() == AppError::BadRequest, "{path}: {answer:?}");
        } else {
            closed += 1;
            assert_eq!(answer.error(), AppError::SignedOut, "{path}");
        }
    }
    assert_eq!(open, OPEN_FUNCTIONS.len());
    assert!(closed >= 6, "{closed}");
}

#[tokio::test]
async fn every_page_is_closed_to_strangers_but_the_sign_in_form() {
    let app = TestApp::start().await;
    for path in ["/", "/nowhere", "/containers/101", "/login/x", "//evil.example"] {
        let answer = app.stranger().open(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header("location").starts_with("/login"), "{path}");
    }
    assert_eq!(app.stranger().open("/login").await.status, StatusCode::OK);
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.open("/login").await.header("location"), "/");
    assert_eq!(alice.open("/nowhere").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ten_megabytes_are_refused() {
    let app = TestApp::start().await;
    let answer = app.stranger().send(Method::POST, "/api/sign_in", &[FORM], vec![b'a'; 10 << 20]).await;
    assert_eq!(answer.error(), AppError::TooLarge);
}

#[tokio::test]
async fn a_header_bomb_is_refused() {
    let app = TestApp::start().await;
    let names: Vec<String> = (0..500).map(|n| format!("x-bomb-{n}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "boom")).collect();
    let answer = app.stranger().send(Method::GET, "/login", &headers, "").await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn what_is_no_utf8_or_no_form_is_a_bad_request() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    for body in [&b"id=\xff\xfe"[..], b"id=abc", b"id=101", b"id=-1", b"id=0190163D8694739BAEA5966C26F8AD91", b"", b"&&&===", b"id=1&id=2"]
    {
        let answer = alice.send(Method::POST, "/api/start_container", &[FORM], body.to_vec()).await;
        assert_eq!(answer.error(), AppError::BadRequest, "{:?}", String::from_utf8_lossy(body));
    }
    assert_eq!(app.stranger().send(Method::POST, "/api/sign_in", &[FORM], vec![0xff; 20]).await.error(), AppError::BadRequest);
    assert_eq!(app.writes(), Vec::<String>::new());
    for query in ["/login?next=%ff%fe", "/login?cluster=%ff", "/login?cluster=nosuch&next=", "/login?%"] {
        assert_eq!(app.stranger().open(query).await.status, StatusCode::OK, "{query}");
    }
}

#[tokio::test]
async fn a_function_that_there_is_not_is_not_found() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    assert_eq!(alice.send(Method::POST, "/api/delete_everything", &[FORM], "").await.error(), AppError::NoSuchPage);
    assert_eq!(app.stranger().send(Method::POST, "/api/delete_everything", &[FORM], "").await.error(), AppError::SignedOut);
}

#[tokio::test]
async fn what_another_sites_page_sends_is_not_carried_out() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    for foreign in
        [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    {
        let answer = alice.send(Method::POST, "/api/start_container", &[FORM, foreign], "vmid=103").await;
        assert_eq!(answer.error(), AppError::ForeignOrigin, "{foreign:?}");
    }
    assert_eq!(app.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn behind_a_proxy_the_public_address_is_the_origin() {
    let app = TestApp::with(Setup { public_url: Some("https://berth.example".parse().unwrap()), ..Setup::quick() }).await;
    let alice = app.sign_in("alice@pve").await;
    let id = alice.id(103).await;
    let start = async |origin| alice.send(Method::POST, "/api/start_container", &[FORM, ("origin", origin)], format!("id={id}")).await;
    assert_eq!(start(&app.url).await.error(), AppError::ForeignOrigin);
    assert_eq!(start("https://berth.example").await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let app = TestApp::start().await;
    let page = app.stranger().open("/login").await;
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self' 'nonce-", "frame-ancestors 'none'", "form-action 'self'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe-inline"));
    assert!(!page.text.contains(" style=\""), "no inline styles");
    for answer in [page, app.stranger().open("/").await, app.stranger().open("/api/get_me").await] {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.header("content-security-policy").is_empty());
    }
}

#[tokio::test]
async fn the_sites_files_are_kept_for_good_and_come_compressed() {
    let app = TestApp::start().await;
    let file = app.stranger().send(Method::GET, "/pkg/berth.js", &[("accept-encoding", "gzip, br")], "").await;
    assert_eq!((file.header("content-encoding"), file.text.as_str()), ("br", "br"));
    assert!(file.header("cache-control").contains("immutable"));
    assert_eq!(app.stranger().open("/pkg/berth.js").await.text, "1");
    assert_eq!(app.stranger().open("/pkg/of-another-build.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.stranger().open("/healthz").await.text, "ok");
}

#[tokio::test]
async fn a_second_berth_on_the_same_directory_refuses_to_start() {
    let app = TestApp::start().await;
    if std::env::var_os("BERTH_TEST_POSTGRES").is_some() {
        // replicas share a PostgreSQL; the directory holds the key alone
        return;
    }
    let file = format!(
        "listen = \"127.0.0.1:0\"\ndata_dir = {:?}\nsite = {:?}\n[[cluster]]\nname = \"homelab\"\nhost = \"127.0.0.1\"\n",
        app.data.path(),
        app.data.path().join("site")
    );
    let config = berth::server::config::Settings::parse(&file).unwrap().config().unwrap();
    let error = Application::build(config).await.err().expect("it refuses");
    assert!(berth::server::telemetry::chain(&error).contains("another Berth already works on"), "{error}");
}
