//! What has just happened, for who looks elsewhere: failures as toasts that stay, everything as one polite announcement.

use super::icons::Icon;
use crate::error::AppError;
use leptos::prelude::*;

/// A failure on show.
#[derive(Debug, Clone, PartialEq)]
struct Toast {
    id: u32,
    title: String,
    error: AppError,
}

/// The toasts and the live region of a tab.
#[derive(Debug, Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    announced: RwSignal<String>,
}

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

    /// Shows a failure until it is closed. The title is a sentence with the name of what it is about.
    pub fn fail(self, title: String, error: AppError) {
        self.announce(format!("{title} {error}"));
        self.shown.update(|shown| {
            let id = shown.last().map_or(0, |toast| toast.id + 1);
            shown.push(Toast { id, title, error });
            let over = shown.len().saturating_sub(MOST);
            shown.drain(..over);
        });
    }
}

/// Where they appear.
#[component]
pub fn ToastRegion(
    /// The toasts of this tab.
    toasts: Toasts,
) -> impl IntoView {
    let close = move |id| toasts.shown.update(|shown| shown.retain(|toast| toast.id != id));
    view! {
        <div class="sr-only" role="status" aria-live="polite">
            {move || toasts.announced.get()}
        </div>
        <div class="toasts">
            <For each=move || toasts.shown.get() key=|toast| toast.id let:toast>
                <section class="pop toastc" aria-label=toast.title.clone()>
                    <span class="text-bad-ink">
                        <Icon name="circle-x" />
                    </span>
                    <div>
                        <b class="font-medium">{toast.title.clone()}</b>
                        <p class="text-ink-2">{toast.error.to_string()}</p>
                        {toast.error.incident().map(|n| view! { <p class="text-xs text-ink-3 mt-1">"Reference " <code>{n.to_string()}</code></p> })}
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
