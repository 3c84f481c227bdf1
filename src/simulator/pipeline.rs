//! From a request to its answer, in the order in which Proxmox checks: faults, method, authentication, body, route, permission,
//! proxy, parameters, handler (HS:155-206).
//!
//! Not here: sockets ([`super::server`]), the control side ([`super::control`]), and what endpoints do ([`super::api`]).

use super::{
    access::rules::{Rule, token_refused},
    api::Call,
    authentication::{Headers, authenticate},
    clock::Moment,
    control,
    faults::FaultAction,
    reply::{self, Answer, Body, Failure},
    requests::Entry,
    routes::{self, Blocks},
    schema::{self, Params, Raw},
    shared::Shared,
    version::Version,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    header,
};
use percent_encoding::percent_decode_str;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::SemaphorePermit;

/// The connection ends without an answer.
#[derive(Debug)]
pub struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulator closes the connection, as a fault wants")
    }
}

impl std::error::Error for Gone {}

const PREFIX: &str = "/api2/json";
/// Every 401 comes this much after its request (AE:1036).
const DELAY_OF_401: Moment = 3_000;
/// Whether `pvedaemon` answers behind the proxy.
enum Daemon {
    Up,
    /// The task that it begins ends so.
    Failing(String),
    Down,
}

/// How long it takes to find out that a node is not there.
const DELAY_OF_595: Moment = 3_000;
/// What the proxy waits for the daemon (AE:831-881).
const PROXY_TIMEOUT: Moment = 30_000;
const LARGEST_BODY: u64 = 512 << 10;

pub async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Gone> {
    let path = request.uri().path().to_owned();
    if shared.has_control && path.starts_with("/sim/") {
        return Ok(control::serve(&shared, request).await);
    }
    let relative = path.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let method = request.method().as_str().to_owned();
    let takes_gzip = request.headers().get(header::ACCEPT_ENCODING).is_some_and(|value| value.as_bytes().windows(4).any(|w| w == b"gzip"));
    let entry = shared.requests.begin(&method, relative.unwrap_or(&path), request.uri().query().unwrap_or_default());
    shared.announce();
    let response = match shared.faults.hit(&method, relative.unwrap_or(&path)) {
        None => carry_out(&shared, request, relative, entry, Daemon::Up).await,
        Some(FaultAction::Slow { seconds }) => {
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
            carry_out(&shared, request, relative, entry, Daemon::Up).await
        }
        Some(FaultAction::Hang) => {
            let cleared = shared.faults.cleared();
            shared.wait_until(|| shared.faults.cleared() != cleared).await;
            carry_out(&shared, request, relative, entry, Daemon::Up).await
        }
        Some(FaultAction::Refuse) => return Err(Gone),
        Some(FaultAction::LoseAnswer) => {
            carry_out(&shared, request, relative, entry, Daemon::Up).await;
            return Err(Gone);
        }
        Some(FaultAction::Drop) => reply::cut(carry_out(&shared, request, relative, entry, Daemon::Up).await).await,
        Some(FaultAction::DaemonDown) => carry_out(&shared, request, relative, entry, Daemon::Down).await,
        Some(FaultAction::FailTask { text }) => carry_out(&shared, request, relative, entry, Daemon::Failing(text)).await,
        Some(FaultAction::Status { code, reason }) => {
            let version = shared.state().0.version;
            Failure::custom(code, &reason).into_response(shared.clock.now(), shared.marker.as_deref(), version)
        }
        Some(FaultAction::Garbage) => {
            let text = format!("{{\"data\":[{{\"vmid\":103,\"name\":\"{}", shared.marker.as_deref().unwrap_or_default());
            reply::response(200, "OK", shared.clock.now(), Some(reply::JSON), text)
        }
        Some(FaultAction::Html) => {
            let text = format!("<!DOCTYPE html><title>Sign in</title><p>{}</p>", shared.marker.as_deref().unwrap_or_default());
            reply::response(200, "OK", shared.clock.now(), Some("text/html;charset=UTF-8"), text)
        }
        Some(FaultAction::TooLarge { bytes }) => {
            let mut response = reply::response(200, "OK", shared.clock.now(), Some(reply::JSON), String::new());
            *response.body_mut() = reply::huge(bytes);
            response
        }
    };
    let response = if takes_gzip { reply::gzip(response).await } else { response };
    shared.requests.note(entry, |request| request.status = Some(response.status().as_u16()));
    shared.announce();
    Ok(response)
}

