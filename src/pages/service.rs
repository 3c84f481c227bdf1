//! Which page an address leads to: every route on one screen. (Signing in has its pages in [`crate::auth::page`].)

use super::{
    model::RenderedPage,
    parts::{Parts, trouble},
    query::Query,
};
use crate::{
    batches, containers,
    error::AppError,
    operations,
    paths::{self, Page},
    server::{Context, Error},
};

/// What a browser asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked<'a> {
    /// A path with its query.
    pub address: &'a str,
    /// The `data-h` of the parts that it has, by commas.
    pub have: &'a str,
    /// What a form without JavaScript has to say on the page that it stands on.
    pub refused: Option<AppError>,
}

/// A page with the status of its answer.
pub struct Answer {
    /// The page.
    pub page: RenderedPage,
    /// 200, or that of the error which stands on it.
    pub status: u16,
}

/// The page at an address. What goes wrong stands on it, for who looks at it; a dead session does not.
pub async fn render(context: &Context, asked: Asked<'_>) -> Result<Answer, Error> {
    let Asked { address, have, refused } = asked;
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let (parts, asked) = (Parts::of(have), Query::of(query));
    let page = match Page::of(path) {
        Some(Page::Home) => Box::pin(containers::view::list(context, query, parts, refused)).await,
        Some(Page::Container(id, tab)) => Box::pin(containers::page::container(context, &id, tab, &asked, refused)).await,
        Some(Page::Menu(id)) => Box::pin(containers::page::menu(context, &id, refused)).await,
        Some(Page::Delete(id)) => Box::pin(containers::page::question(context, &id, refused)).await,
        Some(Page::Confirm(id)) => Box::pin(containers::page::confirm(context, &id, &asked, refused)).await,
        Some(Page::Number(cluster, vmid)) => Box::pin(containers::page::number(context, &cluster, vmid, &asked, refused)).await,
        Some(Page::Operation(id)) => Box::pin(operations::view::operation(context, &id, &asked, refused)).await,
        Some(Page::Task(upid)) => Box::pin(operations::task_view::task(context, &upid, &asked, refused)).await,
        Some(Page::Bulk) => Box::pin(batches::view::question(context, query, refused)).await,
        Some(Page::Batch(id)) => Box::pin(batches::view::batch(context, &id, query, parts)).await,
        None => Err(Error::Answer(AppError::NoSuchPage)),
    };
    match page.map_err(AppError::from) {
        Ok(page) => Ok(Answer { page, status: 200 }),
        Err(AppError::SignedOut) => Err(Error::Answer(AppError::SignedOut)),
        Err(error) => Ok(Answer { status: error.status(), page: trouble(error) }),
    }
}

/// Whether a path is that of the list, for the side bar.
pub fn is_list(address: &str) -> bool {
    address.split('?').next() == Some(paths::home())
}
