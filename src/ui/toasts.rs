//! What has just happened, for who looks elsewhere: failures as toasts that stay, successes as ones that go, everything as one polite
//! announcement.

use super::icons::Icon;
use crate::error::AppError;
use leptos::{
    ev::FocusEvent,
    prelude::*,
    wasm_bindgen::JsCast,
    web_sys::{Element, HtmlElement},
};
use std::time::Duration;

/// A toast on show.
#[derive(Debug, Clone, PartialEq)]
struct Toast {
    id: u32,
    title: String,
    is_bad: bool,
    error: Option<AppError>,
    /// The operation that it is about.
    link: Option<String>,
}

/// The toasts and the live region of a tab.
#[derive(Debug, Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    announced: RwSignal<String>,
}

/// For how long a success is on show.
const FOR: Duration = Duration::from_secs(5);
/// How many are on show at the most; an older one gives way.
const MOST: usize = 3;

impl Toasts {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "there is one in a tab, made in one place")]
    pub fn new() -> Self {
        Self { shown: RwSignal::new(Vec::new()), announced: RwSignal::new(String::new()) }
    }

    /// Says something to who listens rather than looks.
    pub fn announce(self, sentence: String) {
        // the same sentence again is spoken again only where the text differs
        let again = self.announced.with_untracked(|said| *said == sentence);
        self.announced.set(if again { sentence + "\u{a0}" } else { sentence });
    }

    /// Shows a failure until it is closed. The title is a sentence with the name of what it is about; `link` leads to its operation.
    pub fn fail(self, title: String, error: Option<AppError>, link: Option<String>) {
        self.show(title, true, error, link);
    }

    /// Shows a success for a while.
    pub fn succeed(self, title: String, link: Option<String>) {
        let id = self.show(title, false, None, link);
        set_timeout(move || self.go(id), FOR);
    }

    fn show(self, title: String, is_bad: bool, error: Option<AppError>, link: Option<String>) -> u32 {
        self.announce(error.as_ref().map_or_else(|| title.clone(), |error| format!("{title} {error}")));
        let id = self.shown.with_untracked(|shown| shown.last().map_or(0, |toast| toast.id + 1));
        self.shown.update(|shown| {
            shown.push(Toast { id, title, is_bad, error, link });
            let over = shown.len().saturating_sub(MOST);
            shown.drain(..over);
        });
        id
    }

    /// Goes by itself, but not while somebody points at it or has the focus in it.
    fn go(self, id: u32) {
        let is_held = document().query_selector(&format!("#toast-{id}:is(:hover, :focus-within)")).is_ok_and(|held| held.is_some());
        if is_held {
            set_timeout(move || self.go(id), FOR);
        } else {
            self.close(id);
        }
    }

    fn close(self, id: u32) {
        self.shown.update(|shown| shown.retain(|toast| toast.id != id));
    }
}

/// Where they appear.
#[component]
pub fn ToastRegion(
    /// The toasts of this tab.
    toasts: Toasts,
) -> impl IntoView {
    // where the focus was before it came here
    let from = StoredValue::new_local(None::<HtmlElement>);
    let arrived = move |event: FocusEvent| {
        let before = event.related_target().and_then(|before| before.dyn_into::<Element>().ok());
        if before.as_ref().is_none_or(|before| before.closest(".toasts").is_ok_and(|own| own.is_none())) {
            from.set_value(before.and_then(|before| before.dyn_into().ok()));
        }
    };
    let close = move |id| {
        toasts.close(id);
        from.with_value(|from| {
            // fails only where it has gone
            from.iter().for_each(|from| drop(from.focus()));
        });
    };
    view! {
        <div class="sr-only" role="status" aria-live="polite">
            {move || toasts.announced.get()}
        </div>
        <div class="toasts" on:focusin=arrived>
            <For each=move || toasts.shown.get() key=|toast| toast.id let:toast>
                <section class="pop toastc" id=format!("toast-{}", toast.id) aria-label=toast.title.clone()>
                    <span class=if toast.is_bad { "text-bad-ink" } else { "text-ok-ink" }>
                        <Icon name=if toast.is_bad { "circle-x" } else { "check" } />
                    </span>
                    <div>
                        <b class="font-medium">{toast.title.clone()}</b>
                        {toast.error.map(|error| {
                            view! {
                                <p class="text-ink-2">{error.to_string()}</p>
                                {error.incident().map(|n| view! { <p class="text-xs text-ink-3 mt-1">"Reference " <code>{n.to_string()}</code></p> })}
                            }
                        })}
                        {toast.link.map(|link| view! { <a class="a block" href=link>"Show operation"</a> })}
                    </div>
                    <button type="button" class="vb" aria-label="Close" on:click=move |_| close(toast.id)>
                        <Icon name="x" class="i-sm" />
                    </button>
                </section>
            </For>
        </div>
    }
    .into_any()
}
