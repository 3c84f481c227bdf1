//! The second step of signing in, for accounts with a second factor.

use crate::harness::{Answer, Browser, Setup, TestApp, sign_in_as};
use berth::{
    auth::{
        api::{EnterSecondFactor, GetMe, SignIn},
        model::Me,
    },
    error::{AppError, Field, Flaw},
    proxmox::ids::OtherFactor,
    simulator::{File, Simulator},
};
use ring::hmac;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the authenticator app of `twofactor@pve` holds: JBSWY3DPEHPK3PXP in Base32.
const SECRET: &[u8] = b"Hello!\xde\xad\xbe\xef";
const KEYS: [&str; 3] = ["1111-2222-3333-4444", "5555-6666-7777-8888", "9999-aaaa-bbbb-cccc"];

/// What the app shows now (RFC 6238: SHA-1, 30 s, six digits).
fn code(cluster: &Simulator) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET);
    let hash = hmac::sign(&key, &(cluster.now() / 30).to_be_bytes());
    let start = usize::from(hash.as_ref()[19] & 0xf);
    let number = u32::from_be_bytes(hash.as_ref()[start..start + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// What the app does not show now.
fn wrong_code(cluster: &Simulator) -> String {
    let number: u32 = code(cluster).parse().unwrap();
    format!("{:06}", (number + 500_000) % 1_000_000)
}

fn enter(code: &str) -> EnterSecondFactor {
    EnterSecondFactor { code: code.into(), recovery: false, next: None }
}

fn enter_key(key: &str) -> EnterSecondFactor {
    EnterSecondFactor { code: key.into(), recovery: true, next: None }
}

/// Somebody whose password was accepted.
async fn halfway(app: &TestApp) -> Browser<'_> {
    let browser = app.stranger();
    let answer = browser.post(sign_in_as("twofactor", "pve", "berth")).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (200, "/login/code?cluster=homelab"), "{}", answer.text);
    browser
}

async fn user(browser: &Browser<'_>) -> String {
    browser.read(GetMe {}).await.json::<Me>().user.to_string()
}

/// Where a form without JavaScript leads.
fn leads_to(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.header("location"))
}

#[tokio::test]
async fn the_right_code_signs_in_on_every_release() {
    for version in ["7.4", "8.4", "9.2"] {
        let app = TestApp::with(Setup::stepped()).await;
        app.cluster.load(File { version: serde_json::from_value(version.into()).unwrap(), ..File::demo() }).unwrap();
        let browser = halfway(&app).await;
        let answer = browser.post(EnterSecondFactor { next: Some("/?tag=prod".into()), ..enter(&code(&app.cluster)) }).await;
        assert_eq!(leads_to(&answer), (200, "/?tag=prod"), "{version}: {}", answer.text);
        assert_eq!(user(&browser).await, "twofactor@pve");
    }
}

#[tokio::test]
async fn a_code_is_taken_as_it_is_pasted() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    let code = code(&app.cluster);
    browser.post(enter(&format!(" {} {}\t", &code[..3], &code[3..]))).await;
    assert_eq!(user(&browser).await, "twofactor@pve");
}

#[tokio::test]
async fn a_recovery_key_signs_in_once() {
    let app = TestApp::with(Setup::stepped()).await;
    let (first, second) = (halfway(&app).await, halfway(&app).await);
    first.post(enter_key(KEYS[0])).await;
    assert_eq!(user(&first).await, "twofactor@pve");
    assert_eq!(second.post(enter_key(KEYS[0])).await.error(), AppError::WrongRecoveryKey);
    second.post(enter_key("5555666677778888")).await;
    assert_eq!(user(&second).await, "twofactor@pve");
}

#[tokio::test]
async fn the_page_offers_what_proxmox_takes() {
    let app = TestApp::with(Setup::stepped()).await;
    let page = halfway(&app).await.open("/login/code?cluster=homelab").await;
    assert!(page.text.contains("With a code of your authenticator app, or with a recovery key."), "{}", page.text);
    for key in KEYS {
        halfway(&app).await.post(enter_key(key)).await;
    }
    let page = halfway(&app).await.open("/login/code?cluster=homelab&key").await;
    assert!(page.text.contains("With a code of your authenticator app.") && page.text.contains("one-time-code"), "{}", page.text);
    assert!(!page.text.contains("Use a recovery key"));
}

