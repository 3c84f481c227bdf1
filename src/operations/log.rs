//! Task logs as plain texts, however long: `/operations/{id}/log` and `/tasks/{upid}/log`.
//!
//! They are read from Proxmox a part at a time while they are sent, so that none of them is ever in memory as a whole.

use super::{model::OperationId, service, task};
use crate::{
    auth,
    error::AppError,
    proxmox::{self, Client, ids::Upid},
    server::{AppState, Context, Error, Visitor, context::SignedIn, handle::handle_for, telemetry, web},
};
use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::stream::{self, TryStreamExt};
use std::collections::VecDeque;
use tower_sessions::Session;

/// How many lines are read at once.
const AT_ONCE: u64 = 2000;

/// The logs of all tasks of an operation, each under its UPID.
pub async fn operation(
    State(state): State<AppState>,
    session: Session,
    Extension(who): Extension<SignedIn>,
    Path(id): Path<String>,
) -> Response {
    answer(state, session, who, async |context| {
        let id: OperationId = id.parse().map_err(|_| Error::Answer(AppError::NoSuchOperation))?;
        let row = service::read_operation(&context, &id).await?;
        let logs = Logs::of(&context, row.upids.0.iter().cloned().collect(), true).await?;
        Ok(text(logs, &format!("{}-{}-{id}", row.hostname, row.verb)))
    })
    .await
}

/// The log of a task.
pub async fn of_task(
    State(state): State<AppState>,
    session: Session,
    Extension(who): Extension<SignedIn>,
    Path(upid): Path<String>,
) -> Response {
    answer(state, session, who, async |context| {
        let upid: Upid = upid.parse().map_err(|_| Error::Answer(AppError::NoSuchTask))?;
        task::audited_task(&context, &upid).await?;
        let name = format!("{}-{}-{}-{}", upid.node(), upid.kind(), upid.id(), upid.starttime());
        let logs = Logs::of(&context, [upid].into(), false).await?;
        Ok(text(logs, &name))
    })
    .await
}

async fn answer<F>(state: AppState, session: Session, who: SignedIn, work: impl FnOnce(Context) -> F) -> Response
where
    F: Future<Output = Result<Response, Error>>,
{
    let visitor = Visitor { state, session, signed_in: Some(who), source: None };
    handle_for(Ok(visitor), "task log", work).await.unwrap_or_else(|error| web::plain(&error))
}

/// Logs that are on their way.
struct Logs {
    client: Client,
    /// Of these, the first is being read.
    upids: VecDeque<Upid>,
    /// From this line on.
    start: u64,
    has_titles: bool,
    /// What was read before the answer began, so that what fails at once is an error and no broken text.
    first: Option<String>,
}

impl Logs {
    async fn of(context: &Context, upids: VecDeque<Upid>, has_titles: bool) -> Result<Self, Error> {
        let client = auth::service::create_proxmox_client_from_session(context).await?;
        let mut logs = Self { client, upids, start: 0, has_titles, first: None };
        let cluster = context.cluster.name.clone();
        let part = logs.next().await.map_err(|e| Error::Proxmox { cluster, node: None, vmid: None, source: Box::new(e) })?;
        logs.first = Some(part.unwrap_or_default());
        Ok(logs)
    }

    /// The next lines; none behind the last one.
    async fn next(&mut self) -> Result<Option<String>, proxmox::Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(upid) = self.upids.front() else { return Ok(None) };
        let mut text = String::new();
        if self.has_titles && self.start == 0 {
            text = format!("{upid}\n");
        }
        let (lines, total) = self.client.task_log(upid, self.start, AT_ONCE).await?;
        self.start += lines.len() as u64;
        let is_whole = lines.is_empty() || self.start >= total;
        for line in lines {
            text.push_str(&line.t);
            text.push('\n');
        }
        if is_whole {
            self.upids.pop_front();
            self.start = 0;
            if self.has_titles && !self.upids.is_empty() {
                text.push('\n');
            }
        }
        Ok(Some(text))
    }
}

fn text(logs: Logs, name: &str) -> Response {
    let parts = stream::try_unfold(logs, |mut logs| async move { Ok::<_, proxmox::Error>(logs.next().await?.map(|part| (part, logs))) });
    let parts = parts.inspect_err(|error| tracing::warn!("a log breaks off: {}", telemetry::chain(error)));
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    let mut response = Body::from_stream(parts).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.log\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
