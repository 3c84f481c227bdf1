//! Which page an address leads to.

use super::{model::RenderedPage, parts::trouble, query::Query};
use crate::{
    containers,
    error::AppError,
    operations,
    paths::Page,
    server::{Context, Error},
};
use axum::http::{StatusCode, request::Parts};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// The page at a path with its query. What goes wrong stands on it, for who looks at it; a dead session does not.
pub async fn render(context: &Context, address: &str) -> Result<RenderedPage, Error> {
    // before the first wait: afterwards the request may be out of sight
    let own_status = OwnStatus::of_request();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let query = Query::of(query);
    let page = match Page::of(path) {
        Some(Page::Container(id, tab)) => Box::pin(containers::page::container(context, &id, tab, &query, refused())).await,
        Some(Page::Delete(id)) => Box::pin(containers::page::question(context, &id, refused())).await,
        Some(Page::Number(cluster, vmid)) => Box::pin(containers::page::number(context, &cluster, vmid, &query, refused())).await,
        Some(Page::Operation(id)) => Box::pin(operations::view::operation(context, &id, &query, refused())).await,
        Some(Page::Task(upid)) => Box::pin(operations::task_view::task(context, &upid, &query, refused())).await,
        None => Err(Error::Answer(AppError::NoSuchPage)),
    };
    match page.map_err(AppError::from) {
        Ok(page) => Ok(page),
        Err(AppError::SignedOut) => Err(Error::Answer(AppError::SignedOut)),
        Err(error) => {
            own_status.set(error.status());
            Ok(trouble(error))
        }
    }
}

/// What a form without JavaScript has to say on the page that it stands on.
fn refused() -> Option<AppError> {
    let parts = use_context::<Parts>()?;
    crate::server::flash::get(&parts.headers).map(|flash| flash.error)
}

/// The status of the page's own request, where this is one, and not that of a server function.
struct OwnStatus(Option<ResponseOptions>);

impl OwnStatus {
    fn of_request() -> Self {
        let is_page = use_context::<Parts>().is_some_and(|parts| !parts.uri.path().starts_with("/api/"));
        Self(if is_page { use_context() } else { None })
    }

    fn set(&self, status: u16) {
        if let (Some(response), Ok(status)) = (&self.0, StatusCode::from_u16(status)) {
            response.set_status(status);
        }
    }
}
