//! What every request goes through, from the outside in: headers, origin, session, and for `/api/` the form of the answer.

use super::{AppState, Error, context::SignedIn, error::incident, flash};
use crate::{error::AppError, paths, ui::flash::Flash};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::any::Any;
use tower_sessions::Session;

/// The longest body that is read: 256 KiB. The longest form of ours names as many containers as a batch may have
/// ([`crate::batches::model::MOST`]), at 33 to 35 bytes each.
pub const MOST_BODY: usize = 256 << 10;

/// The server functions that a stranger may call; all others answer 401 before their arguments are read.
pub const OPEN_FUNCTIONS: &[&str] =
    &["/api/sign_in", "/api/get_sign_in_form", "/api/enter_second_factor", "/api/set_theme", "/api/set_layout"];

/// What a form without JavaScript gets back after an error. Nothing else is carried, so no password ever is.
const KEPT_FIELDS: &[&str] = &["username", "realm"];

/// The outermost layer: an error that nothing else has made legible becomes a plain page for who reads pages, and every answer gets the
/// security headers that it does not set itself. A page sets its own policy, with its nonce.
pub async fn finish(request: Request, next: Next) -> Response {
    let reads_pages = accepts_html(request.headers());
    let mut response = next.run(request).await;
    if reads_pages && response.extensions().get::<AppError>().is_some() {
        response = legible(response);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // forms without JavaScript find their way back by the referrer
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// A panic is our own fault, with a number; the log has the rest.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let incident = incident();
    tracing::error!(%incident, "a request panicked: {}", text.unwrap_or("without a text"));
    plain(&AppError::Internal { incident })
}

/// Refuses what another site's page sends: everything but GET and HEAD has to come from our own.
pub async fn same_origin(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_same_origin(&state, request.headers(), request.uri()) {
        return next.run(request).await;
    }
    tracing::warn!(path = request.uri().path(), "a request from another site was refused");
    plain(&AppError::ForeignOrigin)
}

fn is_same_origin(state: &AppState, headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    // browsers since 2023 say it themselves
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match text(header::ORIGIN) {
        Some(origin) => match state.public_url() {
            Some(url) => origin.eq_ignore_ascii_case(url.origin()),
            None => {
                let host = uri.authority().map(|a| a.as_str()).or(text(header::HOST));
                origin.split_once("://").is_some_and(|(_, from)| host.is_some_and(|host| from.eq_ignore_ascii_case(host)))
            }
        },
        // no browser leaves both out of a POST; a program has no cookie that it was tricked into sending
        None => true,
    }
}

/// Asks the store who is there, and leads strangers to the sign-in form.
pub async fn identify(State(state): State<AppState>, session: Session, mut request: Request, next: Next) -> Response {
    let known = match who(&state, &session).await {
        Ok(known) => known,
        Err(error) => return plain(&AppError::from(error)),
    };
    let path = request.uri().path();
    if path.starts_with("/api/") {
        if known.is_none() && !OPEN_FUNCTIONS.contains(&path) {
            return plain(&AppError::SignedOut);
        }
    } else if [paths::login(), paths::second_factor()].contains(&path) {
        if known.is_some() {
            return see_other(paths::home());
        }
    } else if known.is_none() {
        let here = request.uri().path_and_query().map_or(paths::home(), |p| p.as_str());
        return see_other(&paths::login_then(here));
    }
    if let Some(known) = known {
        request.extensions_mut().insert(known);
    }
    next.run(request).await
}

async fn who(state: &AppState, session: &Session) -> Result<Option<SignedIn>, Error> {
    let Some(mut known) = SignedIn::load(session).await? else { return Ok(None) };
    if state.cluster(&known.cluster).is_none() {
        return Ok(None);
    }
    known.touch(session, time::OffsetDateTime::now_utc().unix_timestamp()).await?;
    Ok(Some(known))
}

/// The header in which a server function tells this layer of the operation behind its answer.
pub const OPERATION: &str = "berth-operation";

/// Gives the answer of a server function the form that was asked for: to a program a status and JSON, to a browser's plain form a
/// redirect, with a [`Flash`] where it failed. Also the only reader of such a request's body, within [`MOST_BODY`].
pub async fn answer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let form = request.method() == Method::POST && accepts_html(request.headers());
    let back = referring_path(request.headers());
    let (mut parts, body) = request.into_parts();
    let (response, fields) = match to_bytes(body, MOST_BODY).await {
        Ok(body) => {
            let fields = if form { kept_fields(&body) } else { Vec::new() };
            // the functions answer programs only; what a form needs is made below
            parts.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            (next.run(Request::from_parts(parts, Body::from(body))).await, fields)
        }
        Err(_) => (plain(&AppError::TooLarge), Vec::new()),
    };
    let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
    // a failure leads on where something has to be said first, or an operation is behind it
    let question = response.headers().get(header::LOCATION).cloned();
    let asked_at = question.as_ref().and_then(|to| to.to_str().ok()).map(str::to_owned);
    let operation = question.or_else(|| followed(&response, &back));
    let failed = match failure(response).await {
        Ok(response) if form => return redirected(response, &back),
        Ok(mut response) => {
            // a program is told where a form would be led
            if let Some(to) = followed(&response, &back) {
                response.headers_mut().entry(header::LOCATION).or_insert(to);
            }
            return response;
        }
        Err(error) => error,
    };
    let mut response = match failed {
        error if !form => {
            let mut response = plain(&error);
            response.headers_mut().extend(operation.map(|to| (header::LOCATION, to)));
            response
        }
        AppError::SignedOut => see_other(&paths::login_then(&back)),
        AppError::SignInExpired => with_flash(&state, &paths::login_again(&back), AppError::SignInExpired, fields),
        error => with_flash(&state, asked_at.as_deref().unwrap_or(&back), error, fields),
    };
    // a session that ended takes its cookie with it
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The error in an answer, where it is one.
async fn failure(response: Response) -> Result<Response, AppError> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let body = to_bytes(response.into_body(), MOST_BODY).await.unwrap_or_default();
    let error = match serde_json::from_slice(&body) {
        // arguments that are no UTF-8 or no form arise before a function's body, under the names of the browser's own failures
        Ok(AppError::Offline | AppError::Outdated) => AppError::BadRequest,
        Ok(AppError::Internal { incident: none }) if none.0 == 0 => {
            let incident = incident();
            tracing::error!(%incident, %status, "a server function failed outside of its body");
            AppError::Internal { incident }
        }
        Ok(error) => error,
        // the name of no function, or a method that it does not take
        Err(_) if status.is_client_error() => AppError::NoSuchPage,
        Err(_) => {
            let incident = incident();
            tracing::error!(%incident, %status, "an answer of /api/ is no error of ours");
            AppError::Internal { incident }
        }
    };
    Err(error)
}

