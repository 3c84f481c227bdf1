//! The switch between light and dark.

use super::{api::SetTheme, model::Theme};
use crate::ui::icons::Icon;
use leptos::{prelude::*, server_fn::ServerFn};

/// The theme of this tab, on every page.
#[derive(Clone, Copy)]
pub struct ThemeChoice(pub RwSignal<Theme>);

/// A button that goes from the system's theme to light, to dark and back. A form without JavaScript.
#[component]
pub fn ThemeSwitch() -> impl IntoView {
    let ThemeChoice(theme) = expect_context();
    let next = move || theme.get().next();
    let switch = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        theme.set(next());
        apply(theme.get_untracked());
    };
    view! {
        <form method="post" action=SetTheme::PATH on:submit=switch>
            <input type="hidden" name="theme" value=move || next().label().to_ascii_lowercase() />
            <button type="submit" title=move || format!("Switch to {}", next().label().to_ascii_lowercase())>
                <Icon name="sun-moon" />
                <span>"Theme"</span>
                <span class="n">{move || theme.get().label()}</span>
            </button>
        </form>
    }
}

cfg_if::cfg_if! {
    if #[cfg(feature = "hydrate")] {
        /// Shows a theme at once and keeps it in the cookie.
        fn apply(theme: Theme) {
            let document = document();
            if let Some(html) = document.document_element() {
                // these fail only for names that are no names
                let _ = match theme.attribute() {
                    Some(value) => html.set_attribute("data-theme", value),
                    None => html.remove_attribute("data-theme"),
                };
            }
            crate::ui::browser::set_cookie(&theme.cookie());
        }
    } else {
        fn apply(_: Theme) {}
    }
}
