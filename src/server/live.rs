//! The stream that tells a browser's tab to look again (DESIGN §8.9).
//!
//! It says which containers something has happened to, by their ids, and never what: a tab that hears of one asks as it always does, and
//! gets what its user may see. This module knows no slice: what happened is read by a [`Source`], once a beat and at once where this
//! process did it itself, and whether a user may hear of it the source says too. So the operations of other replicas, which share nothing
//! with this one but the database, are heard of within a beat.
//!
//! Besides, who listens hears [`LIVE_LIST`] when their own list looks different, and never more often than every [`LIST_EVERY`]. It has no number
//! of its own: who comes back after a break hears it at once.

use super::{AppState, context::SignedIn, session::Sessions};
use crate::{
    error::AppError,
    paths::{LIVE_EVERYTHING, LIVE_LIST},
};
use async_trait::async_trait;
use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, watch},
    time::{Instant, MissedTickBehavior},
};
use tower_sessions::{Session, session::Id};

/// How often the database is asked for what happened, while somebody listens.
const BEAT: Duration = Duration::from_secs(1);
/// How often a stream looks whether its session is still there, and says that it is there itself.
const CHECK: Duration = Duration::from_secs(10);
/// How often [`LIVE_LIST`] is said at most.
const LIST_EVERY: Duration = Duration::from_millis(250);
/// How many changes are kept for who comes back after a short break.
const KEPT: usize = 256;

/// Something has happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    /// Which change: whoever reads the same twice tells it once.
    pub key: String,
    /// What it is about.
    pub about: T,
}

/// Where changes come from.
#[async_trait]
pub trait Source: Clone + Send + Sync + 'static {
    /// What a change is about.
    type About: Clone + Send + Sync + 'static;

    /// What has happened lately; some of it may have been told before.
    async fn latest(&self, since: Option<i64>) -> Result<(Vec<Change<Self::About>>, i64), sqlx::Error>;

    /// What a user is told of it; nothing where they may not hear of it.
    fn word(&self, about: &Self::About, listener: &SignedIn) -> Option<String>;

    /// Counts the differences that the listener would see in their own list, as long as it is held. Whoever holds it looks.
    fn list(&self, state: &AppState, listener: &SignedIn, session: Id) -> watch::Receiver<u64>;
}

/// The changes of this process's time.
#[derive(Clone)]
pub struct Live<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// Another run has another one, and so has another replica.
    epoch: String,
    told: Mutex<Told<T>>,
    sender: broadcast::Sender<(u64, T)>,
    nudge: Notify,
    closing: watch::Sender<bool>,
}

struct Told<T> {
    number: u64,
    kept: VecDeque<(u64, T)>,
    /// The keys of what was told lately.
    keys: VecDeque<String>,
}

/// What a stream begins with.
#[derive(Debug, PartialEq, Eq)]
enum Missed<T> {
    /// All of it is known.
    These(Vec<(u64, T)>),
    /// Nobody knows: look at everything.
    Unknown,
}

impl<T: Clone> Live<T> {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let told = Told { number: 0, kept: VecDeque::new(), keys: VecDeque::new() };
        let inner = Inner {
            epoch: super::ids::new_id(),
            told: Mutex::new(told),
            sender: broadcast::Sender::new(KEPT),
            nudge: Notify::new(),
            closing: watch::Sender::new(false),
        };
        Self(Arc::new(inner))
    }

    /// This process has just written something: it is read at once, and not at the next beat.
    pub fn nudge(&self) {
        self.0.nudge.notify_one();
    }

    /// Ends all streams, so that the process can.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    fn tell(&self, changes: Vec<Change<T>>) {
        let mut told = self.told();
        for change in changes {
            if told.keys.contains(&change.key) {
                continue;
            }
            told.keys.push_back(change.key);
            if told.keys.len() > 4 * KEPT {
                told.keys.pop_front();
            }
            told.number += 1;
            let numbered = (told.number, change.about);
            told.kept.push_back(numbered.clone());
            if told.kept.len() > KEPT {
                told.kept.pop_front();
            }
            // fails only where nobody listens
            let _ = self.0.sender.send(numbered);
        }
    }

    /// Joins, and hears what happened since `last`, an id of an earlier stream.
    fn join(&self, last: Option<&str>) -> (Missed<T>, u64, broadcast::Receiver<(u64, T)>) {
        let told = self.told();
        let receiver = self.0.sender.subscribe();
        let number = last.and_then(|last| last.strip_prefix(&self.0.epoch)?.strip_prefix('-')?.parse::<u64>().ok());
        let missed = match (last, number) {
            (None, _) => Missed::These(Vec::new()),
            (Some(_), Some(number)) if number <= told.number && told.number - number <= told.kept.len() as u64 => {
                Missed::These(told.kept.iter().filter(|(other, _)| *other > number).cloned().collect())
            }
            (Some(_), _) => Missed::Unknown,
        };
        (missed, told.number, receiver)
    }

    fn told(&self) -> MutexGuard<'_, Told<T>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Default for Live<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads what happened, as long as the process lives. While nobody listens, nothing is read.
pub async fn keep_reading<S: Source>(live: Live<S::About>, source: S) {
    let mut since = None;
    loop {
        // a nudge that comes while this reads is not lost
        let _ = tokio::time::timeout(BEAT, live.0.nudge.notified()).await;
        if live.0.sender.receiver_count() == 0 {
            // who joins later has just looked
            since = None;
            continue;
        }
        match source.latest(since).await {
            Ok((changes, now)) => {
                // what is older than the first reading was there when its listeners looked
                live.tell(changes);
                since = Some(now);
            }
            Err(error) => tracing::warn!("what happened lately cannot be read: {error}"),
        }
    }
}