#[tokio::test]
async fn an_account_that_has_only_a_key_is_told_which() {
    let app = TestApp::with(Setup::stepped()).await;
    let error = app.stranger().post(sign_in_as("yubikey", "corp", "berth")).await.error();
    assert_eq!(error, AppError::SecondFactorUnsupported { factor: OtherFactor::Yubico });
    assert_eq!(error.to_string(), "Your second factor is a Yubico key, which Berth cannot ask for.");
}

#[tokio::test]
async fn what_cannot_be_a_code_or_a_key_is_answered_by_field_and_costs_no_attempt() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    app.cluster.clear_requests();
    let refused = |field, flaw| AppError::Invalid { field, flaw };
    for (arguments, error) in [
        (enter(""), refused(Field::Code, Flaw::Empty)),
        (enter("12345"), refused(Field::Code, Flaw::Malformed)),
        (enter(KEYS[0]), refused(Field::Code, Flaw::Malformed)),
        (enter_key(" "), refused(Field::RecoveryKey, Flaw::Empty)),
        (enter_key("123456"), refused(Field::RecoveryKey, Flaw::Malformed)),
    ] {
        assert_eq!(browser.post(arguments).await.error(), error);
    }
    assert_eq!(app.cluster.requests().len(), 0);
}

#[tokio::test]
async fn without_javascript_a_wrong_code_is_refused_beside_its_field_as_often_as_it_is_entered() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = app.stranger();
    let body = "cluster=homelab&username=twofactor&realm=pve&password=berth&next=/%3Ftag%3Dprod";
    let answer = browser.submit("/login?next=/%3Ftag%3Dprod", "/api/sign_in", body).await;
    let here = "/login/code?cluster=homelab&next=/%3Ftag%3Dprod";
    assert_eq!(leads_to(&answer), (303, here));
    let page = browser.open(here).await;
    for part in [
        "name=\"code\"",
        "autocomplete=\"one-time-code\"",
        "inputmode=\"numeric\"",
        "autofocus",
        ">twofactor@pve<",
        ">homelab<",
        "href=\"/login/code?cluster=homelab&amp;next=/%3Ftag%3Dprod&amp;key\"",
        "href=\"/login?cluster=homelab&amp;next=/%3Ftag%3Dprod\"",
        "aria-invalid=\"false\"",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("hydrate") && !page.text.contains("<link rel=\"prefetch"), "it needs nothing of the program");
    assert_eq!(leads_to(&browser.submit(here, "/api/set_theme", "theme=dark").await), (303, here));
    let form = |code: &str| format!("username=twofactor&realm=pve&next=%2F%3Ftag%3Dprod&recovery=false&code={code}");
    for _ in 0..2 {
        let wrong = wrong_code(&app.cluster);
        let answer = browser.submit(here, "/api/enter_second_factor", form(&wrong)).await;
        assert_eq!(leads_to(&answer), (303, here));
        let page = browser.open(here).await;
        assert!(page.text.contains("Proxmox refused this code. Enter the next one."), "{}", page.text);
        assert!(page.text.contains("aria-invalid=\"true\"") && !page.text.contains("class=\"note"), "{}", page.text);
        assert!(!page.text.contains(&wrong), "{}", page.text);
    }
    let answer = browser.submit(here, "/api/enter_second_factor", form(&code(&app.cluster))).await;
    assert_eq!(leads_to(&answer), (303, "/?tag=prod"));
    assert_eq!(user(&browser).await, "twofactor@pve");
    assert_eq!(browser.open(here).await.header("location"), "/");
}

#[tokio::test]
async fn without_javascript_a_recovery_key_has_a_page_of_its_own() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    let here = "/login/code?cluster=homelab&key";
    let page = browser.open(here).await;
    assert!(page.text.contains("Recovery key") && page.text.contains("href=\"/login/code?cluster=homelab\""), "{}", page.text);
    let answer = browser.submit(here, "/api/enter_second_factor", "next=&recovery=true&code=0000-0000-0000-0000").await;
    assert_eq!(leads_to(&answer), (303, here));
    assert!(browser.open(here).await.text.contains("Proxmox refused this key. Each one works once."));
    let answer = browser.submit(here, "/api/enter_second_factor", format!("next=&recovery=true&code={}", KEYS[2])).await;
    assert_eq!(leads_to(&answer), (303, "/"));
    assert_eq!(user(&browser).await, "twofactor@pve");
}

