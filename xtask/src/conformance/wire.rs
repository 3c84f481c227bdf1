//! HTTPS/1.1 as far as the conformance run needs it: connections that stay open, whatever certificate is shown, answers that may
//! take their time, and the reason phrase, which most clients drop although Proxmox puts its error text there.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::Value;

/// A request as it goes over the wire; `target` is path and query, escaped already.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub text: String,
    /// What the text is in JSON, where it is some.
    pub json: Value,
}

impl Answer {
    pub fn message(&self) -> Option<&str> {
        self.json["message"].as_str()
    }

    /// In one line, for a report.
    pub fn brief(&self) -> String {
        let body = if self.json.is_null() { self.text.clone() } else { self.json.to_string() };
        format!("{} {} {body}", self.status, self.reason)
    }
}

trait Pipe: Read + Write {}
impl<T: Read + Write> Pipe for T {}

pub struct Connection {
    /// The same socket as in `stream`, for its time limit.
    socket: TcpStream,
    stream: Box<dyn Pipe>,
    received: Vec<u8>,
    /// What is awaited has no body, whatever its length says.
    is_head: bool,
}

/// A client that believes every certificate: the simulator makes a new one at each start.
pub fn trusting() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    Ok(Arc::new(config.with_no_client_auth()))
}

impl Connection {
    pub fn open(address: SocketAddr, security: &Arc<ClientConfig>) -> Result<Self> {
        let socket = connect(address)?;
        let name = ServerName::from(address.ip());
        let tls = ClientConnection::new(Arc::clone(security), name)?;
        Ok(Self { stream: Box::new(StreamOwned::new(tls, socket.try_clone()?)), socket, received: Vec::new(), is_head: false })
    }

    /// Without TLS, on the same port.
    pub fn open_plain(address: SocketAddr) -> Result<Self> {
        let socket = connect(address)?;
        Ok(Self { stream: Box::new(socket.try_clone()?), socket, received: Vec::new(), is_head: false })
    }

    pub fn send(&mut self, request: &Request) -> Result<()> {
        let Request { method, target, headers, body } = request;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method.as_str(), "POST" | "PUT") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.is_head = method == "HEAD";
        self.socket.set_read_timeout(None)?;
        self.stream.write_all(text.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    /// The answer and whether the connection stays open; `None` when it is not there after this time.
    pub fn receive(&mut self, within: Duration) -> Result<Option<(Answer, bool)>> {
        self.socket.set_read_timeout(Some(within))?;
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(done) = self.take(false)? {
                return Ok(Some(done));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.take(true)?.map(Some).context("the connection was closed without an answer"),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A close without TLS's goodbye ends a body that has no length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return self.take(true)?.map(Some).context("the connection was cut without an answer");
                }
                Err(error) => return Err(error).context("the answer cannot be read"),
            }
        }
    }

    /// The answer, if all of it has been received.
    fn take(&mut self, is_closed: bool) -> Result<Option<(Answer, bool)>> {
        let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let status = words.nth(1).and_then(|status| status.parse().ok()).with_context(|| format!("no status line: {status_line}"))?;
        let reason = words.next().unwrap_or_default().to_owned();

        let header = |wanted: &str| {
            let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).last()
        };
        if header("transfer-encoding").is_some() {
            bail!("chunked answers are not expected of Proxmox");
        }
        let body = &self.received[end + 4..];
        let length = match header("content-length").and_then(|length| length.parse().ok()) {
            _ if self.is_head => 0,
            Some(length) => length,
            None if matches!(status, 204 | 304) => 0,
            None if is_closed => body.len(),
            None => return Ok(None),
        };
        if body.len() < length {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&body[..length]).into_owned();
        let stays_open = !is_closed && !header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.received.drain(..end + 4 + length);
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Some((Answer { status, reason, text, json }, stays_open)))
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address).with_context(|| format!("cannot connect to the simulator at {address}"))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Everything but what cannot stand in a path as it is.
pub fn escape_path(path: &str) -> String {
    escape(path, b"-._~/:@!$&'()*+,;=")
}

/// A part of a form or a query.
pub fn escape_value(text: &str) -> String {
    escape(text, b"-._~")
}

fn escape(text: &str, plain: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The reverse of both; a plus is a space where it stands in a form.
pub fn unescape(text: &str, is_form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if is_form && first == b'+' { b' ' } else { first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_reads_the_same_again() {
        for text in ["UPID:pve1:0:0:0:vzstart:100:root@pam:", "ä bad\tvalue!", "100%", "a+b&c=d"] {
            assert_eq!(unescape(&escape_value(text), true), text);
            assert_eq!(unescape(&escape_path(text), false), text);
        }
        assert_eq!(escape_path("/nodes/pve1/lxc/100 /config"), "/nodes/pve1/lxc/100%20/config");
    }
}
