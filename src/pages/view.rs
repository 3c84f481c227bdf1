//! A page that the server renders, in its place.

use super::{api::get_page, model::RenderedPage};
use crate::{
    error::AppError,
    operations::desk::{Desk, leave_if_signed_out},
    ui::{parts::ErrorNote, wire::load},
};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_location;

/// Every address that is no other page's.
#[component]
pub fn ServerPage() -> impl IntoView {
    let desk: Desk = expect_context();
    let location = use_location();
    let address = Memo::new(move |_| {
        location.pathname.get() + &location.search.with(|search| if search.is_empty() { String::new() } else { format!("?{search}") })
    });
    let page = load(move || (address.get(), desk.news()), |(address, _)| get_page(address));
    let failed = RwSignal::new(None);
    let (title, html) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    // what the element is made with; what comes later replaces its content
    let first = RwSignal::new(String::new());
    let is_under_way = RwSignal::new(false);
    let take = move |answer: Result<RenderedPage, AppError>| match answer {
        Ok(answer) => {
            failed.set(None);
            if first.with_untracked(String::is_empty) {
                first.set(answer.html.clone());
            }
            title.set(answer.title);
            html.set(answer.html);
            is_under_way.set(answer.is_under_way);
        }
        // what is on screen is better
        Err(error) => {
            leave_if_signed_out(&error);
            failed.set(html.with_untracked(String::is_empty).then_some(error));
        }
    };
    let content = NodeRef::<leptos::html::Div>::new();
    keep_in_place(content, html, address);
    hurry(desk, is_under_way);
    view! {
        <Title text=move || title.get() />
        <Transition>
            // taken in first, so that what stands below is there in the same rendering
            {move || page.get().map(take)}
            {move || failed.get().map(|error| view! { <div class="p-6"><ErrorNote error /></div> })}
            <div node_ref=content inner_html=move || first.get()></div>
        </Transition>
    }
    .into_any()
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        use crate::ui::browser;
        use std::time::Duration;

        /// How often a page asks for itself on which something is under way.
        const SOON: Duration = Duration::from_secs(2);

        /// Shows what is new in the same element.
        fn keep_in_place(content: NodeRef<leptos::html::Div>, html: RwSignal<String>, address: Memo<String>) {
            Effect::new(move |shown: Option<(String, String)>| {
                let new = (address.get_untracked(), html.get());
                match (content.get(), shown) {
                    (Some(element), Some(shown)) if shown.1 != new.1 => {
                        // another page does not wait for what is open on this one
                        let is_shown = browser::replace_content(&element, &new.1, shown.0 != new.0);
                        if is_shown { new } else { shown }
                    }
                    // the first one has come with the element
                    _ => new,
                }
            });
        }

        /// Asks again soon while something is under way.
        fn hurry(desk: Desk, is_under_way: RwSignal<bool>) {
            let again = set_interval_with_handle(
                move || {
                    if is_under_way.get_untracked() && browser::is_visible() {
                        desk.look_again();
                    }
                },
                SOON,
            );
            if let Ok(again) = again {
                on_cleanup(move || again.clear());
            }
        }
    } else {
        fn keep_in_place(_: NodeRef<leptos::html::Div>, _: RwSignal<String>, _: Memo<String>) {}
        fn hurry(_: Desk, _: RwSignal<bool>) {}
    }
}
