//! The switches: between light and dark, and between rows and cards.

use super::model::{Layout, Theme};
use crate::ui::icons::Icon;
use leptos::prelude::*;

/// A button that goes from the system's theme to light, to dark and back: a form, which the program answers at once where there is one.
#[component]
pub fn ThemeSwitch(
    /// The theme now.
    theme: Theme,
) -> impl IntoView {
    let next = theme.next().word();
    view! {
        <form method="post" action=Theme::ACTION>
            <input type="hidden" name="theme" value=next />
            <button type="submit" title=format!("Switch to {next}")>
                <Icon name="sun-moon" />
                <span>"Theme"</span>
                <span class="n">{theme.label()}</span>
            </button>
        </form>
    }
}

/// The form of [`LayoutSwitch`], which stands where no other form is around it.
#[component]
pub fn LayoutForm() -> impl IntoView {
    view! { <form id="layout" method="post" action=Layout::ACTION></form> }
}

/// Rows or cards. Which of them it is now says the width of the screen where nobody has chosen, so the style sheet marks it.
#[component]
pub fn LayoutSwitch() -> impl IntoView {
    let button = |layout: Layout, icon: &'static str, label: &'static str| {
        view! {
            <button type="submit" form="layout" name="layout" value=layout.word() aria-label=label title=label>
                <Icon name=icon />
            </button>
        }
    };
    view! {
        <span class="seg layouts" role="group" aria-label="Layout">
            {button(Layout::Rows, "rows-3", "Rows")}
            {button(Layout::Cards, "layout-grid", "Cards")}
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preferences::api::{SetLayout, SetTheme};
    use leptos::server_fn::ServerFn;

    #[test]
    fn the_form_is_sent_to_its_own_function() {
        assert_eq!((Theme::ACTION, Layout::ACTION), (SetTheme::PATH, SetLayout::PATH));
    }
}