#[tokio::test]
async fn who_comes_too_late_is_back_at_the_password_with_a_sentence() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    app.execute("UPDATE sessions SET expires_at = 1").await;
    app.cluster.clear_requests();
    let right = code(&app.cluster);
    assert_eq!(browser.post(enter(&right)).await.error(), AppError::SignInExpired);
    assert_eq!(app.cluster.requests().len(), 0);

    let sentence = "This sign-in has expired. Enter your password again.";
    let body = format!("username=twofactor&realm=pam&next=&recovery=false&code={right}");
    let answer = browser.submit("/login/code?cluster=homelab&next=/x", "/api/enter_second_factor", body).await;
    assert_eq!(leads_to(&answer), (303, "/login?cluster=homelab&next=/x"));
    let page = browser.open("/login?cluster=homelab&next=/x").await;
    assert!(page.text.contains(sentence) && page.text.contains("value=\"twofactor\""), "{}", page.text);
    assert!(page.text.contains("<option value=\"pam\" selected"), "{}", page.text);

    let answer = browser.open("/login/code?cluster=homelab&next=/x").await;
    assert_eq!(leads_to(&answer), (303, "/login?cluster=homelab&next=/x"));
    assert!(browser.open("/login?cluster=homelab&next=/x").await.text.contains(sentence));
}

#[tokio::test]
async fn a_sign_in_that_waits_for_its_second_factor_expires_after_five_minutes() {
    let app = TestApp::with(Setup::stepped()).await;
    let answer = app.stranger().post(sign_in_as("twofactor", "pve", "berth")).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("berth=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let age: u32 = cookie.split_once("Max-Age=").unwrap().1.split(';').next().unwrap().parse().unwrap();
    assert!((290..=300).contains(&age), "{cookie}");
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let expires: i64 = app.column("SELECT CAST(expires_at AS TEXT) FROM sessions").await[0].parse().unwrap();
    assert!((290..=300).contains(&(expires - now)), "{expires}");
}

#[tokio::test]
async fn reading_the_page_and_a_wrong_code_give_no_more_time_and_success_gives_a_whole_session() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    app.execute("UPDATE sessions SET expires_at = expires_at - 100").await;
    let expires = async || app.column("SELECT CAST(expires_at AS TEXT) FROM sessions").await;
    let before = expires().await;
    browser.open("/login/code?cluster=homelab").await;
    browser.post(enter(&wrong_code(&app.cluster))).await;
    assert_eq!(expires().await, before);
    browser.post(enter(&code(&app.cluster))).await;
    let [after] = &expires().await[..] else { panic!("one session") };
    assert!(after.parse::<i64>().unwrap() > before[0].parse::<i64>().unwrap() + 3600, "{after}");
}

#[tokio::test]
async fn half_a_sign_in_opens_nothing() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    assert_eq!(browser.read(GetMe {}).await.error(), AppError::SignedOut);
    assert_eq!(browser.open("/").await.header("location"), "/login");
    assert_eq!(app.column("SELECT session_id FROM tickets").await, Vec::<String>::new());
    // the form can be left, and somebody else signs in
    assert_eq!(browser.open("/login?cluster=homelab").await.status, 200);
    browser.post(sign_in_as("alice", "pve", "berth")).await;
    assert_eq!(user(&browser).await, "alice@pve");
    assert_eq!(browser.post(enter(&code(&app.cluster))).await.error(), AppError::SignInExpired);
}

#[tokio::test]
async fn the_challenge_of_one_browser_is_of_no_use_to_another() {
    let app = TestApp::with(Setup::stepped()).await;
    let (mine, other) = (halfway(&app).await, halfway(&app).await);
    let right = code(&app.cluster);
    app.cluster.clear_requests();
    assert_eq!(app.stranger().post(enter(&right)).await.error(), AppError::SignInExpired);
    assert_eq!(app.sign_in("alice@pve").await.post(enter(&right)).await.error(), AppError::SignInExpired);
    // not even in the database: what is sealed for one session opens in no other
    app.execute(
        "UPDATE sessions SET data = (SELECT MIN(data) FROM sessions WHERE data LIKE '%second_factor%') WHERE data LIKE '%second_factor%'",
    )
    .await;
    let answers = [mine.post(enter(&right)).await, other.post(enter(&right)).await];
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 401 && answer.error() == AppError::SignInExpired).count(), 1);
}

