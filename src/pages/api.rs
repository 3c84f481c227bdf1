//! The server function of pages that the server renders.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::RenderedPage;
use crate::error::AppError;
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// The page at an address of ours, its path and query. What goes wrong with it stands on it; only a dead session is an error.
#[server(endpoint = "get_page", input = GetUrl)]
pub async fn get_page(address: String) -> Result<RenderedPage, AppError> {
    crate::server::handle("get_page", async |context| super::service::render(&context, &address).await).await
}
