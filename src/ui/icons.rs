//! Icons and status glyphs, from the one sprite at the end of the page.

use leptos::prelude::*;

/// A Lucide icon, 16 px. It never stands without a word or a label.
#[component]
pub fn Icon(
    /// Its name in `style/icons.json`.
    name: &'static str,
    /// `i-sm` (14 px, in rows), `i-xs` (12 px, beside text).
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    view! {
        <svg class=format!("i {class}") aria-hidden="true">
            <use href=format!("#i-{name}") />
        </svg>
    }
}

/// A status glyph, 12 px: shape and colour. Its word stands beside it.
#[component]
pub fn Glyph(
    /// `running`, `stopped`, `pending`, `unknown`, `lock` …
    name: &'static str,
    /// More classes.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView {
    view! {
        <svg class=format!("g g-{name} {class}") aria-hidden="true">
            <use href=format!("#s-{name}") />
        </svg>
    }
}

/// The mark: a quay with a container at its berth.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 20 20" aria-hidden="true">
            <path d="M2.5 3v9.5A4.5 4.5 0 0 0 7 17h6a4.5 4.5 0 0 0 4.5-4.5V3" />
            <rect x="6.5" y="5" width="7" height="7.5" rx="1.25" />
        </svg>
    }
}
