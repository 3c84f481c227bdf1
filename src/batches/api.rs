//! The server functions of batches.

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{BatchId, BatchView, Chosen};
use crate::{error::AppError, operations::model::Verb};
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// Begins a verb for many containers, and leads to the page that follows it. For a deletion `confirm` is `delete` and how many `ids` has.
#[server(endpoint = "run_batch")]
pub async fn run_batch(verb: Verb, ids: Chosen, confirm: Option<String>) -> Result<BatchId, AppError> {
    crate::server::handle("run_batch", async |context| {
        let id = super::service::run(context, verb, ids, confirm).await?;
        leptos_axum::redirect(&crate::paths::batch(&id));
        Ok(id)
    })
    .await
}

/// A batch, for who has asked for it.
#[server(endpoint = "get_batch", input = GetUrl)]
pub async fn get_batch(id: BatchId) -> Result<BatchView, AppError> {
    crate::server::handle("get_batch", async |context| super::service::get_batch(&context, &id).await).await
}
