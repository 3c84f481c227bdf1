//! The page in its place: asked for again when there is news, and what has changed takes its place on screen.

use super::{
    browser::{self, find, find_all, set},
    chart, forms, list,
    morph::morph,
    selection,
};
use crate::{
    error::AppError,
    operations::model::{OperationId, Verb},
    pages::{
        api::get_page,
        model::{Ended, RenderedPage},
    },
    paths::{self, Page},
    ui::toasts::Toasts,
};
use leptos::{prelude::*, task::spawn_local};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use web_sys::Element;

/// Without a word from the server a page looks again after this long: Proxmox refreshes its own figures about every ten seconds.
const BEAT: Duration = Duration::from_secs(10);
/// How often a page asks for itself on which something is under way.
const SOON: Duration = Duration::from_secs(2);

/// How often a page that is not the list looks again because of what it does not show, in milliseconds.
const OTHERS: f64 = 5000.0;
/// How often the page of a batch looks again because of what it shows: many containers change at the same time.
const MANY: f64 = 1000.0;
/// A page that has not come after this long does not come any more.
const LIMIT: Duration = Duration::from_secs(15);

/// The page of a tab.
#[derive(Clone, Copy)]
pub struct Place {
    toasts: Toasts,
    away: RwSignal<Option<AppError>>,
    state: StoredValue<State>,
}

#[derive(Default)]
struct State {
    /// Counts what was asked for.
    asked: u32,
    /// What is on screen was asked for at this count.
    shown: u32,
    /// Something is being asked for.
    is_busy: bool,
    /// There was news meanwhile.
    again: bool,
    is_under_way: bool,
    /// When it was asked for, by [`browser::now`].
    looked_at: f64,
    /// What was sent and is not answered yet: about which container, and what.
    pending: Vec<(String, Option<Verb>)>,
    /// The ends that were told.
    told: BTreeMap<String, Option<Ended>>,
    /// The operations that were begun in this tab, and whose ends are still to be told.
    own: BTreeSet<String>,
    /// The address of what is on screen.
    address: String,
    /// How often another page, or another view of it, was gone to.
    moves: u32,
    /// The server has another program for it than this one.
    is_outdated: bool,
}

impl Place {
    /// Takes the page over that the document came with, and keeps it fresh while somebody looks.
    pub fn begin(toasts: Toasts, away: RwSignal<Option<AppError>>) -> Self {
        let page = find("#page");
        let of = |name| page.as_ref().and_then(|page| page.get_attribute(name));
        let told = of("data-ended").unwrap_or_default().split_whitespace().map(|id| (id.to_owned(), None)).collect();
        let state = State { is_under_way: of("data-under-way").is_some(), told, address: browser::here(), ..State::default() };
        let place = Self { toasts, away, state: StoredValue::new(state) };
        let look = move || {
            if browser::is_visible() && !is_question() {
                place.look_again();
            }
        };
        set_interval(look, BEAT);
        set_interval(
            move || {
                if place.state.with_value(|state| state.is_under_way) {
                    look();
                }
            },
            SOON,
        );
        let hear = move |word: &str| {
            if place.concerns(word) {
                place.look_again();
            }
        };
        browser::follow(paths::live(), hear);
        place
    }

    /// Whether a word of the stream is about what is on screen: the list, a container by its id, or everything. A page that is not the list
    /// shows a row or a few of it, and what it shows besides is asked of Proxmox. What comes too soon is not lost: the next beat is near.
    fn concerns(self, word: &str) -> bool {
        let here = browser::here();
        let page = Page::of(path_of(&here));
        let has_rested = |millis| self.state.with_value(|state| browser::now() - state.looked_at > millis);
        match (word, page) {
            (_, Some(Page::Bulk)) => false,
            (paths::LIVE_EVERYTHING, _) | (_, Some(Page::Home)) => true,
            (paths::LIVE_LIST, _) => has_rested(OTHERS),
            (container, Some(Page::Container(id, _) | Page::Menu(id) | Page::Delete(id) | Page::Confirm(id))) => id.as_str() == container,
            (container, Some(Page::Batch(_))) => has_rested(if shows(container) { MANY } else { OTHERS }),
            (container, _) => shows(container) || has_rested(OTHERS),
        }
    }

    /// There is news: the page is asked for once more, and once more after that where there is news meanwhile.
    pub fn look_again(self) {
        let is_busy = self.state.with_value(|state| state.is_busy);
        if is_busy {
            self.state.update_value(|state| state.again = true);
            return;
        }
        // before anything else is heard
        self.state.update_value(|state| (state.is_busy, state.looked_at) = (true, browser::now()));
        spawn_local(async move {
            loop {
                self.state.update_value(|state| (state.is_busy, state.again) = (true, false));
                self.ask(browser::here(), false).await;
                self.state.update_value(|state| state.is_busy = false);
                if !self.state.with_value(|state| state.again) {
                    return;
                }
            }
        });
    }

    /// Something is being sent; false where the same was sent already and is not answered yet.
    pub fn send(self, what: &str, verb: Option<Verb>) -> bool {
        let is_new = |state: &mut State| {
            let is_new = state.pending.iter().all(|(other, _)| other != what);
            state.pending.extend(is_new.then(|| (what.to_owned(), verb)));
            is_new
        };
        self.state.try_update_value(is_new).unwrap_or_default()
    }

    /// It is answered.
    pub fn answered(self, what: &str) {
        self.state.update_value(|state| state.pending.retain(|(other, _)| other != what));
    }

