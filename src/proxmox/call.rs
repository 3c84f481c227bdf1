//! One call on its way: its time limit, its turn, its repetitions, the addresses it is tried at, and its answer.
//!
//! Not here: which calls there are ([`super::client`]), and what an answer means ([`super::wire`], [`super::error`]).

use super::{
    client::{Connection, Endpoint},
    credentials::{Credentials, Holder},
    error::{Cause, Error},
    retry,
    turns::Subject,
    wire::{self, Envelope},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, header};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use time::{PrimitiveDateTime, macros::format_description};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

/// The longest answer that is read: 32 MiB, some ten times `/cluster/resources` with 10,000 guests.
const MOST_BYTES: usize = 32 << 20;

/// Names and values, as a query or a form has them.
#[derive(Clone, Default)]
pub(super) struct Params(String);

impl Params {
    /// Adds a value.
    pub(super) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let separator = if self.0.is_empty() { "" } else { "&" };
        self.0 = format!("{}{separator}{}={}", self.0, escaped(name), escaped(value.as_ref()));
        self
    }

    /// Adds a value where there is one.
    pub(super) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value.to_string()),
            None => self,
        }
    }

    /// Adds a yes; a no is left out, because it is what Proxmox takes for granted and old versions may not know the name.
    pub(super) fn flag(self, name: &str, yes: bool) -> Self {
        if yes { self.with(name, "1") } else { self }
    }
}

/// One call. It owns what it needs, so that it can go on by itself where its caller goes away.
pub(super) struct Call {
    pub(super) connection: Connection,
    pub(super) holder: Option<Arc<Holder>>,
    pub(super) name: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) form: Option<Params>,
    pub(super) limit: Duration,
    pub(super) subject: Option<Subject>,
}

