//! The switch between light and dark.

use super::{api::SetTheme, model::Theme};
use crate::ui::icons::Icon;
use leptos::{prelude::*, server_fn::ServerFn};

/// A button that goes from the system's theme to light, to dark and back: a form, which the program answers at once where there is one.
#[component]
pub fn ThemeSwitch(
    /// The theme now.
    theme: Theme,
) -> impl IntoView {
    let next = theme.next().word();
    view! {
        <form method="post" action=SetTheme::PATH>
            <input type="hidden" name="theme" value=next />
            <button type="submit" title=format!("Switch to {next}")>
                <Icon name="sun-moon" />
                <span>"Theme"</span>
                <span class="n">{theme.label()}</span>
            </button>
        </form>
    }
}
