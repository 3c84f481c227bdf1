//! Puts Berth together. `main`, the demo and the tests build it the same way.

use crate::proxmox::client::ConnectionError;
use crate::{
    app::{plain_shell, shell},
    auth::{page::SecondFactorPage, service::Realms},
    containers::inventory::Inventory,
    error::AppError,
    operations::{
        live::{ChangedOperations, LiveOperations},
        log,
        probe::Probe,
        recovery,
        service::Operations,
    },
    paths,
    server::{
        AppState, Visitor,
        assets::{AssetError, Assets},
        config::{ClusterConfig, Config},
        db::{Db, OpenError},
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
    http::{Extensions, StatusCode, header},
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
        let clusters = config.clusters.iter().map(connect).collect::<Result<_, _>>()?;
        let mut slices = Extensions::new();
        slices.insert(Realms::default());
        let inventory = Inventory::default();
        slices.insert(inventory.clone());
        slices.insert(LiveOperations::new());
        slices.insert(ChangedOperations { db: db.clone(), inventory });
        slices.insert(Operations::new(config.lifecycle.clone(), probe));
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
        let live = self.state.slice::<LiveOperations>().clone();
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
        operations.stop(until.map_or(STOP_WITHIN, |until| until.saturating_duration_since(Instant::now()))).await;
        keeper.abort();
        reader.abort();
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
    if !matches!(*request.method(), axum::http::Method::GET | axum::http::Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let context = state.clone();
    let render = leptos_axum::render_app_async_with_context(move || provide_context(context.clone()), move || shell(&state));
    render(request).await
}

/// The page that asks for a second factor. Who has not begun to sign in, or too long ago, is back at the password.
async fn second_factor(State(state): State<AppState>, session: Session, request: Request<Body>) -> Response {
    let visitor = Visitor { state: state.clone(), session, signed_in: None, source: None };
    match SecondFactorPage::of(&visitor, request.uri().query().unwrap_or_default()).await {
        Ok(Some(page)) => {
            let context = state.clone();
            let page = move || {
                let page = page.clone();
                plain_shell(&state, move || page.view())
            };
            leptos_axum::render_app_async_with_context(move || provide_context(context.clone()), page)(request).await
        }
        Ok(None) => {
            let here = request.uri().path_and_query().map_or(paths::login(), |here| here.as_str());
            web::with_flash(&state, &paths::login_again(here), AppError::SignInExpired, Vec::new())
        }
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
