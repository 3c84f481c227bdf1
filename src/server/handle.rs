//! The one wrapper around every server function: who is asking, the log line, the error's mapping, the end of a dead session.

use super::{Context, Error, Visitor};
use crate::error::AppError;
use axum::http::{HeaderName, HeaderValue, header::LOCATION};
use leptos::prelude::use_context;
use std::{future::Future, time::Instant};

/// Runs a server function for somebody who is signed in.
pub async fn handle<T, F>(name: &'static str, work: impl FnOnce(Context) -> F) -> Result<T, AppError>
where
    F: Future<Output = Result<T, Error>>,
{
    handle_for(Visitor::of_request(), name, work).await
}

/// Runs what a signed-in visitor asks for. Where Proxmox says that their ticket is dead, their session ends.
pub async fn handle_for<T, F>(visitor: Result<Visitor, Error>, name: &'static str, work: impl FnOnce(Context) -> F) -> Result<T, AppError>
where
    F: Future<Output = Result<T, Error>>,
{
    let context = visitor.and_then(Visitor::signed_in)?;
    let (session, user) = (context.session.clone(), context.user.clone());
    let started = Instant::now();
    let result = work(context).await;
    log(name, user.as_str(), started, &result);
    let result = result.map_err(AppError::from);
    if matches!(result, Err(AppError::SignedOut)) {
        tracing::info!(%user, "the Proxmox ticket is dead; the session ends");
        session.flush().await.map_err(Error::from)?;
    }
    result
}

/// Runs a function for anybody.
pub async fn handle_visitor<T, F>(name: &'static str, work: impl FnOnce(Visitor) -> F) -> Result<T, AppError>
where
    F: Future<Output = Result<T, Error>>,
{
    let visitor = Visitor::of_request()?;
    let started = Instant::now();
    let result = work(visitor).await;
    log(name, "visitor", started, &result);
    result.map_err(AppError::from)
}

fn log<T>(function: &str, user: &str, started: Instant, result: &Result<T, Error>) {
    let ms = started.elapsed().as_millis() as u64;
    tracing::debug!(function, user, ms, ok = result.is_ok(), "server function");
}

/// There is an operation behind this answer: a form leads to the page that follows it.
pub fn tell_of_operation(id: &str) {
    if let (Some(response), Ok(id)) = (use_context::<leptos_axum::ResponseOptions>(), HeaderValue::from_str(id)) {
        response.insert_header(HeaderName::from_static(super::web::OPERATION), id);
    }
}

/// Something has to be said first, on this page of ours: a form leads there.
pub fn tell_of_question(path: &str) {
    if let (Some(response), Ok(path)) = (use_context::<leptos_axum::ResponseOptions>(), HeaderValue::from_str(path)) {
        response.insert_header(LOCATION, path);
    }
}
