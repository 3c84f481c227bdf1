//! What the pages that the server renders have in common.

use super::model::RenderedPage;
use crate::{
    containers::view::Refresh,
    error::AppError,
    paths,
    ui::{format, icons::Icon, parts::ErrorNote},
};
use leptos::prelude::*;
use time::{OffsetDateTime, macros::format_description};

/// Makes a page out of its view.
pub fn rendered<V: IntoView + 'static>(title: String, is_under_way: bool, view: impl FnOnce() -> V) -> RenderedPage {
    // what its components keep goes with them
    let owner = Owner::new();
    let html = owner.with(|| {
        view! {
            {is_under_way.then(|| view! { <Refresh /> })}
            {view()}
        }
        .to_html()
    });
    owner.cleanup();
    RenderedPage { title, html, is_under_way }
}

/// The bar above a page: where it is, and on a phone the way to everything else.
#[component]
pub fn Crumbs(
    /// What is between the containers and this page, with its address where it has one.
    steps: Vec<(String, Option<String>)>,
) -> impl IntoView {
    let step = |(text, to): (String, Option<String>)| {
        view! {
            <Icon name="chevron-right" class="i-xs" />
            {match to {
                Some(to) => view! { <a href=to>{text}</a> }.into_any(),
                None => view! { <span>{text}</span> }.into_any(),
            }}
        }
    };
    view! {
        <header class="topbar">
            <nav class="crumbs" aria-label="Where this is">
                <a href=paths::home()>"Containers"</a>
                {steps.into_iter().map(step).collect_view()}
            </nav>
            <button type="button" class="btn btn-ghost btn-square min-[861px]:hidden ml-auto -mr-2" popovertarget="account" aria-label="Menu">
                <Icon name="menu" />
            </button>
        </header>
    }
}

/// A time, in epoch milliseconds: relative below a day, then the date; exact on hover.
#[component]
pub fn When(
    /// The time.
    at: i64,
    /// The time now.
    now: i64,
) -> impl IntoView {
    let exact = exact(at);
    view! { <time datetime=exact.replacen(' ', "T", 1).replace(" UTC", "Z") title=exact.clone()>{short(at, now)}</time> }
}

fn moment(at: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// `2026-11-22 14:40:12 UTC`
pub fn exact(at: i64) -> String {
    // fails only for a format that asks for what a time does not have
    moment(at).format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC")).unwrap_or_default()
}

fn short(at: i64, now: i64) -> String {
    if now - at < 24 * 60 * 60 * 1000 {
        return format::ago(at / 1000, now / 1000);
    }
    let year = moment(at).year() != moment(now).year();
    let date = moment(at).format(format_description!("[day padding:none] [month repr:short]")).unwrap_or_default();
    if year { format!("{date} {}", moment(at).year()) } else { date }
}

/// The page of what is not there, or cannot be shown now.
pub fn trouble(error: AppError) -> RenderedPage {
    let (title, text) = match error {
        AppError::NoSuchPage => ("There is no such page", "The address may be mistyped, or what it led to is gone."),
        AppError::NoSuchContainer => ("There is no such container", "It may be gone, or your Proxmox account may not see it."),
        AppError::NoSuchOperation => {
            ("There is no such operation", "The address may be mistyped, or your Proxmox account may not see its container.")
        }
        AppError::NoSuchTask => {
            ("There is no such task", "Proxmox keeps a task for a while, and shows it to who started it or may audit its node.")
        }
        error => {
            return rendered("No answer".to_owned(), false, move || {
                view! {
                    <Crumbs steps=vec![] />
                    <div class="px-page py-4 grid gap-4">
                        <h1 class="text-xl">"This page cannot be shown now"</h1>
                        <ErrorNote error>
                            <a class="a" href="" rel="external">"Look again"</a>
                        </ErrorNote>
                    </div>
                }
            });
        }
    };
    rendered(title.to_owned(), false, move || {
        view! {
            <Crumbs steps=vec![] />
            <div class="empty">
                <h1 class="text-xl">{title}</h1>
                <p>{text}</p>
                <div class="act">
                    <a class="btn btn-primary" href=paths::home()>"Go to the containers"</a>
                </div>
            </div>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_relative_below_a_day_and_then_a_date() {
        let now = 1_795_392_000_000;
        assert_eq!(exact(now), "2026-11-23 00:00:00 UTC");
        assert_eq!(short(now - 180_000, now), "3 min ago");
        assert_eq!(short(now - 5 * 86_400_000, now), "18 Nov");
        assert_eq!(short(now - 400 * 86_400_000, now), "19 Oct 2025");
    }

    #[test]
    fn a_text_is_escaped() {
        let page = rendered(String::new(), true, || view! { <b title="\"><i>">{"<script>".to_owned()}</b> });
        assert!(page.html.contains("&lt;script") && !page.html.contains("<script>") && !page.html.contains("<i>"), "{}", page.html);
        assert!(page.html.contains("http-equiv=\"refresh\""), "{}", page.html);
    }
}
