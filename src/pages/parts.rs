//! What the pages that the server renders have in common.

use super::model::RenderedPage;
use crate::{
    error::AppError,
    paths,
    ui::{format, icons::Icon, parts::ErrorNote},
};
use leptos::prelude::*;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};
use time::{OffsetDateTime, macros::format_description};

/// Makes a page out of its view.
pub fn rendered<V: IntoView>(title: String, is_under_way: bool, view: impl FnOnce() -> V) -> RenderedPage {
    let html = html(|| (is_under_way.then(|| view! { <Refresh /> }), view()));
    RenderedPage { title, html, is_under_way, ..RenderedPage::default() }
}

/// A view as HTML, without the marks by which a program would find its places in it: nothing of it is hydrated.
fn html<V: IntoView>(view: impl FnOnce() -> V) -> String {
    // what its components keep goes with them
    let owner = Owner::new();
    let html = owner.with(|| view().to_html());
    owner.cleanup();
    // in a text or an attribute it would be escaped
    html.replace("<!>", "").replace(" class=\"\"", "")
}

/// Where there is no JavaScript, the page asks for itself again until the operation that it was led to has ended.
#[component]
pub fn Refresh() -> impl IntoView {
    view! { <noscript inner_html="<meta http-equiv=\"refresh\" content=\"2\">"></noscript> }
}

/// The parts of a page that have an `id`, and which of them the browser has already as they are.
///
/// A part is the same where its HTML is: the browser sends the hashes of those that it has, and of these gets nothing but the hash. So
/// what is sent is what has changed since, whatever happened in between, and to whichever replica.
#[derive(Debug, Default)]
pub struct Parts<'a>(HashSet<&'a str>);

impl<'a> Parts<'a> {
    /// From hashes by commas.
    pub fn of(have: &'a str) -> Self {
        Self(have.split(',').filter(|hash| !hash.is_empty()).collect())
    }

    /// A part as HTML. `view` has to be one element of this name without an id.
    pub fn keyed<V: IntoView>(&self, name: &str, id: &str, view: impl FnOnce() -> V) -> String {
        let html = html(view);
        let mut hasher = DefaultHasher::new();
        (id, &html).hash(&mut hasher);
        let hash = format!("{:012x}", hasher.finish() >> 16);
        match html.strip_prefix('<').and_then(|rest| rest.strip_prefix(name)) {
            Some(rest) if !self.0.contains(hash.as_str()) => format!("<{name} id=\"{id}\" data-h=\"{hash}\"{rest}"),
            _ => format!("<{name} id=\"{id}\" data-h=\"{hash}\"></{name}>"),
        }
    }
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

/// What has to be typed before what cannot be undone. What is wrong with it the tab says in the same place.
#[component]
pub fn ConfirmField(
    /// What is to be typed.
    words: String,
    /// What is wrong with what was typed.
    wrong: Option<String>,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for="confirm">"Type " <b class="font-semibold">{words}</b> " to confirm"</label>
            <input
                class="input"
                id="confirm"
                name="confirm"
                autocapitalize="none"
                spellcheck="false"
                autofocus
                aria-invalid=wrong.is_some().to_string()
                aria-describedby="confirm-said"
            />
            <span class="err" id="confirm-said" role="alert" data-own>{wrong}</span>
        </div>
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
        AppError::NoSuchBatch => {
            ("There is no such batch", "The address may be mistyped, or somebody else asked for it, or it is older than 30 days.")
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
    fn a_part_that_the_browser_has_is_sent_without_its_content() {
        let part = |have: &str, text: &'static str| Parts::of(have).keyed("tr", "r-1", || view! { <tr class="away"><td>{text}</td></tr> });
        let whole = part("", "a");
        let (_, hash) = whole.split_once("data-h=\"").unwrap();
        let hash = &hash[..12];
        assert!(whole.starts_with("<tr id=\"r-1\" data-h=") && whole.contains("class=\"away\"") && whole.ends_with("</tr>"), "{whole}");
        assert_eq!(part(&format!("0,{hash}"), "a"), format!("<tr id=\"r-1\" data-h=\"{hash}\"></tr>"));
        assert!(part(hash, "b").contains("<td>b"));
    }

    proptest::proptest! {
        /// A browser that was away for any time, and heard of any part of it, has after its next question what a fresh read shows.
        #[test]
        fn what_the_browser_has_and_what_it_gets_are_together_a_fresh_read(
            states in proptest::collection::vec(proptest::collection::vec((0..12_u8, 0..3_u8), 0..12), 1..6)
        ) {
            let mut on_screen: Vec<(String, String)> = Vec::new();
            for state in states {
                let mut rows = state;
                rows.dedup_by_key(|(id, _)| *id);
                let have: Vec<&str> = on_screen.iter().filter_map(|(_, html)| hash_of(html)).collect();
                let have = have.join(",");
                let render = |have: &str| -> Vec<(String, String)> {
                    let row = |(id, text): &(u8, u8)| {
                        let key = format!("r-{id}");
                        let html = Parts::of(have).keyed("tr", &key, || view! { <tr><td>{*text}</td></tr> });
                        (key, html)
                    };
                    rows.iter().map(row).collect()
                };
                // as the browser does: an element whose hash it has stays as it is
                let kept = |html: &str| on_screen.iter().find(|(_, old)| hash_of(old) == hash_of(html)).map(|(_, old)| old.clone());
                on_screen = render(&have).into_iter().map(|(key, html)| (key, kept(&html).unwrap_or(html))).collect();
                proptest::prop_assert_eq!(&on_screen, &render(""));
            }
        }
    }

    fn hash_of(html: &str) -> Option<&str> {
        html.split_once("data-h=\"")?.1.get(..12)
    }

    #[test]
    fn a_text_is_escaped() {
        let page = rendered(String::new(), true, || view! { <b title="\"><i>">{"<script>".to_owned()}</b> });
        assert!(page.html.contains("&lt;script") && !page.html.contains("<script>") && !page.html.contains("<i>"), "{}", page.html);
        assert!(page.html.contains("http-equiv=\"refresh\""), "{}", page.html);
    }
}