async fn carry_out(shared: &Shared, request: Request<Incoming>, path: Option<&str>, entry: Entry, daemon: Daemon) -> Response<Body> {
    let arrived = shared.clock.now();
    let version = shared.state().0.version;
    match answer(shared, request, path, entry, arrived, version, daemon).await {
        Ok(answer) => answer.into_response(shared.clock.now()),
        Err(failure) => {
            if failure.status == 401 {
                shared.clock.delay_until(arrived + DELAY_OF_401).await;
            }
            failure.into_response(shared.clock.now(), shared.marker.as_deref(), version)
        }
    }
}

async fn answer(
    shared: &Shared,
    request: Request<Incoming>,
    path: Option<&str>,
    entry: Entry,
    arrived: Moment,
    version: Version,
    daemon: Daemon,
) -> Result<Answer, Failure> {
    let method = request.method().as_str().to_owned();
    let found = path.and_then(|path| routes::find(&method, path, version));
    if found.is_none() {
        shared.requests.note(entry, |request| request.is_unknown = true);
    }
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Err(Failure::plain(501, format!("method '{method}' not available")));
    }
    let Some(path) = path else {
        // Another format than JSON, or no API at all (http-03-not-an-api-path).
        let path = request.uri().path();
        let is_api = path.starts_with("/api2/");
        return Err(if is_api { Failure::plain(501, "no such uri") } else { Failure::plain(500, format!("no such file '{path}'\n")) });
    };
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let headers = Headers { cookie: text("cookie"), authorization: text("authorization"), csrf: text("csrfpreventiontoken") };
    let has_token = headers.has_token();
    let is_open = found.as_ref().is_some_and(|(route, _)| matches!(route.rule, Rule::World));
    let user = if is_open {
        String::new()
    } else {
        let (state, now) = shared.state();
        authenticate(&headers, &method, &state.access, &shared.tickets, now)?
    };
    if !user.is_empty() {
        shared.requests.note(entry, |request| request.user = Some(user.clone()));
    }
    let sent = sent_params(request).await?;
    let (route, in_path) = found.ok_or_else(|| Failure::not_implemented(&method, &percent_decode_str(path).decode_utf8_lossy()))?;
    let mut given = merge(in_path, sent)?;
    shared.requests.note(entry, |request| request.params = without_secrets(&given));
    if has_token && !route.takes_token {
        return Err(token_refused(path));
    }
    shared.state().0.access.check_rule(&user, route.rule, &given)?;
    reach_node(shared, &mut given, arrived).await?;
    let _worker = if route.is_protected { Some(reach_daemon(shared, &daemon, arrived).await?) } else { None };
    let checked = schema::check(route.params, given, version).map_err(Failure::parameters)?;
    wait_for_starts(shared, route.blocks, &checked, arrived).await?;

    let fingerprint = shared.certificates.fingerprint();
    let (mut state, now) = shared.state();
    // no other request comes in between
    state.fails_next = if let Daemon::Failing(exit) = daemon { Some(exit) } else { None };
    let mut call = Call { state: &mut state, tickets: &shared.tickets, fingerprint: &fingerprint, now, user: &user, params: &checked };
    let answer = (route.handler)(&mut call);
    state.fails_next = None;
    drop(state);
    shared.announce();
    answer
}

/// The parameters of the query and of the body; the query wins (AE:940).
async fn sent_params(request: Request<Incoming>) -> Result<Raw, Failure> {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    if has_body && head.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Failure::plain(501, "chunked transfer encoding not supported"));
    }
    if has_body && !matches!(head.method.as_str(), "POST" | "PUT") {
        return Err(Failure::plain(501, format!("Unexpected content for method '{}'", head.method)));
    }
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
    if has_body && !matches!(kind.as_str(), "" | "application/x-www-form-urlencoded" | "application/json") {
        return Err(Failure::plain(506, format!("upload 'Content-Type '{kind}' not implemented")));
    }
    let limit = usize::try_from(LARGEST_BODY).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|_| Failure::plain(501, "for data too large"))?.to_bytes();
    let mut params = if kind == "application/json" && !body.is_empty() {
        let object: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&body)
            .map_err(|_| Failure::died("malformed JSON string, neither tag, array, object, number, string or atom"))?;
        object.into_iter().filter_map(|(name, value)| Some((name, json_text(value)?))).collect()
    } else {
        form(&body)
    };
    params.extend(form(head.uri.query().unwrap_or_default().as_bytes()));
    // The browser's cache breaker (FACTS §1).
    params.remove("_dc");
    Ok(params)
}

