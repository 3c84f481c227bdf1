//! A Berth of its own for every test, and what no single test thinks of: no answer holds a text of Proxmox's, a ticket or a password,
//! and the cluster knew every request.

use berth::{
    auth::api::SignIn,
    containers::{
        api::{DeleteContainer, ListContainers, RestartContainer, ShutdownContainer, StartContainer, StopContainer},
        model::{ContainerList, ContainerRow},
    },
    error::AppError,
    events::model::ContainerEvent,
    operations::{
        api::{GetOperation, ListContainerEvents},
        model::{ContainerId, OperationId, OperationState, OperationView, Outcome, Paged, Report, Verb},
        probe::Probe,
    },
    proxmox::{
        client::{Address, Limits},
        tls::{Trust, client_config},
    },
    server::{
        config::{ClusterConfig, Config, DatabaseUrl, Lifecycle, PublicUrl},
        db::Db,
        pace::Pace,
        secrets::random_hex,
    },
    simulator::{Options, Simulator},
    startup::Application,
};
use leptos::server_fn::ServerFn;
use reqwest::{Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// In every error text of the simulator.
const MARKER: &str = "zq-proxmox-says";
/// The password of every account of the simulator, as it would stand in a form.
const PASSWORD_FIELD: &str = "password=berth";

/// A running Berth with its cluster.
pub struct TestApp {
    pub cluster: Simulator,
    pub url: String,
    pub data: tempfile::TempDir,
    pub config: Config,
    http: reqwest::Client,
    leaks: Mutex<Vec<String>>,
    /// None while it is stopped: the database is another process's then.
    berth: Option<Running>,
    _postgres: Option<Postgres>,
}

/// Berth at work.
pub struct Running {
    pub url: String,
    pub db: Db,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Running {
    /// Builds it and serves it.
    pub async fn start(config: Config, probe: Probe) -> Self {
        let application = Application::build_with_probe(config, probe).await.expect("Berth starts");
        let (url, db) = (format!("http://{}", application.address()), application.db());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            // a dropped sender stops it too
            let stop = async { drop(stopped.await) };
            application.serve(stop).await.expect("Berth serves");
        });
        Self { url, db, stop, server }
    }

    /// As by SIGTERM; until it has ended.
    pub async fn stop(self) {
        // the lock on SQLite's directory is as old as the last handle
        drop((self.stop, self.db));
        self.server.await.expect("Berth ends");
    }
}

/// What a test may choose.
pub struct Setup {
    pub simulator: Options,
    /// Whether every error text of the cluster has the marker in it.
    pub marked: bool,
    pub trust: Option<Trust>,
    pub public_url: Option<PublicUrl>,
    /// How long a page waits for the cluster: long, so that a slow machine changes nothing, where the test is not about it.
    pub page_budget: Duration,
    /// More clusters, after the one that answers.
    pub others: Vec<ClusterConfig>,
    /// The times of the verbs.
    pub lifecycle: Lifecycle,
    /// Of the calls to the cluster.
    pub limits: Limits,
    /// How time passes between two looks at the cluster. It stands still: nothing is asked but what a test asks for.
    pub pace: Pace,
}

impl Setup {
    /// A cluster in which time passes a hundred times as fast.
    pub fn quick() -> Self {
        Self::of(Options { speed: 100.0, ..Options::default() })
    }

    /// A cluster in which nothing ends before the test says so.
    pub fn stepped() -> Self {
        Self::of(Options { stepped: true, start_blocks_reads: false, ..Options::default() })
    }

    /// A budget for tests in which the cluster hangs.
    pub const SHORT: Duration = Duration::from_millis(300);

    fn of(simulator: Options) -> Self {
        Self {
            simulator,
            marked: true,
            trust: None,
            public_url: None,
            page_budget: Duration::from_secs(20),
            others: Vec::new(),
            lifecycle: Lifecycle::default(),
            limits: Limits::default(),
            pace: Pace::stepped(),
        }
    }
}

/// A site without anything in it but what every page needs.
fn site(directory: &Path) {
    std::fs::create_dir_all(directory.join("pkg")).expect("a directory");
    let manifest =
        r#"{"berth.js":"/pkg/berth.js","berth.wasm":"/pkg/berth.wasm","berth.css":"/pkg/berth.css","icons.svg":"/pkg/icons.svg"}"#;
    for (name, text) in [("manifest.json", manifest), ("pkg/icons.svg", "<svg></svg>"), ("pkg/berth.js", "1"), ("pkg/berth.js.br", "br")] {
        std::fs::write(directory.join(name), text).expect("a file");
    }
}

