//! Meters, tags, sparklines and notes.

use super::icons::Icon;
use crate::error::AppError;
use leptos::prelude::*;

/// A figure in percent (0 to 100 is what a meter has by itself) as a thin bar: quiet to 74 %, amber from 75, red from 90.
#[component]
pub fn Meter(
    /// 0 to 100; more is drawn as 100.
    percent: u16,
    /// What it measures, for who cannot see it.
    label: &'static str,
) -> impl IntoView {
    view! {
        <svg
            class=format!("m {}", level(percent))
            role="meter"
            aria-label=label
            aria-valuenow=percent.min(100).to_string()
        >
            <rect width=format!("{}%", percent.min(100)) />
        </svg>
    }
}

/// The same beside its figure, which says it to who cannot see it.
#[component]
pub fn Bar(
    /// 0 to 100; more is drawn as 100.
    percent: u16,
) -> impl IntoView {
    view! { <svg class=format!("m {}", level(percent)).trim_end().to_owned() aria-hidden="true"><rect width=format!("{}%", percent.min(100)) /></svg> }
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
    percent: u16,
) -> impl IntoView {
    view! { <span class=figure_class(percent)>{percent} <span class="u">" %"</span></span> }
}

/// The class of a figure that has this meter.
pub fn figure_class(percent: u16) -> &'static str {
    match level(percent) {
        "top" => "top-t",
        "hi" => "hi-t",
        _ => "",
    }
}

/// A tag: a grey chip with a square in its colour.
#[component]
pub fn Tag(
    /// The word.
    text: String,
    /// `#rrggbb`
    colour: String,
    /// Where it leads.
    #[prop(optional)]
    href: String,
) -> impl IntoView {
    let inside = view! {
        <svg aria-hidden="true">
            <rect fill=colour />
        </svg>
        {text}
    };
    if href.is_empty() {
        view! { <span class="tag">{inside}</span> }.into_any()
    } else {
        view! { <a class="tag" href=href>{inside}</a> }.into_any()
    }
}

/// A line without axes, from 0 to at least 40, so that idle looks idle.
#[component]
pub fn Sparkline(
    /// In percent, the oldest first.
    values: Vec<u8>,
    /// What it shows, for who cannot see it.
    label: &'static str,
) -> impl IntoView {
    let top = values.iter().copied().max().unwrap_or(0).max(40);
    let last = values.last().copied().unwrap_or(0);
    let most = values.iter().copied().max().unwrap_or(0);
    // of two values that share a point the higher; the newest is at the right edge, however short the history is
    let pairs: Vec<u8> = values.rchunks(2).rev().map(|pair| pair.iter().copied().max().unwrap_or_default()).collect();
    let mut points = String::with_capacity(pairs.len() * 6);
    // between two that are the same a line needs none
    let is_bend = |place: usize| {
        let at = |place: usize| pairs.get(place);
        place == 0 || at(place - 1) != at(place) || at(place + 1) != at(place)
    };
    for (place, value) in pairs.iter().enumerate().filter(|(place, _)| is_bend(*place)) {
        let x = 30 - pairs.len().min(30) + place + 1;
        let y = 20 - u16::from(*value) * 18 / u16::from(top) - 1;
        points.push_str(&format!("{x},{y} "));
    }
    view! {
        <svg class="spark" viewBox="0 0 30 20" preserveAspectRatio="none" role="img" aria-label=format!("{label}: {last} % now, {most} % at most")>
            <polyline points=points.trim_end().to_owned() />
        </svg>
    }
}

/// An error where it belongs: the sentence, spoken at once, and the number under which the log holds more.
#[component]
pub fn ErrorNote(
    /// What went wrong.
    error: AppError,
    /// What else there is to say.
    #[prop(optional, into)]
    more: String,
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
                <span class="block text-ink-2">{more}</span>
                {incident.map(|number| view! { <span class="block text-xs text-ink-3 mt-1">"Reference " <code>{number.to_string()}</code></span> })}
                {children.map(|children| view! { <span class="block mt-1">{children()}</span> })}
            </div>
        </div>
    }
    .into_any()
}