fn form(text: &[u8]) -> Raw {
    serde_urlencoded::from_bytes::<Vec<(String, String)>>(text).unwrap_or_default().into_iter().collect()
}

/// A JSON value as Perl sees it: true is 1, null is no value.
fn json_text(value: serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::Bool(yes) => Some(u8::from(yes).to_string()),
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Array(values) => Some(values.into_iter().filter_map(json_text).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

fn merge(in_path: Raw, sent: Raw) -> Result<Raw, Failure> {
    let mut given = in_path;
    for (name, value) in sent {
        if given.get(&name).is_some_and(|other| *other != value) {
            return Err(Failure::parameter(&name, "duplicate parameter (already defined in URI) with conflicting values!"));
        }
        given.insert(name, value);
    }
    Ok(given)
}

fn without_secrets(given: &Raw) -> Raw {
    let hide = |name: &str| matches!(name, "password" | "otp" | "tfa-challenge");
    given.iter().map(|(name, value)| (name.clone(), if hide(name) { "(secret)".to_owned() } else { value.clone() })).collect()
}

/// Calls go on to the node that they name. `localhost` is the one we talk to, the first.
async fn reach_node(shared: &Shared, given: &mut Raw, arrived: Moment) -> Result<(), Failure> {
    let Some(name) = given.get_mut("node") else { return Ok(()) };
    let is_online = {
        let (state, _) = shared.state();
        if name == "localhost"
            && let Some(first) = state.nodes.first()
        {
            first.name.clone_into(name);
        }
        state.node(name).map(|node| node.is_online)
    };
    match is_online {
        Some(true) => Ok(()),
        Some(false) => {
            shared.clock.delay_until(arrived + DELAY_OF_595).await;
            Err(Failure::proxy(595, "No route to host"))
        }
        None => Err(Failure::died(format!(
            "hostname lookup '{name}' failed - failed to get address info for: {name}: Name or service not known"
        ))),
    }
}

/// One of the three workers of `pvedaemon`, for which the proxy waits 30 s (slow-02-start-blocked-40s-in-prestart-hook: reads that wait
/// for a start use them up).
async fn reach_daemon<'a>(shared: &'a Shared, daemon: &Daemon, arrived: Moment) -> Result<SemaphorePermit<'a>, Failure> {
    if matches!(daemon, Daemon::Down) {
        return Err(Failure::proxy(595, "Connection refused"));
    }
    tokio::select! {
        biased;
        // The semaphore is never closed.
        worker = shared.workers.acquire() => worker.map_err(|_| Failure::proxy(595, "Connection refused")),
        () = shared.clock.until(arrived + PROXY_TIMEOUT) => Err(Failure::proxy(596, "Connection timed out")),
    }
}

/// While a start is at work, reads that ask LXC wait for its end, for up to 30 s (slow-02).
async fn wait_for_starts(shared: &Shared, blocks: Blocks, params: &Params, arrived: Moment) -> Result<(), Failure> {
    if blocks == Blocks::OnItsLock {
        return wait_for_lock(shared, params.vmid(), arrived).await;
    }
    if blocks == Blocks::No || !shared.start_blocks_reads {
        return Ok(());
    }
    let node = params.text("node").unwrap_or_default();
    let vmid = (blocks == Blocks::OnItsContainer).then(|| params.vmid());
    let limit = arrived + PROXY_TIMEOUT;
    let mut changed = shared.changed.subscribe();
    loop {
        let due = {
            let (state, now) = shared.state();
            if !state.is_starting(node, vmid) {
                return Ok(());
            }
            if now >= limit {
                return Err(Failure::proxy(596, "Connection timed out"));
            }
            state.next_due().unwrap_or(limit).min(limit)
        };
        tokio::select! {
            () = shared.clock.until(due) => {}
            _ = changed.changed() => {}
        }
    }
}

/// Waits for the container's lock file, for up to ten seconds (Tools.pm, `lock_file_full`).
async fn wait_for_lock(shared: &Shared, vmid: u32, arrived: Moment) -> Result<(), Failure> {
    let limit = arrived + 10_000;
    let mut changed = shared.changed.subscribe();
    loop {
        let due = {
            let (state, now) = shared.state();
            if state.tasks.lock_holder(vmid).is_none() {
                return Ok(());
            }
            if now >= limit {
                return Err(Failure::died(format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")));
            }
            state.next_due().unwrap_or(limit).min(limit)
        };
        tokio::select! {
            () = shared.clock.until(due) => {}
            _ = changed.changed() => {}
        }
    }
}
