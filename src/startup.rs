//! Puts Berth together. `main`, the demo and the tests build it the same way.

use crate::proxmox::client::ConnectionError;
use crate::{
    app::{self, Browser},
    auth::{self, page::SecondFactorPage, service::Realms, view::sign_in_page},
    batches::service::Batches,
    containers::{inventory::Inventory, page::Questions},
    error::AppError,
    operations::{
        live::{ChangedOperations, LiveOperations},
        log,
        probe::Probe,
        recovery,
        service::Operations,
    },
    pages::service::{Asked, render},
    paths,
    server::{
        AppState, Visitor,
        assets::{AssetError, Assets},
        config::{ClusterConfig, Config},
        db::{Db, OpenError},
        handle::handle_for,
        live::{keep_reading, stream},
        secrets::{Sealer, SecretError},
        session::{IDLE, Sessions},
        state::Cluster,
        web,
    },
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Extensions, Method, StatusCode, header, request::Parts},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{any, get},
    serve::ListenerExt,
};
use leptos::prelude::provide_context;
use std::{future::Future, net::SocketAddr, os::unix::fs::DirBuilderExt, time::Duration};
use tokio::{net::TcpListener, time::Instant};
use tower::ServiceBuilder;
use tower_http::{CompressionLevel, catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie::SameSite};

/// How often sessions that have expired are removed.
const CLEAN_UP: Duration = Duration::from_secs(10 * 60);
/// How long requests and operations may take to end after the order to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long the database may take to finish what it is doing.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Berth, built and listening, not yet serving.
pub struct Application {
    listener: TcpListener,
    router: Router,
    sessions: Sessions,
    state: AppState,
    address: SocketAddr,
}