/// A PostgreSQL database of its own, where the suite runs on PostgreSQL. It goes with the test, so that however many there are, the disk
/// holds the few that are open at the same time.
pub struct Postgres {
    server: String,
    name: String,
    pub url: DatabaseUrl,
}

impl Postgres {
    pub async fn database() -> Option<Self> {
        let server = std::env::var("BERTH_TEST_POSTGRES").ok()?;
        let name = format!("t{}", random_hex::<8>().expect("randomness"));
        on_the_server(&server, format!("CREATE DATABASE {name}")).await.expect("a database");
        let (base, _) = server.rsplit_once('/').expect("a URL with a database");
        let url = format!("{base}/{name}").parse().expect("a database URL");
        Some(Self { server, name, url })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // on a thread of its own: the test's runtime may not be blocked, and may be ending
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(on_the_server(&server, sql))
        });
        let dropped = dropped.join().expect("no panic in there");
        if !std::thread::panicking() {
            dropped.expect("the database is gone");
        }
    }
}

async fn on_the_server(url: &str, sql: String) -> sqlx::Result<()> {
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(url).await?;
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await?;
    Ok(())
}

impl TestApp {
    /// With a quick cluster.
    pub async fn start() -> Self {
        Self::with(Setup::quick()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let marker = setup.marked.then(|| MARKER.to_owned());
        let options = Options { marker, ..setup.simulator };
        let cluster = Simulator::start(options).await.expect("a cluster");
        let data = tempfile::tempdir().expect("a directory");
        site(&data.path().join("site"));
        let trust = setup.trust.unwrap_or_else(|| Trust::Pinned(cluster.fingerprint().parse().expect("a fingerprint")));
        let address = Address { host: cluster.addr().ip().to_string(), port: cluster.addr().port(), trust };
        let postgres = Postgres::database().await;
        let config = Config {
            listen: "127.0.0.1:0".parse().expect("an address"),
            public_url: setup.public_url,
            data_dir: data.path().to_owned(),
            database_url: postgres.as_ref().map(|postgres| postgres.url.clone()),
            key_file: data.path().join("key"),
            site: Some(data.path().join("site")),
            clusters: [ClusterConfig { name: "homelab".parse().expect("a name"), addresses: vec![address] }]
                .into_iter()
                .chain(setup.others)
                .collect(),
            page_budget: setup.page_budget,
            lifecycle: setup.lifecycle,
            limits: setup.limits,
            pace: setup.pace,
        };
        let berth = Running::start(config.clone(), Probe::default()).await;
        let http = reqwest::Client::builder()
            // plain HTTP is all it speaks, but a client wants to know
            .tls_backend_preconfigured(client_config(&Trust::System).expect("TLS"))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let url = berth.url.clone();
        Self { cluster, url, data, config, http, leaks: Mutex::default(), berth: Some(berth), _postgres: postgres }
    }

    fn database(&self) -> &Db {
        &self.berth.as_ref().expect("Berth runs").db
    }

    /// Ends Berth as by SIGTERM.
    pub async fn stop(&mut self) {
        if let Some(berth) = self.berth.take() {
            berth.stop().await;
        }
    }

    /// The Berth that runs, to be stopped while something goes on at it.
    pub fn take(&mut self) -> Running {
        self.berth.take().expect("Berth runs")
    }

    /// Starts it again with the same data, at another address. Browsers come back by [`TestApp::browser`].
    pub async fn restart(&mut self) {
        self.stop().await;
        let berth = Running::start(self.config.clone(), Probe::default()).await;
        self.url = berth.url.clone();
        self.berth = Some(berth);
    }

    /// Somebody with these cookies, written as [`Browser::cookies`] has them.
    pub fn browser(&self, cookies: &str) -> Browser<'_> {
        self.browser_at(&self.url, cookies)
    }

