//! From a request to its answer, in the order in which Proxmox checks: faults, method, authentication, body, route, permission,
//! proxy, parameters, handler (HS:155-206).
//!
//! Not here: sockets ([`super::server`]), the control side ([`super::control`]), and what endpoints do ([`super::api`]).

use super::{
    api::Call,
    clock::Moment,
    control,
    faults::FaultAction,
    params::{self, Raw},
    reply::{self, Answer, Body, Failure},
    requests::Entry,
    routes::{self, Blocks, Permission, Route},
    shared::Shared,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    header::{self, HeaderMap},
};
use percent_encoding::percent_decode_str;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

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
    let entry = shared.requests.begin(&method, relative.unwrap_or(&path), request.uri().query().unwrap_or_default());
    shared.announce();
    let response = match shared.faults.hit(&method, relative.unwrap_or(&path)) {
        None => carry_out(&shared, request, relative, entry).await,
        Some(FaultAction::Slow { seconds }) => {
            tokio::time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
            carry_out(&shared, request, relative, entry).await
        }
        Some(FaultAction::Hang) => {
            let cleared = shared.faults.cleared();
            shared.wait_until(|| shared.faults.cleared() != cleared).await;
            carry_out(&shared, request, relative, entry).await
        }
        Some(FaultAction::Refuse) => return Err(Gone),
        Some(FaultAction::LoseAnswer) => {
            carry_out(&shared, request, relative, entry).await;
            return Err(Gone);
        }
        Some(FaultAction::Drop) => reply::cut(carry_out(&shared, request, relative, entry).await).await,
        Some(FaultAction::Status { code, reason }) => {
            Failure::custom(code, &reason).into_response(shared.clock.now(), shared.marker.as_deref())
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
    shared.requests.note(entry, |request| request.status = Some(response.status().as_u16()));
    shared.announce();
    Ok(response)
}

async fn carry_out(shared: &Shared, request: Request<Incoming>, path: Option<&str>, entry: Entry) -> Response<Body> {
    let arrived = shared.clock.now();
    match answer(shared, request, path, entry, arrived).await {
        Ok(answer) => answer.into_response(shared.clock.now()),
        Err(failure) => {
            if failure.status == 401 {
                shared.clock.delay_until(arrived + DELAY_OF_401).await;
            }
            failure.into_response(shared.clock.now(), shared.marker.as_deref())
        }
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>, path: Option<&str>, entry: Entry, arrived: Moment) -> Result<Answer, Failure> {
    let method = request.method().as_str().to_owned();
    let found = path.and_then(|path| routes::find(&method, path));
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
    let user = match &found {
        Some((Route { permission: Permission::World, .. }, _)) => String::new(),
        _ => authenticate(shared, request.headers(), &method)?,
    };
    if !user.is_empty() {
        shared.requests.note(entry, |request| request.user = Some(user.clone()));
    }
    let sent = sent_params(request).await?;
    let (route, in_path) = found.ok_or_else(|| Failure::not_implemented(&method, path))?;
    let mut given = merge(in_path, sent)?;
    shared.requests.note(entry, |request| request.params = without_secrets(&given));
    permit(shared, route, &given, &user)?;
    reach_node(shared, &mut given, arrived).await?;
    let checked = params::check(route.params, given)?;
    wait_for_starts(shared, route.blocks, &checked, arrived).await?;

    let fingerprint = shared.certificates.fingerprint();
    let (mut state, now) = shared.state();
    let mut call = Call { state: &mut state, tickets: &shared.tickets, fingerprint: &fingerprint, now, user: &user, params: &checked };
    let answer = (route.handler)(&mut call);
    drop(state);
    shared.announce();
    answer
}

/// The user of the ticket, which stands in a cookie or in a header (AE:1579-1588). The cookie wins.
fn authenticate(shared: &Shared, headers: &HeaderMap, method: &str) -> Result<String, Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cookie = text("cookie").and_then(|cookies| cookies.split(';').find_map(|c| c.trim().strip_prefix("PVEAuthCookie=")));
    let authorization = text("authorization");
    if cookie.is_none()
        && let Some(token) = authorization.and_then(|value| value.strip_prefix("PVEAPIToken="))
    {
        // No token exists yet; this is the answer to one that does not (REAL, Auth).
        let name = token.split('=').next().unwrap_or_default();
        let (user, token) = name.split_once('!').ok_or_else(|| Failure::unauthorized("invalid token value!"))?;
        return Err(Failure::unauthorized(&format!("no such token '{token}' for user '{user}'")));
    }
    let ticket = cookie
        .or_else(|| authorization.and_then(|value| value.strip_prefix("PVEAuthCookie=")))
        .ok_or_else(|| Failure::unauthorized("No ticket"))?;
    let ticket = percent_decode_str(ticket).decode_utf8_lossy();
    let (state, now) = shared.state();
    let lifetime = |user: &str| state.access.user(user).and_then(|user| user.ticket_lifetime);
    let user =
        shared.tickets.check(&ticket, now, lifetime).ok_or_else(|| Failure::unauthorized("permission denied - invalid PVE ticket"))?;
    match state.access.user(&user) {
        None => return Err(Failure::unauthorized(&format!("no such user ('{user}')"))),
        Some(known) if !known.is_enabled => return Err(Failure::unauthorized(&format!("user '{user}' is disabled"))),
        Some(_) => {}
    }
    // auth-20-post-missing-csrf, auth-25-get-needs-no-csrf
    let csrf = text("csrfpreventiontoken").unwrap_or_default();
    if method != "GET" && !shared.tickets.csrf_is_valid(csrf, &user, now) {
        return Err(Failure::unauthorized("Permission denied - invalid csrf token"));
    }
    Ok(user)
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

fn permit(shared: &Shared, route: &Route, given: &Raw, user: &str) -> Result<(), Failure> {
    let Permission::Check(pattern, privilege) = route.permission else { return Ok(()) };
    let path = routes::fill(pattern, given);
    let (state, _) = shared.state();
    if state.access.allows(user, &path, privilege) { Ok(()) } else { Err(Failure::forbidden(&path, &[privilege])) }
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

/// While a start is at work, reads that ask LXC wait for its end, for up to 30 s (slow-02).
async fn wait_for_starts(shared: &Shared, blocks: Blocks, params: &params::Params, arrived: Moment) -> Result<(), Failure> {
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