/// Berth cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("the data directory {0} cannot be made")]
    DataDir(std::path::PathBuf, #[source] std::io::Error),
    /// The port is taken, or the address is not ours.
    #[error("cannot listen on {0}; is the port taken? Another can be given by --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The database.
    #[error("cannot start without a database")]
    Database(#[from] OpenError),
    /// The key.
    #[error("cannot start without a key for secrets")]
    Secret(#[from] SecretError),
    /// The site.
    #[error("cannot start without the site")]
    Assets(#[from] AssetError),
    /// A cluster.
    #[error("cluster `{0}` cannot be used")]
    Cluster(crate::proxmox::ids::ClusterName, #[source] ConnectionError),
    /// The listener broke.
    #[error("the server broke off")]
    Serve(#[source] std::io::Error),
}

impl Application {
    /// Opens what the configuration names and binds the address. Nothing is asked of a cluster yet.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::build_with_probe(config, Probe::default()).await
    }

    /// The same with somebody who hears of every point at which an operation can be interrupted, for tests.
    pub async fn build_with_probe(config: Config, probe: Probe) -> Result<Self, StartError> {
        // fails only where it is set already, by an earlier application of the same process
        let _ = any_spawner::Executor::init_tokio();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.data_dir)
            .map_err(|e| StartError::DataDir(config.data_dir.clone(), e))?;
        let listener = TcpListener::bind(config.listen).await.map_err(|e| StartError::Listen(config.listen, e))?;
        let address = listener.local_addr().map_err(StartError::Serve)?;
        let assets = Assets::load(config.site.as_deref())?;
        let sealer = Sealer::from_file(&config.key_file)?;
        let db = Db::open(&config).await?;
        let connect =
            |cluster: &ClusterConfig| Cluster::new(cluster, &config.limits).map_err(|e| StartError::Cluster(cluster.name.clone(), e));
        let clusters: Vec<Cluster> = config.clusters.iter().map(connect).collect::<Result<_, _>>()?;
        if clusters.is_empty() {
            tracing::warn!(
                "no cluster is configured: name one under [[cluster]] in the file given by --config, or look around with --demo"
            );
        }
        let mut slices = Extensions::new();
        slices.insert(Realms::default());
        let inventory = Inventory::new(config.pace.clone());
        slices.insert(inventory.clone());
        slices.insert(Questions::new(config.pace.clone()));
        slices.insert(LiveOperations::new());
        slices.insert(ChangedOperations { db: db.clone(), inventory });
        slices.insert(Operations::new(config.lifecycle.clone(), probe));
        slices.insert(Batches::default());
        let sessions = Sessions(db.clone());
        let secure = config.public_url.as_ref().is_some_and(|url| url.is_https());
        let state = AppState::new(&config, db, sealer, clusters, assets, slices);
        Ok(Self { listener, router: router(state.clone(), sessions.clone(), secure), sessions, state, address })
    }

    /// Where it listens; the port is known here even where the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The database, for tests.
    pub fn db(&self) -> Db {
        self.sessions.0.clone()
    }

    /// Serves until `stop` ends, then lets the requests under way end, for at most ten seconds.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), StartError> {
        let db = self.db();
        let cleaner = tokio::spawn(clean_up(self.sessions));
        let operations = self.state.slice::<Operations>().clone();
        let batches = self.state.slice::<Batches>().clone();
        let live = self.state.slice::<LiveOperations>().clone();
        let inventory = self.state.slice::<Inventory>().clone();
        let reader = tokio::spawn(keep_reading(live.clone(), self.state.slice::<ChangedOperations>().clone()));
        let keeper = tokio::spawn(recovery::keep_on(self.state));
        // Without this every streamed page waits for a delayed acknowledgement.
        let listener = self.listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY on a connection");
            }
        });
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let told = operations.clone();
        let server =
            axum::serve(listener, self.router.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(async move {
                stop.await;
                // who waits for the end of an operation hears now that it goes on
                told.tell_to_stop();
                live.close();
                // the receiver is gone only where the server has ended already
                let _ = stopping.send(());
            });
        let mut until = None;
        let late = async {
            match stopped.await {
                Ok(()) => {
                    let end = Instant::now() + STOP_WITHIN;
                    until = Some(end);
                    tokio::time::sleep_until(end).await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = server.into_future() => served.map_err(StartError::Serve),
            () = late => {
                tracing::warn!("requests under way after {STOP_WITHIN:?} are cut");
                Ok(())
            }
        };
        cleaner.abort();
        // the requests and the operations have the same time
        let left = || until.map_or(STOP_WITHIN, |until| until.saturating_duration_since(Instant::now()));
        // first those who begin operations
        batches.stop(left()).await;
        operations.stop(left()).await;
        keeper.abort();
        reader.abort();
        inventory.close().await;
        if tokio::time::timeout(CLOSE_WITHIN, db.close()).await.is_err() {
            tracing::warn!("the database still has queries under way; they are cut");
        }
        served
    }
}

fn router(state: AppState, sessions: Sessions, secure: bool) -> Router {
    let session = SessionManagerLayer::new(sessions)
        .with_name("berth")
        .with_http_only(true)
        // Lax: a link from elsewhere finds its reader signed in; what changes state is guarded by its origin
        .with_same_site(SameSite::Lax)
        .with_secure(secure)
        .with_expiry(Expiry::OnInactivity(IDLE));
    let identified = ServiceBuilder::new().layer(session).layer(from_fn_with_state(state.clone(), web::identify));
    let functions =
        Router::new().route(paths::live(), get(stream::<ChangedOperations>)).route("/api/{function}", any(server_function)).layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(state.clone(), web::same_origin))
                .layer(from_fn_with_state(state.clone(), web::answer))
                .layer(identified.clone()),
        );
    let pages = Router::new()
        .route(paths::login(), get(sign_in))
        .route(paths::second_factor(), get(second_factor))
        .route("/operations/{id}/log", get(log::operation))
        .route("/tasks/{upid}/log", get(log::of_task))
        .fallback(page)
        .layer(ServiceBuilder::new().layer(compression()).layer(identified));
    Router::new()
        .merge(functions)
        .route("/healthz", any(|| async { "ok" }))
        .fallback_service(asset_or(state.clone(), pages.with_state(state.clone())))
        .layer(ServiceBuilder::new().layer(from_fn(web::finish)).layer(CatchPanicLayer::custom(web::panicked)))
        .with_state(state)
}

