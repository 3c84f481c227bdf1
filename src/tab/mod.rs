//! What runs in a browser's tab: the page in its place, forms, the stream, the keyboard, and what has just happened.
//!
//! The server renders every page ([`crate::pages`]) and every one of its forms works alone. What is here makes a tab quick: a press shows
//! at once (`forms`), news change what they change and nothing else (`place`, `morph`), and a list of any length is scrolled, walked
//! and selected from (`list`, `selection`). This module knows how pages are marked up (`data-…`), and nothing of what they say.

use crate::{
    error::AppError,
    ui::{
        parts::ErrorNote,
        toasts::{ToastRegion, Toasts},
    },
};
use leptos::prelude::*;

/// What of a page lives in the browser: the island.
#[island]
pub fn Tab() -> impl IntoView {
    let toasts = Toasts::new();
    // why there is nothing newer than what is on screen
    let away = RwSignal::new(None::<AppError>);
    begin(toasts, away);
    view! {
        {move || {
            away.get()
                .map(|error| view! { <div class="px-page pt-4"><ErrorNote error more="What is on screen is what it said last." /></div> })
        }}
        <ToastRegion toasts />
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        pub mod browser;
        pub mod chart;
        pub mod copy;
        pub mod forms;
        pub mod list;
        pub mod menu;
        pub mod morph;
        pub mod navigation;
        pub mod place;
        pub mod selection;
        pub mod times;

        fn begin(toasts: Toasts, away: RwSignal<Option<AppError>>) {
            let place = place::Place::begin(toasts, away);
            forms::listen(place, toasts);
            list::listen(place, toasts);
            selection::listen(toasts);
            menu::listen();
            chart::listen();
            copy::listen(toasts);
            times::listen();
            navigation::listen(place);
            browser::mark_ready();
        }
    } else {
        fn begin(_: Toasts, _: RwSignal<Option<AppError>>) {}
    }
}