    /// The same at another Berth of the same database.
    pub fn browser_at(&self, url: &str, cookies: &str) -> Browser<'_> {
        let jar = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        let jar = jar.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Browser { app: self, url: url.to_owned(), cookies: Mutex::new(jar) }
    }

    /// Runs a statement on whichever database is open.
    pub async fn execute(&self, sql: &'static str) -> u64 {
        match self.database() {
            Db::Sqlite(pool, _) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
            Db::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
        }
        .expect("a statement")
    }

    /// Takes a session's ticket away.
    pub async fn forget_ticket(&self, session_key: &str) {
        let sql = "DELETE FROM tickets WHERE session_id = $1";
        match self.database() {
            Db::Sqlite(pool, _) => sqlx::query(sql).bind(session_key).execute(pool).await.map(|_| ()),
            Db::Postgres(pool) => sqlx::query(sql).bind(session_key).execute(pool).await.map(|_| ()),
        }
        .expect("a statement");
    }

    /// All values of a text column.
    pub async fn column(&self, sql: &'static str) -> Vec<String> {
        match self.database() {
            Db::Sqlite(pool, _) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Db::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .expect("a query")
    }

    /// The database, for a store's own tests.
    pub fn db(&self) -> Db {
        self.database().clone()
    }

    /// The database stops working.
    pub async fn break_database(&self) {
        self.database().close().await;
    }

    /// Somebody without a session.
    pub fn stranger(&self) -> Browser<'_> {
        Browser { app: self, url: self.url.clone(), cookies: Mutex::default() }
    }

    /// Somebody who has signed in with the password that every account has.
    pub async fn sign_in(&self, user: &str) -> Browser<'_> {
        let browser = self.stranger();
        let (username, realm) = user.split_once('@').expect("user@realm");
        let answer = browser.post(sign_in_as(username, realm, "berth")).await;
        assert_eq!(answer.status, StatusCode::OK, "{user} signs in: {}", answer.text);
        browser
    }

    /// What the cluster was asked to do, sign-ins left out.
    pub fn writes(&self) -> Vec<String> {
        let changes = |r: &berth::simulator::Request| r.method != "GET" && !r.path.ends_with("/access/ticket");
        self.cluster.requests().iter().filter(|r| changes(r)).map(|r| format!("{} {}", r.method, r.path)).collect()
    }

    fn check(&self, what: &str, text: &str) {
        // a task's log is what somebody asks to see
        let own = without_logs(text);
        for secret in [MARKER, "PVE:", PASSWORD_FIELD] {
            if own.contains(secret) {
                self.leaks.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{secret:?} in {what}"));
            }
        }
    }
}

/// A page without the logs of tasks on it, which are in it as it is and as a text for its program.
fn without_logs(text: &str) -> String {
    let mut own = String::new();
    for (number, part) in text.split("pre id=").enumerate() {
        let is_log = number > 0 && part.trim_start_matches(['\\', '"']).starts_with("log-");
        own += if is_log { part.split_once("/pre>").map_or("", |(_, rest)| rest) } else { part };
    }
    own
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(leaks.is_empty(), "{leaks:?}");
            assert_eq!(self.cluster.unknown_requests(), Vec::<String>::new());
        }
    }
}

/// As if the container with this MAC address had been removed and made again under its number and name: with another address, or with
/// no interface at all.
pub fn change_macs(app: &TestApp, old: &str, new: Option<&str>) {
    let mut state = app.cluster.state();
    for container in &mut state.containers {
        let lines = container.config.lines().filter(|line| new.is_some() || !line.contains(old));
        container.config = lines.map(|line| line.replace(old, new.unwrap_or_default()) + "\n").collect();
    }
    app.cluster.load(state).expect("a state");
}

pub fn sign_in_as(username: &str, realm: &str, password: &str) -> SignIn {
    SignIn { cluster: "homelab".into(), username: username.into(), realm: realm.into(), password: password.into(), next: None }
}