/// Fast rather than small: a page is compressed anew for every request.
fn compression() -> CompressionLayer {
    CompressionLayer::new().quality(CompressionLevel::Fastest)
}

/// The site's files need no session; all else is a page.
fn asset_or(state: AppState, pages: Router) -> Router {
    async fn asset(State(state): State<AppState>, request: Request, next: axum::middleware::Next) -> Response {
        let path = request.uri().path();
        match state.assets().get(path, request.headers()) {
            Some(asset) => asset,
            None if Assets::owns(path) => Assets::not_found(),
            None => next.run(request).await,
        }
    }
    pages.layer(from_fn_with_state(state, asset))
}

async fn server_function(State(state): State<AppState>, request: Request) -> Response {
    leptos_axum::handle_server_fns_with_context(move || provide_context(state.clone()), request).await.into_response()
}

/// Every page is rendered whole before its first byte: its status, its redirect and its rows are true, with or without JavaScript. What
/// it waits for is bounded by its slices.
async fn page(State(state): State<AppState>, request: Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let (parts, _) = request.into_parts();
    let browser = Browser::of(&parts.headers);
    let address = address_of(&parts);
    let visitor = Visitor::of(state, &parts);
    let answered = handle_for(visitor, "page", async |context| {
        let refused = browser.flash.as_ref().map(|flash| flash.error.clone());
        let answer = render(&context, Asked { address, have: "", refused }).await?;
        Ok(app::document(&context, &browser, address, answer))
    });
    match answered.await {
        Ok(document) => document,
        Err(AppError::SignedOut) => web::see_other(&paths::login_then(address)),
        Err(error) => web::plain(&error),
    }
}

/// The path of a request with its query.
fn address_of(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or(paths::home(), |address| address.as_str())
}

/// The page that signs in.
async fn sign_in(State(state): State<AppState>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let browser = Browser::of(&parts.headers);
    let query: Vec<(String, String)> = serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let asked = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let visitor = match Visitor::of(state.clone(), &parts) {
        Ok(visitor) => visitor,
        Err(error) => return web::plain(&error.into()),
    };
    let form = auth::service::get_sign_in_form(&visitor, asked("cluster")).await.map_err(AppError::from);
    let (next, flash, theme) = (asked("next").unwrap_or_default(), browser.flash.clone(), browser.theme);
    let title = if form == Err(AppError::NoCluster) { "Connect a cluster" } else { "Sign in" };
    app::plain_document(&state, &browser, title, || sign_in_page(form, next, flash, theme))
}

/// The page that asks for a second factor. Who has not begun to sign in, or too long ago, is back at the password.
async fn second_factor(State(state): State<AppState>, session: Session, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    let browser = Browser::of(&parts.headers);
    let visitor = Visitor { state: state.clone(), session, signed_in: None, source: None };
    match SecondFactorPage::of(&visitor, parts.uri.query().unwrap_or_default()).await {
        Ok(Some(page)) => {
            let (error, theme) = (browser.flash.clone().map(|flash| flash.error), browser.theme);
            app::plain_document(&state, &browser, "Second factor", || page.view(error, theme))
        }
        Ok(None) => web::with_flash(&state, &paths::login_again(address_of(&parts)), AppError::SignInExpired, Vec::new()),
        Err(error) => web::plain(&error.into()),
    }
}

async fn clean_up(sessions: Sessions) {
    loop {
        tokio::time::sleep(CLEAN_UP).await;
        match sessions.delete_expired(time::OffsetDateTime::now_utc().unix_timestamp()).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "expired sessions removed"),
            Err(error) => tracing::error!("expired sessions cannot be removed: {error}"),
        }
    }
}
