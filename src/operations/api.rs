//! The server functions of operations, of Proxmox's tasks, and of events.
//!
//! They answer only to who may audit the container at Proxmox now, gone containers included (DESIGN §8.1).

#![expect(missing_docs, reason = "the fields of a server function's struct are its arguments, and its doc speaks of them")]

use super::model::{ContainerId, OperationId, OperationView, Paged};
use crate::{
    error::AppError,
    events::model::{ContainerEvent, EventId},
    proxmox::ids::Upid,
};
use leptos::{prelude::*, server_fn::codec::GetUrl};

/// An operation, with its end where it has one.
#[server(endpoint = "get_operation", input = GetUrl)]
pub async fn get_operation(id: OperationId) -> Result<OperationView, AppError> {
    crate::server::handle("get_operation", async |context| super::service::get_operation(&context, &id).await).await
}

/// The operations of a container, newest first, fifty at a time; those before `before`, where it is given.
#[server(endpoint = "list_operations", input = GetUrl)]
pub async fn list_operations(container: ContainerId, before: Option<OperationId>) -> Result<Paged<OperationView>, AppError> {
    let work = async |context| super::service::list_operations(&context, &container, before.as_ref()).await;
    crate::server::handle("list_operations", work).await
}

/// The events of a container, newest first, fifty at a time; those before `before`, where it is given.
#[server(endpoint = "list_container_events", input = GetUrl)]
pub async fn list_container_events(container: ContainerId, before: Option<EventId>) -> Result<Paged<ContainerEvent>, AppError> {
    let work = async |context| super::service::list_container_events(&context, &container, before.as_ref()).await;
    crate::server::handle("list_container_events", work).await
}

/// Asks Proxmox to stop the task that an operation waits for. How it ends, the operation tells.
#[server(endpoint = "stop_operation")]
pub async fn stop_operation(id: OperationId) -> Result<(), AppError> {
    crate::server::handle("stop_operation", async |context| super::task::stop_operation(&context, &id).await).await
}

/// Asks Proxmox to stop a task, whoever began it.
#[server(endpoint = "stop_task")]
pub async fn stop_task(upid: Upid) -> Result<(), AppError> {
    crate::server::handle("stop_task", async |context| super::task::stop_task(&context, &upid).await).await
}