/// A browser: it keeps cookies.
pub struct Browser<'a> {
    app: &'a TestApp,
    url: String,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// What a verb came to that has ended well.
    pub fn report(&self) -> Report {
        match self.json() {
            Outcome::Done(report) => report,
            Outcome::Running { operation } => panic!("{operation} still runs"),
        }
    }

    /// The operation of a verb that goes on.
    pub fn goes_on(&self) -> OperationId {
        match self.json() {
            Outcome::Running { operation } => operation,
            Outcome::Done(report) => panic!("{report:?}"),
        }
    }

    /// The error that it is; its status is the error's own.
    pub fn error(&self) -> AppError {
        let error: AppError = self.json();
        assert_eq!(self.status.as_u16(), error.status(), "{error:?}");
        error
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Browser<'_> {
    /// Calls a server function as the page's program does.
    pub async fn post<F: ServerFn + Serialize>(&self, arguments: F) -> Answer {
        let body = serde_urlencoded::to_string(arguments).expect("arguments");
        self.send(Method::POST, F::PATH, &[("accept", "application/json"), FORM], body).await
    }

    /// Calls a server function that reads.
    pub async fn read<F: ServerFn + Serialize>(&self, arguments: F) -> Answer {
        let query = serde_urlencoded::to_string(arguments).expect("arguments");
        self.send(Method::GET, &format!("{}?{query}", F::PATH), &[("accept", "application/json")], "").await
    }

    /// Sends a form as a browser without JavaScript does from the page at `from`.
    pub async fn submit(&self, from: &str, action: &str, body: impl Into<reqwest::Body>) -> Answer {
        let referer = format!("{}{from}", self.url);
        let headers = [("accept", "text/html,*/*"), ("referer", &referer), ("origin", &self.url), FORM];
        self.send(Method::POST, action, &headers, body).await
    }

    /// The row of a container in this user's list.
    pub async fn row(&self, number: u32) -> ContainerRow {
        let list: ContainerList = self.read(ListContainers {}).await.json();
        list.rows.into_iter().find(|row| row.vmid.get() == number).unwrap_or_else(|| panic!("no CT {number}"))
    }

    /// The id of a container's row.
    pub async fn id(&self, number: u32) -> ContainerId {
        self.row(number).await.id
    }

    /// Begins a verb. A removal is confirmed with the name that the list shows.
    pub async fn act(&self, verb: Verb, number: u32) -> Answer {
        let row = self.row(number).await;
        self.act_on(verb, row.id, &row.name).await
    }

    /// The same for a row.
    pub async fn act_on(&self, verb: Verb, id: ContainerId, name: &str) -> Answer {
        match verb {
            Verb::Start => self.post(StartContainer { id, confirm: None }).await,
            Verb::Stop => self.post(StopContainer { id, confirm: None }).await,
            Verb::Shutdown => self.post(ShutdownContainer { id, graceful_only: None, confirm: None }).await,
            Verb::Restart => self.post(RestartContainer { id, confirm: None }).await,
            Verb::Delete => self.post(DeleteContainer { id, confirm: name.to_owned() }).await,
        }
    }

    /// The events of a container's row, the oldest first.
    pub async fn events(&self, id: &ContainerId) -> Vec<ContainerEvent> {
        let page: Paged<ContainerEvent> = self.read(ListContainerEvents { container: id.clone(), before: None }).await.json();
        assert!(!page.more, "more than a page of events");
        page.items.into_iter().rev().collect()
    }

    /// An operation.
    pub async fn operation(&self, id: &OperationId) -> OperationView {
        self.read(GetOperation { id: id.clone() }).await.json()
    }

    /// An operation, once it has ended.
    pub async fn end_of(&self, id: &OperationId) -> OperationView {
        let ends = async {
            loop {
                let seen = self.operation(id).await;
                if seen.state != OperationState::Open {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ends).await.expect("the operation ends")
    }

    /// Opens a page.
    pub async fn open(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("accept", "text/html,*/*")], "").await
    }

    /// Listens to what happens, as a visible tab does.
    pub async fn listen(&self) -> Listening {
        self.listen_from(None).await
    }

    /// The same, after a break: `last` is the id of the last event that was heard.
    pub async fn listen_from(&self, last: Option<&str>) -> Listening {
        let mut request = self.app.http.get(format!("{}{}", self.url, berth::paths::live())).header(header::COOKIE, self.cookies());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!((response.status(), response.headers()[header::CONTENT_TYPE].as_bytes()), (StatusCode::OK, &b"text/event-stream"[..]));
        Listening { response, text: String::new(), last_id: None }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.app.http.request(method, format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookies();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("a cookie of plain text");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            let mut jar = self.cookies.lock().expect("no panic in here");
            if line.contains("Max-Age=0") {
                jar.remove(name)
            } else {
                jar.insert(name.to_owned(), value.to_owned())
            };
        }
        let text = response.text().await.expect("a text");
        self.app.check(path, &format!("{headers:?} {text}"));
        Answer { status, headers, text }
    }

    /// The cookies as a `Cookie` header has them.
    pub fn cookies(&self) -> String {
        let jar = self.cookies.lock().expect("no panic in here");
        jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Another browser with the same cookies.
    pub fn twin(&self) -> Self {
        Self { app: self.app, url: self.url.clone(), cookies: Mutex::new(self.cookies.lock().expect("no panic in here").clone()) }
    }
}

/// An open stream.
pub struct Listening {
    response: reqwest::Response,
    /// What came and was not read yet.
    text: String,
    /// The id of the last event that was heard.
    pub last_id: Option<String>,
}

impl Listening {
    /// The next word about a container, or that nobody knows; none where the stream has ended.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let word = self.next_word().await;
            if word.as_deref() != Some(berth::paths::LIVE_LIST) {
                return word;
            }
        }
    }

    /// The next word, whatever it is about; none where the stream has ended.
    pub async fn next_word(&mut self) -> Option<String> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last_id = Some(id.to_owned());
                }
                let word = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if word.is_some() {
                    return word;
                }
            }
            let chunk = self.response.chunk().await.expect("a stream that ends cleanly")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("a text"));
        }
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