/// `GET /api/live`
pub async fn stream<S: Source>(
    State(state): State<AppState>,
    Extension(session): Extension<Session>,
    Extension(listener): Extension<SignedIn>,
    headers: HeaderMap,
) -> Response {
    let live = state.slice::<Live<S::About>>().clone();
    let source = state.slice::<S>().clone();
    // whoever is signed in has a session with an id
    let Some(id) = session.id() else { return super::web::plain(&AppError::SignedOut) };
    let mut list = source.list(&state, &listener, id);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    if last.is_some() {
        list.mark_changed();
    }
    let (missed, number, receiver) = live.join(last);
    let mut check = tokio::time::interval_at(Instant::now() + CHECK, CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = match missed {
        Missed::Unknown => event(&live, number, LIVE_EVERYTHING),
        Missed::These(changes) => {
            let words = changes.iter().filter_map(|(number, about)| Some(event(&live, *number, &source.word(about, &listener)?)));
            // where nothing was missed, the place to come back to
            format!("retry: 2000\nid: {}-{number}\n\n{}", live.0.epoch, words.collect::<String>())
        }
    };
    let closing = live.0.closing.subscribe();
    let streaming = Streaming {
        sessions: Sessions(state.db().clone()),
        first: Some(first),
        list_from: Instant::now(),
        live,
        source,
        listener,
        session,
        receiver,
        list,
        check,
        closing,
    };
    let body = Body::from_stream(stream::unfold(streaming, |mut streaming| async move {
        let text = streaming.next().await?;
        Some((Ok::<_, std::convert::Infallible>(text), streaming))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // a proxy that collects answers would hold it back
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, body).into_response()
}

fn event<T>(live: &Live<T>, number: u64, word: &str) -> String {
    format!("id: {}-{number}\ndata: {word}\n\n", live.0.epoch)
}

struct Streaming<S: Source> {
    live: Live<S::About>,
    source: S,
    listener: SignedIn,
    session: Session,
    sessions: Sessions,
    receiver: broadcast::Receiver<(u64, S::About)>,
    list: watch::Receiver<u64>,
    /// When that may be spoken of again.
    list_from: Instant,
    check: tokio::time::Interval,
    closing: watch::Receiver<bool>,
    first: Option<String>,
}

impl<S: Source> Streaming<S> {
    /// What comes next; nothing where the stream ends.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let closing = async { drop(self.closing.wait_for(|closing| *closing).await) };
            let list = async {
                tokio::time::sleep_until(self.list_from).await;
                if self.list.changed().await.is_err() {
                    // nobody keeps that list any more
                    std::future::pending::<()>().await;
                }
            };
            let heard = tokio::select! {
                () = closing => return None,
                _ = self.check.tick() => None,
                change = self.receiver.recv() => Some(change),
                () = list => {
                    self.list_from = Instant::now() + LIST_EVERY;
                    return Some(format!("data: {LIVE_LIST}\n\n"));
                }
            };
            match heard {
                None => return if self.is_signed_in().await { Some(":\n\n".to_owned()) } else { None },
                Some(Ok((number, about))) => {
                    if let Some(word) = self.source.word(&about, &self.listener) {
                        return Some(event(&self.live, number, &word));
                    }
                }
                Some(Err(broadcast::error::RecvError::Lagged(_))) => {
                    return Some(event(&self.live, self.live.told().number, LIVE_EVERYTHING));
                }
                Some(Err(broadcast::error::RecvError::Closed)) => return None,
            }
        }
    }

    /// Whether the session is there, and still this user's. That the stream is open keeps no session alive: it is looked at, not used.
    async fn is_signed_in(&self) -> bool {
        let Some(id) = self.session.id() else { return false };
        let session = Session::new(Some(id), Arc::new(self.sessions.clone()), None);
        match SignedIn::load(&session).await {
            Ok(known) => known.is_some_and(|known| known.user == self.listener.user && known.cluster == self.listener.cluster),
            Err(error) => {
                tracing::warn!("a stream's session cannot be read: {error}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str) -> Change<&'static str> {
        Change { key: key.to_owned(), about: "web" }
    }

    #[test]
    fn what_is_read_twice_is_told_once() {
        let live = Live::new();
        let (.., mut receiver) = live.join(None);
        live.tell(vec![change("a"), change("a")]);
        live.tell(vec![change("a"), change("b")]);
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok((1, "web")), Ok((2, "web"))));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn who_comes_back_hears_what_was_missed_or_that_nobody_knows() {
        let live = Live::new();
        live.tell((0..5).map(|n| change(&n.to_string())).collect());
        let at = |number: u64| format!("{}-{number}", live.0.epoch);
        assert_eq!(live.join(Some(&at(5))).0, Missed::These(vec![]));
        assert_eq!(live.join(Some(&at(3))).0, Missed::These(vec![(4, "web"), (5, "web")]));
        live.tell((5..1000).map(|n| change(&n.to_string())).collect());
        for unknown in [at(3), at(1001), "another-3".to_owned(), "odd".to_owned()] {
            assert_eq!(live.join(Some(&unknown)).0, Missed::Unknown, "{unknown}");
        }
    }
}