#[tokio::test]
async fn a_second_tab_goes_on_where_the_first_began_and_so_does_berth_after_a_restart() {
    let mut app = TestApp::with(Setup::stepped()).await;
    let cookies = halfway(&app).await.twin().cookies();
    app.restart().await;
    let browser = app.browser(&cookies);
    browser.post(enter(&code(&app.cluster))).await;
    assert_eq!(user(&browser).await, "twofactor@pve");
    assert_eq!(app.browser(&cookies).post(enter_key(KEYS[0])).await.error(), AppError::SignInExpired, "the half session has ended");
}

#[tokio::test]
async fn each_step_has_a_session_of_its_own_and_ends_the_one_before() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = app.sign_in("alice@pve").await;
    let before = browser.twin();
    browser.post(sign_in_as("twofactor", "pve", "berth")).await;
    let between = browser.twin();
    assert_eq!(before.read(GetMe {}).await.error(), AppError::SignedOut);
    browser.post(enter(&code(&app.cluster))).await;
    let ids = [before.cookies(), between.cookies(), browser.cookies()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    assert_eq!(between.read(GetMe {}).await.error(), AppError::SignedOut);
    assert_eq!(app.column("SELECT user_id FROM tickets").await, ["twofactor@pve"]);
}

#[tokio::test]
async fn a_cluster_that_goes_away_between_the_steps_has_its_own_sentence_and_nothing_is_lost() {
    let app = TestApp::with(Setup::stepped()).await;
    let browser = halfway(&app).await;
    app.cluster.stop_listening().await;
    let body = format!("recovery=false&code={}", code(&app.cluster));
    let here = "/login/code?cluster=homelab";
    assert_eq!(leads_to(&browser.submit(here, "/api/enter_second_factor", body).await), (303, here));
    let page = browser.open(here).await;
    assert!(page.text.contains("homelab cannot be reached.") && page.text.contains("name=\"code\""), "{}", page.text);
    app.cluster.resume_listening().await;
    browser.post(enter(&code(&app.cluster))).await;
    assert_eq!(user(&browser).await, "twofactor@pve");
}

#[tokio::test]
async fn neither_password_nor_challenge_nor_code_stands_in_an_answer_in_the_log_or_in_the_database() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    // where there is but one, whatever another test logs first is never logged here
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    // the test and its servers run on one thread
    let guard = tracing::subscriber::set_default(subscriber);
    let app = TestApp::with(Setup::stepped()).await;
    let mut data = app.cluster.state();
    data.passwords.insert("twofactor@pve".into(), "hunter2-hunter2".into());
    app.cluster.load(data).unwrap();
    let browser = app.stranger();
    let mut answers = vec![browser.post(SignIn { next: None, ..sign_in_as("twofactor", "pve", "hunter2-hunter2") }).await];
    answers.push(browser.open("/login/code?cluster=homelab").await);
    let kept = app.column("SELECT data FROM sessions").await;
    let (wrong, right) = (wrong_code(&app.cluster), code(&app.cluster));
    answers.push(browser.post(enter(&wrong)).await);
    answers.push(browser.post(enter_key("abcd-abcd-abcd-abcd")).await);
    answers.push(browser.post(enter(&right)).await);
    app.cluster.advance(Duration::from_secs(60));
    let again = halfway_with(&app, "hunter2-hunter2").await;
    answers.push(again.post(enter_key(KEYS[0])).await);
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("a second factor was refused") && log.contains("signed in"), "{log}");
    let answers: String = answers.iter().map(|answer| format!("{:?} {}", answer.headers, answer.text)).collect();
    for secret in ["hunter2", "PVE:", "PVE%3A", "!tfa!", &wrong, &right, "abcd-abcd", KEYS[0]] {
        for (place, text) in [("an answer", &answers), ("the database", &kept.join(" ")), ("the log", &log)] {
            let found = text.find(secret).map(|at| text[at.saturating_sub(300)..].chars().take(600).collect::<String>());
            assert_eq!(found, None, "{secret:?} in {place}");
        }
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn halfway_with<'a>(app: &'a TestApp, password: &str) -> Browser<'a> {
    let browser = app.stranger();
    browser.post(sign_in_as("twofactor", "pve", password)).await;
    browser
}
