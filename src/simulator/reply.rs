//! Answers and failures, and how Proxmox puts them on the wire: status line with the error as its reason, headers, JSON body.
//!
//! Not here: which answer it is.

use super::{
    clock::{Moment, seconds},
    version::Version,
};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::{Body as _, Bytes, Frame},
    ext::ReasonPhrase,
    header::{self, HeaderValue},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};
use time::{OffsetDateTime, macros::format_description};

pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What an endpoint has to say.
#[derive(Debug)]
pub enum Answer {
    Data {
        data: Value,
        total: Option<u64>,
    },
    /// Plain text, for downloads.
    Text(String),
    /// A body that is not JSON at all, for containers that answer garbage.
    Broken(&'static str),
}

impl From<Value> for Answer {
    fn from(data: Value) -> Self {
        Self::Data { data, total: None }
    }
}

/// How an endpoint fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: u16,
    pub message: String,
    /// By parameter.
    pub errors: BTreeMap<String, String>,
    pub body: FailureBody,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailureBody {
    /// `{"data":null,"message":…}`; the message since 5.2 of the HTTP server, that is in 8.4 (FACTS §1).
    Json,
    /// The text itself, as of errors of the HTTP server (AE:402-412; del-21-delete-with-form-body).
    Plain,
    /// None: failed authentication and the 59x of the proxy (auth-20, down-04).
    Empty,
}

impl Failure {
    fn new(status: u16, message: impl Into<String>, body: FailureBody) -> Self {
        Self { status, message: message.into(), errors: BTreeMap::new(), body }
    }

    /// `die "text\n"` in Proxmox's code.
    pub fn died(text: impl AsRef<str>) -> Self {
        Self::new(500, format!("{}\n", text.as_ref()), FailureBody::Json)
    }

    pub fn missing_config(node: &str, vmid: u32) -> Self {
        Self::died(format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist"))
    }

    pub fn forbidden(path: &str, privileges: &[&str]) -> Self {
        let text = format!("Permission check failed ({path}, {})\n", privileges.join("|"));
        Self::new(403, text, FailureBody::Json)
    }

    pub fn parameters(errors: BTreeMap<String, String>) -> Self {
        Self { errors, ..Self::new(400, "Parameter verification failed.\n", FailureBody::Json) }
    }

    pub fn parameter(name: &str, error: &str) -> Self {
        Self::parameters(BTreeMap::from([(name.to_owned(), error.to_owned())]))
    }

    /// The login's own 401, which has a body (auth-03-login-bad-password).
    pub fn bad_login() -> Self {
        Self::new(401, "authentication failure\n", FailureBody::Json)
    }

    pub fn unauthorized(reason: &str) -> Self {
        Self::new(401, reason, FailureBody::Empty)
    }

    /// No newline at its end (basic-25-unknown-path).
    pub fn not_implemented(method: &str, path: &str) -> Self {
        Self::new(501, format!("Method '{method} {path}' not implemented"), FailureBody::Json)
    }

    pub fn plain(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, text, FailureBody::Plain)
    }

    /// 595 and 596: another node, or the daemon behind the proxy, does not answer (AE:831-881).
    pub fn proxy(status: u16, reason: &str) -> Self {
        Self::new(status, reason, FailureBody::Empty)
    }

    /// Any status and reason, as a test wants it.
    pub fn custom(status: u16, reason: &str) -> Self {
        let body = if status >= 590 || status == 401 { FailureBody::Empty } else { FailureBody::Json };
        let newline = if body == FailureBody::Json { "\n" } else { "" };
        Self::new(status, format!("{reason}{newline}"), body)
    }

    /// Adds the marker to every text. The 400's own sentence is fixed, so only its errors carry it.
    fn mark(&mut self, marker: &str) {
        let mark = |text: &mut String| {
            let bare = text.trim_end_matches('\n').len();
            text.insert_str(bare, &format!(" {marker}"));
        };
        self.errors.values_mut().for_each(mark);
        if self.status != 400 {
            mark(&mut self.message);
        }
    }

