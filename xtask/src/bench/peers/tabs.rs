//! Tabs that are open, as the program in a browser keeps them: each listens to the stream and asks for its page when there is news, and
//! every ten seconds where there is none.

use std::{
    io::{BufRead, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::http::Connection;

const BEAT: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_millis(200);
/// The rows on a screen with the margin that the program keeps.
const PAGE: &str = "/api/get_page?address=%2F%3Ffrom%3D0%26count%3D54&have=";

/// Open tabs; they close when this is dropped.
pub struct Tabs {
    is_over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Tabs {
    pub fn none() -> Self {
        Self { is_over: Arc::default(), asked: Arc::default(), threads: Vec::new() }
    }

    /// Opens some more of one session.
    pub fn open(&mut self, count: usize, host: SocketAddr, cookie: &str) {
        for _ in 0..count {
            let (is_over, asked, cookie) = (self.is_over.clone(), self.asked.clone(), cookie.to_owned());
            self.threads.push(thread::spawn(move || tab(host, &cookie, &is_over, &asked)));
        }
    }

    /// How often they have asked for their page.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Closes them, and fails where one of them did.
    pub fn close(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().try_for_each(|thread| thread.join().expect("a tab does not panic")).context("an open tab")
    }
}

fn tab(host: SocketAddr, cookie: &str, is_over: &AtomicBool, asked: &AtomicUsize) -> Result<()> {
    let mut pages = Connection::open(host)?;
    let mut stream = Connection::open(host)?;
    stream.send("GET", "/api/live", &[("cookie", cookie), ("accept", "text/event-stream")], b"")?;
    let mut stream = stream.into_stream(PATIENCE)?;
    let (mut line, mut have, mut last) = (Vec::new(), String::new(), Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        let has_news = match stream.read_until(b'\n', &mut line) {
            Ok(0) => bail!("the stream has ended"),
            Ok(_) => {
                let is_message = line.starts_with(b"data:");
                line.clear();
                is_message
            }
            // what has come of the line so far stays
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => false,
            Err(error) => return Err(error.into()),
        };
        if has_news || last.elapsed() >= BEAT {
            let answer = pages.get(&format!("{PAGE}{have}"), &[("cookie", cookie), ("accept", "application/json")])?;
            if answer.status != 200 {
                bail!("its page was answered with status {}", answer.status);
            }
            have = hashes(&String::from_utf8_lossy(&answer.body));
            last = Instant::now();
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The marks of the rows, with which only what has changed is sent.
fn hashes(page: &str) -> String {
    let marks = page.split("data-h=\\\"").skip(1).filter_map(|rest| rest.split('\\').next());
    marks.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::hashes;

    #[test]
    fn the_marks_of_rows_are_read_from_a_page_in_json() {
        assert_eq!(hashes(r#"{"html":"<tr id=\"r-1\" data-h=\"0a1b\"><td>1</td></tr><tr data-h=\"2c\">"}"#), "0a1b,2c");
    }
}
