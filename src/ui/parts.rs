//! Meters, tags, notes and the head of a page.

use super::icons::Icon;
use crate::error::AppError;
use leptos::prelude::*;

/// A figure in percent as a thin bar: quiet to 74 %, amber from 75, red from 90.
#[component]
pub fn Meter(
    /// 0 to 100; more is drawn as 100.
    #[prop(into)]
    percent: Signal<u16>,
    /// What it measures, for who cannot see it.
    label: &'static str,
) -> impl IntoView {
    view! {
        <svg
            class=move || format!("m {}", level(percent.get()))
            role="meter"
            aria-label=label
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || percent.get().min(100).to_string()
        >
            <rect width=move || format!("{}%", percent.get().min(100)) height="100%" />
        </svg>
    }
}

/// The class of a meter: none, `hi` from 75, `top` from 90.
fn level(percent: u16) -> &'static str {
    match percent {
        90.. => "top",
        75.. => "hi",
        _ => "",
    }
}

/// A figure in percent, in the colour of its meter.
#[component]
pub fn Percent(
    /// Any number.
    #[prop(into)]
    percent: Signal<u16>,
) -> impl IntoView {
    view! { <span class=move || figure_class(percent.get())>{move || percent.get()} <span class="u">" %"</span></span> }
}

/// The class of a figure that has this meter.
pub fn figure_class(percent: u16) -> &'static str {
    match level(percent) {
        "top" => "num top-t",
        "hi" => "num hi-t",
        _ => "num",
    }
}

/// A tag: a grey chip with a square in one of twelve colours, the same for the same word everywhere.
#[component]
pub fn Tag(
    /// The word.
    text: String,
) -> impl IntoView {
    let colour = text.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 12;
    view! {
        <span class="tag" data-c=colour.to_string()>
            {text}
        </span>
    }
}

/// An error where it belongs: the sentence, spoken at once, and the number under which the log holds more.
#[component]
pub fn ErrorNote(
    /// What went wrong.
    error: AppError,
    /// What else there is to say; it may change without being spoken.
    #[prop(optional, into)]
    more: Signal<String>,
    /// What to do about it.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let incident = error.incident();
    view! {
        <div class="note note-bad">
            <Icon name="circle-x" />
            <div>
                <b class="font-medium text-ink" role="alert">
                    {error.to_string()}
                </b>
                <span class="block text-ink-2">{move || more.get()}</span>
                {incident.map(|number| view! { <span class="block text-xs text-ink-3 mt-1">"Reference " <code>{number.to_string()}</code></span> })}
                {children.map(|children| view! { <span class="block mt-1">{children()}</span> })}
            </div>
        </div>
    }
    .into_any()
}

/// The head of a page: its title, and on a phone the way to everything else.
#[component]
pub fn PageHead(
    /// The title.
    title: &'static str,
    /// What stands beside it.
    children: Children,
) -> impl IntoView {
    view! {
        <header class="topbar">
            <h1 class="text-xl max-[860px]:text-lg">{title}</h1>
            {children()}
            <button type="button" class="btn btn-ghost btn-square min-[861px]:hidden ml-auto -mr-2" popovertarget="account" aria-label="Menu">
                <Icon name="menu" />
            </button>
        </header>
    }
    .into_any()
}