    pub fn into_response(mut self, now: Moment, marker: Option<&str>, version: Version) -> Response<Body> {
        if let Some(marker) = marker {
            self.mark(marker);
        }
        let mut body = Map::from_iter([("data".to_owned(), Value::Null)]);
        if version >= Version::V8_4 {
            body.insert("message".to_owned(), json!(self.message));
        }
        if !self.errors.is_empty() {
            body.insert("errors".to_owned(), json!(self.errors));
        }
        // The reason is the first line of the message (AE:306-315).
        let reason = self.message.lines().next().unwrap_or_default();
        match self.body {
            FailureBody::Json => response(self.status, reason, now, Some(JSON), Value::Object(body).to_string()),
            FailureBody::Plain => response(self.status, reason, now, None, self.message.clone()),
            FailureBody::Empty => response(self.status, reason, now, None, String::new()),
        }
    }
}

impl Answer {
    pub fn into_response(self, now: Moment) -> Response<Body> {
        let text = match self {
            Self::Broken(text) => text.to_owned(),
            Self::Text(text) => return response(200, "OK", now, Some("text/plain"), text),
            Self::Data { data, total } => {
                let mut body = Map::from_iter([("data".to_owned(), data)]);
                // Left out when nothing is there (Formatter/Standard.pm:14-51).
                if let Some(total) = total.filter(|total| *total > 0) {
                    body.insert("total".to_owned(), json!(total));
                }
                Value::Object(body).to_string()
            }
        };
        response(200, "OK", now, Some(JSON), text)
    }
}

pub const JSON: &str = "application/json;charset=UTF-8";

/// A response with Proxmox's headers (AE:293-371). `content_type` is absent where Proxmox sends none.
pub fn response(status: u16, reason: &str, now: Moment, content_type: Option<&'static str>, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // What has no place in a status line cannot have come from Proxmox either.
    let reason: Vec<u8> =
        reason.bytes().map(|byte| if byte == b'\t' || (b' '..0x7f).contains(&byte) || byte >= 0x80 { byte } else { b'?' }).collect();
    if let Ok(reason) = ReasonPhrase::try_from(reason) {
        response.extensions_mut().insert(reason);
    }
    let date = http_date(now);
    let connection = if status < 400 { "Keep-Alive" } else { "close" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::SERVER, HeaderValue::from_static("pve-api-daemon/3.0"));
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(header::DATE, date.clone());
        headers.insert(header::EXPIRES, date);
    }
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn http_date(now: Moment) -> String {
    let format = format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    OffsetDateTime::from_unix_timestamp(seconds(now)).ok().and_then(|date| date.format(format).ok()).unwrap_or_default()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Compresses a body of more than 1024 bytes, which is what Proxmox does for those who can read it (FACTS §1).
pub async fn gzip(response: Response<Body>) -> Response<Body> {
    if response.body().size_hint().exact().is_none_or(|size| size <= 1024) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing into memory does not fail; if it did, the plain body would be as good.
    match encoder.write_all(&whole).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            Response::from_parts(parts, full(packed))
        }
        Err(_) => Response::from_parts(parts, full(whole)),
    }
}

/// The first half of a response's body, and then the connection breaks.
pub async fn cut(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len().max(2)));
    let half = Frame::data(whole.slice(..whole.len() / 2));
    let start = futures::stream::iter([Ok(half)]);
    let end = futures::stream::once(async {
        // What came before is sent first: hyper writes when the body has to wait.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let stream = futures::StreamExt::chain(start, end);
    Response::from_parts(parts, StreamBody::new(stream).boxed_unsync())
}

/// A body of this many bytes, made while it is sent.
pub fn huge(bytes: u64) -> Body {
    const CHUNK: u64 = 64 << 10;
    let start = futures::stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"data\":\"")))]);
    let chunks = (0..bytes.div_ceil(CHUNK)).map(|_| Ok(Frame::data(Bytes::from_static(&[b'x'; CHUNK as usize]))));
    let body = futures::StreamExt::chain(start, futures::stream::iter(chunks));
    StreamBody::new(body).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(response: &Response<Body>) -> String {
        String::from_utf8(response.extensions().get::<ReasonPhrase>().unwrap().as_bytes().to_vec()).unwrap()
    }

    async fn body(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_error_is_the_reason_and_the_message_keeps_its_newline() {
        let response = Failure::died("CT 101 already running").into_response(0, None, Version::V8_4);
        assert_eq!((response.status().as_u16(), reason(&response).as_str()), (500, "CT 101 already running"));
        assert_eq!(response.headers()[header::CONNECTION], "close");
        assert_eq!(response.headers()[header::DATE], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(body(response).await, r#"{"data":null,"message":"CT 101 already running\n"}"#);
    }

    #[tokio::test]
    async fn before_8_4_the_reason_is_all_there_is() {
        let response = Failure::died("CT 101 already running").into_response(0, None, Version::V7_4);
        assert_eq!(reason(&response), "CT 101 already running");
        assert_eq!(body(response).await, r#"{"data":null}"#);
    }

    #[tokio::test]
    async fn failed_authentication_has_an_empty_body() {
        let response = Failure::unauthorized("No ticket").into_response(0, None, Version::V8_4);
        assert_eq!((response.status().as_u16(), reason(&response).as_str()), (401, "No ticket"));
        assert_eq!(body(response).await, "");
    }

    #[tokio::test]
    async fn a_marker_is_in_every_text_of_an_error() {
        let response = Failure::died("CT is locked (backup)").into_response(0, Some("MARK"), Version::V8_4);
        assert_eq!(reason(&response), "CT is locked (backup) MARK");
        assert!(body(response).await.contains("(backup) MARK\\n"));
        let response = Failure::parameter("vmid", "wrong\n").into_response(0, Some("MARK"), Version::V8_4);
        assert_eq!(reason(&response), "Parameter verification failed.");
        assert!(body(response).await.contains("wrong MARK\\n"));
    }
}