/// The page that follows the operation behind an answer, where there is one.
fn followed(response: &Response, back: &str) -> Option<HeaderValue> {
    let operation = response.headers().get(OPERATION)?.to_str().ok()?;
    HeaderValue::from_str(&paths::with_operation(back, operation)).ok()
}

/// A good answer for a form: on to where the function sends it, or back, where the operation behind it is told of.
fn redirected(response: Response, back: &str) -> Response {
    let followed = followed(&response, back);
    let (parts, _) = response.into_parts();
    let to = parts.headers.get(header::LOCATION).or(followed.as_ref());
    let to = to.and_then(|to| to.to_str().ok()).map_or_else(|| back.to_owned(), str::to_owned);
    let mut redirect = see_other(&to);
    for cookie in parts.headers.get_all(header::SET_COOKIE) {
        redirect.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    redirect
}

/// The path that a form stands on.
fn referring_path(headers: &HeaderMap) -> String {
    let referrer = headers.get(header::REFERER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<Uri>().ok());
    let path = referrer.as_ref().and_then(|uri| uri.path_and_query()).map_or(paths::home(), |p| p.as_str());
    // the pages of signing in are the ones that safe_next leaves out
    if path.starts_with(paths::login()) { path.to_owned() } else { paths::safe_next(path).to_owned() }
}

fn kept_fields(body: &[u8]) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body).unwrap_or_default();
    pairs.into_iter().filter(|(key, _)| KEPT_FIELDS.contains(&key.as_str())).collect()
}

/// Leads to a page that says what went wrong.
pub fn with_flash(state: &AppState, to: &str, error: AppError, fields: Vec<(String, String)>) -> Response {
    let mut response = see_other(to);
    let secure = state.public_url().is_some_and(|url| url.is_https());
    if let Some(cookie) = flash::set(Flash { error, fields }, secure) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Leads elsewhere.
pub fn see_other(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("/"))]).into_response(),
    }
}

/// An error as a program reads it.
pub fn plain(error: &AppError) -> Response {
    let mut response = (status(error), axum::Json(error)).into_response();
    response.extensions_mut().insert(error.clone());
    response
}

/// The same for a person, without anything that could fail too.
fn legible(response: Response) -> Response {
    let Some(error) = response.extensions().get::<AppError>() else { return response };
    let reference = error.incident().map(|number| format!("<p>Reference <code>{number}</code></p>")).unwrap_or_default();
    let sentence = error.to_string().replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Berth</title><h1>{sentence}</h1>{reference}<p><a href=\"/\">To the containers</a></p></html>"
    );
    (status(error), axum::response::Html(page)).into_response()
}

fn status(error: &AppError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}
