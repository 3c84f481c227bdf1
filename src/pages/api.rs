//! The server function of pages.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::RenderedPage;
use crate::error::AppError;
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// The page at an address of ours, its path and query. `have` are the `data-h` of the parts that the browser has, by commas. What goes
/// wrong with a page stands on it; only a dead session is an error.
#[server(endpoint = "get_page", input = GetUrl)]
pub async fn get_page(address: String, have: Option<String>) -> Result<RenderedPage, AppError> {
    crate::server::handle("get_page", async |context| {
        let have = have.as_deref().unwrap_or_default();
        let asked = super::service::Asked { address: &address, have, refused: None };
        let page = super::service::render(&context, asked).await?.page;
        Ok(RenderedPage { site: context.state.assets().path("berth.wasm").to_owned(), ..page })
    })
    .await
}