impl Call {
    pub(super) fn get(self, path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), ..self }
    }

    pub(super) fn post(self, path: impl Into<String>, form: Params) -> Self {
        Self { method: Method::POST, path: path.into(), form: Some(form), ..self }
    }

    pub(super) fn put(self, path: impl Into<String>, form: Params) -> Self {
        Self { method: Method::PUT, path: path.into(), form: Some(form), ..self }
    }

    pub(super) fn delete(self, path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), ..self }
    }

    /// Parameters of a GET or a DELETE, which may have no body (`501 Unexpected content for method 'DELETE'`, recording del-21).
    pub(super) fn query(mut self, Params(query): Params) -> Self {
        if !query.is_empty() {
            self.path = format!("{}?{query}", self.path);
        }
        self
    }

    /// It can block while a container starts: it waits for its turn, and has longer for its answer.
    pub(super) fn in_turn(self, subject: Subject) -> Self {
        let limit = self.connection.limits().blocking;
        Self { subject: Some(subject), limit, ..self }
    }

    /// The same limit, but no turn: where what blocks is not known to hold up others.
    pub(super) fn patient(self) -> Self {
        let limit = self.connection.limits().blocking;
        Self { limit, ..self }
    }

    /// The answer as one value.
    pub(super) async fn one<T: DeserializeOwned>(self) -> Result<T, Error> {
        let call = self.name;
        let envelope = self.send().await?;
        serde_json::from_str(envelope.text()).map_err(|e| protocol(call, &unreadable(&e)))
    }

    /// The answer as a list; entries that do not parse are left out and logged.
    pub(super) async fn list<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        Ok(self.window().await?.0)
    }

    /// The answer as a part of a list, with the length of the whole.
    pub(super) async fn window<T: DeserializeOwned>(self) -> Result<(Vec<T>, u64), Error> {
        let call = self.name;
        let envelope = self.send().await?;
        let list = wire::entries(call, envelope.text()).ok_or_else(|| protocol(call, "not a list"))?;
        let total = envelope.total.unwrap_or(list.len() as u64);
        Ok((list, total))
    }

    /// That there was an answer.
    pub(super) async fn done(self) -> Result<(), Error> {
        self.send().await.map(|_| ())
    }

    /// The answer, or why there is none, within the limit.
    pub(super) async fn send(self) -> Result<Envelope, Error> {
        let (call, limit) = (self.name, self.limit);
        let began = Instant::now();
        let deadline = began + limit;
        let result = timeout_at(deadline, self.in_its_turn(deadline)).await.unwrap_or(Err(Cause::TimedOut(limit)));
        tracing::debug!(call, ms = began.elapsed().as_millis() as u64, ok = result.is_ok(), "proxmox");
        result.map_err(|cause| Error { call, cause })
    }

    /// Who goes away in the middle of a call that blocks leaves it to its end, and its turn with it: Proxmox's worker is bound by it
    /// either way.
    async fn in_its_turn(self, deadline: Instant) -> Result<Envelope, Cause> {
        let Some(subject) = &self.subject else { return self.tries(deadline).await };
        let turn = self.connection.turns().take(subject).await;
        let limit = self.limit;
        let rest = async move {
            let result = timeout_at(deadline, self.tries(deadline)).await;
            drop(turn);
            result.unwrap_or(Err(Cause::TimedOut(limit)))
        };
        tokio::spawn(rest.in_current_span()).await.unwrap_or_else(|error| Err(Cause::Protocol(format!("the call was broken off: {error}"))))
    }

    /// Tries until it succeeds, must not be tried again, or has been tried often enough.
    async fn tries(&self, deadline: Instant) -> Result<Envelope, Cause> {
        let limits = self.connection.limits();
        let is_write = self.method != Method::GET;
        let mut renewed = false;
        for failed in 1.. {
            let began = Instant::now();
            let cause = match self.signed(&mut renewed).await {
                Ok(envelope) => return Ok(envelope),
                Err(cause) => cause,
            };
            let pause = retry::pause(limits.first_pause, failed, retry::random_share());
            // what took longer than is left would be cut off, and its cause with it
            let has_time = deadline.saturating_duration_since(Instant::now()) > pause + began.elapsed();
            if failed >= limits.tries || !has_time || !retry::is_safe(is_write, &cause) {
                return Err(cause);
            }
            tracing::debug!(call = self.name, failed, %cause, "trying again");
            tokio::time::sleep(pause).await;
        }
        Err(Cause::Protocol("never tried".to_owned()))
    }

    /// With the credentials, once more with a new ticket where Proxmox refuses the old one. A 401 comes before anything is done
    /// (PVE/HTTPServer.pm:60-130), so a write may be sent again too.
    async fn signed(&self, renewed: &mut bool) -> Result<Envelope, Cause> {
        let Some(holder) = &self.holder else { return self.at_any_address(None).await };
        if let Some(old) = holder.ticket_older_than(self.connection.limits().renew_after)
            && !*renewed
        {
            *renewed = true;
            match holder.renew(&self.connection, &old).await {
                Ok(()) => {}
                Err(cause @ Cause::SignedOut(_)) => return Err(cause),
                // it may live for a while yet
                Err(cause) => tracing::warn!(user = %holder.user(), %cause, "a ticket could not be renewed; the old one is used"),
            }
        }
        let credentials = holder.credentials()?;
        match (self.at_any_address(Some(&credentials)).await, &credentials) {
            (Err(Cause::SignedOut(_)), Credentials::Ticket(used)) if !*renewed => {
                *renewed = true;
                holder.renew(&self.connection, used).await?;
                self.at_any_address(Some(&holder.credentials()?)).await
            }
            (result, _) => result,
        }
    }

    /// At the address that answered last, then at the others; to the next one only where no connection came about.
    async fn at_any_address(&self, credentials: Option<&Credentials>) -> Result<Envelope, Cause> {
        let mut endpoints = self.connection.endpoints();
        let mut endpoint = endpoints.next();
        while let Some((index, here)) = endpoint {
            let result = self.exchange(here, credentials).await;
            endpoint = endpoints.next();
            match result {
                Err(cause @ Cause::Unreachable(_)) if cause.nothing_was_sent() && endpoint.is_some() => {
                    tracing::warn!(call = self.name, address = %here.base, "no connection; trying the next address");
                }
                Err(cause @ (Cause::Unreachable(_) | Cause::Untrusted { .. })) => return Err(cause),
                result => {
                    self.connection.prefer(index);
                    return result;
                }
            }
        }
        Err(Cause::Protocol("no address".to_owned()))
    }

    async fn exchange(&self, endpoint: &Endpoint, credentials: Option<&Credentials>) -> Result<Envelope, Cause> {
        let transport = |error| Cause::of_transport(error, self.limit);
        let mut request = endpoint.http.request(self.method.clone(), format!("{}{}", endpoint.base, self.path));
        if let Some(credentials) = credentials {
            request = request.headers(credentials.headers(&self.method)?);
        }
        if let Some(Params(form)) = &self.form {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
        }
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status();
        if let (Some(holder), Some(seconds)) = (&self.holder, response.headers().get(header::DATE).and_then(date)) {
            holder.note_date(seconds);
        }
        // The error's text is the reason phrase (PVE/APIServer/AnyEvent.pm:306-315); since 8.4 the body says it too.
        let reason = match response.extensions().get::<hyper::ext::ReasonPhrase>() {
            Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            None => status.canonical_reason().unwrap_or_default().to_owned(),
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(Cause::Protocol(format!("more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let envelope = serde_json::from_slice::<Envelope>(&body);
        if status.is_success() {
            return envelope.map_err(|e| Cause::Protocol(unreadable(&e)));
        }
        // An error without a readable body is still an error with a reason.
        let (message, errors) = envelope.map(|e| (e.message, e.errors)).unwrap_or_default();
        Err(Cause::of_answer(status.as_u16(), message.as_deref().unwrap_or(&reason), errors))
    }
}

/// A `Date` header, such as `Sun, 22 Nov 2026 23:31:48 GMT`, in seconds since 1970.
fn date(value: &header::HeaderValue) -> Option<i64> {
    let format = format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    Some(PrimitiveDateTime::parse(value.to_str().ok()?, format).ok()?.assume_utc().unix_timestamp())
}

/// Where an answer cannot be read, and not what stands there: it may be a secret.
fn unreadable(error: &serde_json::Error) -> String {
    format!("{:?} error at line {}, column {}", error.classify(), error.line(), error.column())
}

pub(super) fn protocol(call: &'static str, what: &str) -> Error {
    Error { call, cause: Cause::Protocol(what.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_answer_is_read_from_its_date() {
        let read = |text| date(&header::HeaderValue::from_static(text));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(read("soon"), None);
    }
}
