//! Just enough HTTP/1.1 to load pages from our own server over connections that stay open. Not for anything else.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

pub struct Connection {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

#[derive(Default)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Connection {
    pub fn open(host: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream), host })
    }

    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.request("GET", path, headers, b"")
    }

    /// The same, and how long the first byte of the answer took.
    pub fn get_timed(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<(Duration, Response)> {
        let start = Instant::now();
        self.send("GET", path, headers, b"")?;
        self.stream.fill_buf()?;
        Ok((start.elapsed(), self.receive("GET", path)?))
    }

    pub fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Response> {
        self.post_form_with(path, fields, &[("accept", "text/html")])
    }

    /// The same with headers of the caller's.
    pub fn post_form_with(&mut self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Result<Response> {
        // The fields of our forms are letters and digits only: nothing to escape.
        let body = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let origin = format!("http://{}", self.host);
        let own = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.request("POST", path, &[&own, headers].concat(), body.as_bytes())
    }

    fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        self.send(method, path, headers, body)?;
        self.receive(method, path)
    }

    /// Asks, for whoever reads the answer itself: [`Connection::into_stream`].
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        Ok(self.stream.get_mut().write_all(&bytes)?)
    }

    fn receive(&mut self, method: &str, path: &str) -> Result<Response> {
        read_response(&mut self.stream).with_context(|| format!("the answer to {method} {path} is not readable"))
    }

    /// What comes over it, as it comes; a read ends after this time.
    pub fn into_stream(self, patience: Duration) -> Result<BufReader<TcpStream>> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        Ok(self.stream)
    }
}

impl Response {
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What a browser would send back: `name=value; name=value`.
    pub fn cookies(&self) -> String {
        self.header("set-cookie").filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }
}

fn read_response(stream: &mut impl BufRead) -> Result<Response> {
    let mut response = Response::default();
    let first = line(stream)?;
    response.status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status line")?;
    loop {
        let text = line(stream)?;
        if text.is_empty() {
            break;
        }
        let (name, value) = text.split_once(':').context("a header without a colon")?;
        response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = response.header("content-length").next().and_then(|length| length.parse().ok());
    if response.header("transfer-encoding").any(|encoding| encoding == "chunked") {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).context("a chunk without its size")?;
            take(stream, size, &mut response.body)?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length {
        take(stream, length, &mut response.body)?;
    } else if response.status != 204 && response.status != 304 {
        bail!("neither a length nor chunks");
    }
    Ok(response)
}

fn line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        bail!("the connection was closed");
    }
    Ok(line.trim_end().to_owned())
}

fn take(stream: &mut impl BufRead, length: usize, into: &mut Vec<u8>) -> Result<()> {
    let start = into.len();
    into.resize(start + length, 0);
    stream.read_exact(&mut into[start..])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read_response;

    #[test]
    fn two_answers_on_one_connection_are_told_apart() {
        let mut stream = b"HTTP/1.1 302 Found\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n\
            HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
            .as_slice();
        let first = read_response(&mut stream).unwrap();
        assert_eq!((first.status, first.cookies().as_str()), (302, "a=1; b=2"));
        let second = read_response(&mut stream).unwrap();
        assert_eq!((second.status, second.body.as_slice()), (200, b"hello!".as_slice()));
    }
}
