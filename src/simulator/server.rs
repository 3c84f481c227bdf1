//! Sockets: listening, stopping and beginning again, TLS, and the redirect for who comes without TLS.

use super::{
    pipeline, reply,
    shared::{Phase, Shared},
};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// Proxmox closes a socket on which nothing has been asked for this long (REAL, HTTP).
const IDLE: Duration = Duration::from_secs(5);

/// Serves until the simulator ends.
pub async fn run(shared: Arc<Shared>, listener: TcpListener, addr: SocketAddr, acceptor: TlsAcceptor) {
    let mut wanted = shared.wanted.subscribe();
    let mut listener = Some(listener);
    loop {
        let phase = *wanted.borrow_and_update();
        match (phase, &listener) {
            (Phase::Ended, _) => break,
            (Phase::Closed, _) => {
                listener = None;
                shared.phase.send_replace(Phase::Closed);
                let _ = wanted.changed().await;
            }
            (Phase::Listening, None) => match TcpListener::bind(addr).await {
                Ok(bound) => {
                    listener = Some(bound);
                    shared.phase.send_replace(Phase::Listening);
                }
                Err(error) => {
                    tracing::warn!(%addr, %error, "the simulator cannot listen again yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            (Phase::Listening, Some(listening)) => tokio::select! {
                _ = wanted.changed() => {}
                accepted = listening.accept() => match accepted {
                    Ok((stream, _)) => { tokio::spawn(connection(Arc::clone(&shared), stream, acceptor.clone())); }
                    Err(error) => {
                        tracing::warn!(%error, "the simulator cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            },
        }
    }
    drop(listener);
    shared.phase.send_replace(Phase::Ended);
}

/// One connection, until either side has enough of it.
async fn connection(shared: Arc<Shared>, stream: TcpStream, acceptor: TlsAcceptor) {
    let mut wanted = shared.wanted.subscribe();
    tokio::select! {
        _ = wanted.wait_for(|phase| *phase != Phase::Listening) => {}
        ended = talk(&shared, stream, acceptor) => if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the simulator ended early");
        },
    }
}

async fn talk(shared: &Arc<Shared>, stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(());
    }
    // 0x16 is the first byte of every TLS handshake.
    if first[0] != 0x16 {
        let addr = stream.local_addr()?;
        let now = shared.clock.now();
        let redirect = service_fn(move |request| async move { Ok::<_, pipeline::Gone>(redirect(&request, addr, now)) });
        return http1::Builder::new()
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), redirect)
            .await
            .map_err(io::Error::other);
    }
    let stream = acceptor.accept(stream).await?;
    speak_http(shared, stream).await
}

async fn speak_http(shared: &Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let under_way = Arc::new(AtomicUsize::new(0));
    let active = watch::Sender::new(());
    let service = service_fn(|request: Request<Incoming>| {
        let busy = Busy::new(&under_way, &active);
        let answer = pipeline::serve(Arc::clone(shared), request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let mut exchanged = shared.certificates.exchanged.subscribe();
    let mut activity = active.subscribe();
    let connection = http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut is_closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(io::Error::other),
            // Another certificate: what is under way is answered, the next call has to connect again and see it.
            _ = exchanged.changed(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = activity.changed() => {}
            () = tokio::time::sleep(IDLE), if !is_closing => if under_way.load(Ordering::Relaxed) == 0 {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            },
        }
    }
}

/// Counts a request as under way until it is dropped.
struct Busy {
    under_way: Arc<AtomicUsize>,
    active: watch::Sender<()>,
}

impl Busy {
    fn new(under_way: &Arc<AtomicUsize>, active: &watch::Sender<()>) -> Self {
        under_way.fetch_add(1, Ordering::Relaxed);
        active.send_replace(());
        Self { under_way: Arc::clone(under_way), active: active.clone() }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.active.send_replace(());
    }
}

/// http-02-plain-http-to-8006: 301 for GET and HEAD, 308 for what has a body (AE:1502-1537).
fn redirect(request: &Request<Incoming>, addr: SocketAddr, now: super::clock::Moment) -> Response<reply::Body> {
    let (status, reason) = match request.method().as_str() {
        "GET" | "HEAD" => (301, "Moved Permanently"),
        _ => (308, "Permanent Redirect"),
    };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map_or_else(|| addr.to_string(), str::to_owned);
    let mut response = reply::response(status, reason, now, None, reason.to_owned());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Ok(location) = HeaderValue::from_str(&format!("https://{host}{path}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