    /// An operation was begun in this tab: its end is told by a toast, also where it came first.
    pub fn tell_of(self, operation: &OperationId) {
        let id = operation.to_string();
        match self.state.try_update_value(|state| state.told.get_mut(&id).map(Option::take)).flatten() {
            Some(Some(ended)) => self.toast(ended),
            // it was told already
            Some(None) => {}
            None => self.state.update_value(|state| {
                state.own.insert(id);
            }),
        }
    }

    /// The end of an operation is told already.
    pub fn has_told(self, operation: &OperationId) {
        self.state.update_value(|state| drop(state.told.insert(operation.to_string(), None)));
    }

    fn toast(self, ended: Ended) {
        let (link, title) = (Some(paths::operation(&ended.id)), format!("{}.", ended.sentence));
        if ended.is_bad { self.toasts.fail(title, None, link) } else { self.toasts.succeed(title, link) }
    }

    /// The next page is to come with its own program: Berth was updated since this one came.
    pub fn is_outdated(self) -> bool {
        self.state.with_value(|state| state.is_outdated)
    }

    /// Another page, or another view of this one.
    pub async fn go(self, address: String) {
        self.state.update_value(|state| state.moves += 1);
        self.ask(address, true).await;
    }

    /// How often that was so: what was to lead from here is late where it is another number.
    pub fn moves(self) -> u32 {
        self.state.with_value(|state| state.moves)
    }

    async fn ask(self, address: String, is_another: bool) {
        let Some(page) = find("#page") else { return };
        let asked = self.state.try_update_value(|state| {
            state.asked += 1;
            state.looked_at = browser::now();
            state.asked
        });
        let asked = asked.unwrap_or_default();
        // the window that is on screen is part of the question
        let question = list::with_window(&address, is_another);
        // of another page nothing is here
        let have = self.is_at(&address).then(|| have(&page));
        let answer = get_in_time(question, have).await;
        let is_late = self.state.with_value(|state| asked < state.shown);
        // an older answer, or one about a page that was left
        if is_late || address != browser::here() {
            return;
        }
        match answer {
            Ok(answer) => self.show(&page, asked, address, answer),
            Err(AppError::SignedOut) => browser::leave_for(&paths::login_then(&browser::here())),
            // the same trouble keeps its first number, so that nothing changes while somebody reads it out
            Err(error) => {
                let kind = |error: &AppError| std::mem::discriminant(error);
                if self.away.with_untracked(|known| known.as_ref().map(kind)) != Some(kind(&error)) {
                    self.away.set(Some(error));
                }
            }
        }
    }

    /// Whether the page of this address is on screen, in whichever view.
    fn is_at(self, address: &str) -> bool {
        self.state.with_value(|state| path_of(&state.address) == path_of(address))
    }

    fn show(self, page: &Element, asked: u32, address: String, answer: RenderedPage) {
        let RenderedPage { title, html, is_under_way, ended, site } = answer;
        if self.away.with_untracked(Option::is_some) {
            self.away.set(None);
        }
        let was_elsewhere = !self.is_at(&address);
        let is_another_view = self.state.with_value(|state| state.address != address);
        if was_elsewhere {
            // nothing of the other page is left, whatever its elements were called
            page.set_inner_html("");
        }
        let is_whole = morph(page, &html);
        // this was asked for, perhaps, before the server had heard of what is under way
        self.state.with_value(|state| state.pending.iter().for_each(|(id, verb)| verb.iter().for_each(|verb| forms::shows(id, *verb))));
        document().set_title(&if title.is_empty() { "Berth".to_owned() } else { format!("{title} · Berth") });
        let here = path_of(&address);
        for link in document().body().iter().flat_map(|body| find_all(body, ".side .nav a")) {
            let is_current = link.get_attribute("href").as_deref() == Some(here);
            set(&link, "aria-current", is_current.then_some("page"));
        }
        self.state.update_value(|state| {
            state.shown = asked;
            state.is_under_way = is_under_way;
            state.address = address;
            state.is_outdated = page.get_attribute("data-site").is_some_and(|own| own != site);
        });
        for ended in ended {
            let id = ended.id.to_string();
            let is_own = self.state.try_update_value(|state| {
                let is_new = !state.told.contains_key(&id);
                let is_own = is_new.then(|| state.own.remove(&id))?;
                state.told.insert(id, (!is_own).then(|| ended.clone()));
                Some(is_own)
            });
            match is_own.flatten() {
                Some(true) => self.toast(ended),
                Some(false) if !was_elsewhere => self.toasts.announce(ended.sentence),
                _ => {}
            }
        }
        if is_another_view {
            list::say_search();
        }
        list::arrange();
        if !is_whole || list::wants_more() {
            self.look_again();
        }
        selection::arrange();
        chart::refresh();
    }
}

/// A page, where it comes in time; else Berth is as good as away.
pub async fn get_in_time(address: String, have: Option<String>) -> Result<RenderedPage, AppError> {
    browser::within(LIMIT, get_page(address, have)).await.unwrap_or(Err(AppError::Offline))
}

/// Whether the question about many is on screen. It stands still under who reads it: the answer is about what they have read.
fn is_question() -> bool {
    Page::of(path_of(&browser::here())) == Some(Page::Bulk)
}

/// Whether a container is on screen, by its id.
fn shows(container: &str) -> bool {
    find(&format!("#page :is(#r-{container}, [data-row='{container}'], [href*='{container}'])")).is_some()
}

fn path_of(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}

/// What of the page need not be sent.
fn have(page: &Element) -> String {
    let hashes: Vec<String> = find_all(page, "[data-h]").iter().filter_map(|part| part.get_attribute("data-h")).collect();
    hashes.join(",")
}
