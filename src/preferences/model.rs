//! The choices.

use serde::{Deserialize, Serialize};

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system has it.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// The cookie that holds the theme; none means [`Theme::System`].
pub const THEME_COOKIE: &str = "berth-theme";

impl Theme {
    /// For `html[data-theme]`; none for the system's.
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light => Some("light"),
            Self::Dark => Some("dark"),
        }
    }

    /// What the cookie says.
    pub fn of_cookie(value: &str) -> Self {
        match value {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    /// In the switch.
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// In a form and in an address.
    pub fn word(self) -> &'static str {
        self.attribute().unwrap_or("system")
    }

    /// What the switch goes to next.
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    /// What the switch does.
    pub fn title(self) -> &'static str {
        match self {
            Self::System => "Switch to light",
            Self::Light => "Switch to dark",
            Self::Dark => "Switch to system",
        }
    }

    /// Where the form of the switch is sent to.
    pub const ACTION: &str = "/api/set_theme";

    /// The `Set-Cookie` or `document.cookie` line that keeps it for a year.
    pub fn cookie(self) -> String {
        cookie(THEME_COOKIE, self.attribute())
    }
}

/// Whether single keys walk the list and act in it. Who speaks to the machine, or whose keys are pressed by another device, switches them off
/// (WCAG 2.1.4). Arrows, Enter and Escape work at any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// They do.
    #[default]
    On,
    /// They are letters.
    Off,
}

/// The cookie that holds it; none means [`Keys::On`].
pub const KEYS_COOKIE: &str = "berth-keys";

impl Keys {
    /// For `html[data-keys]`; none where they are on.
    pub fn attribute(self) -> Option<&'static str> {
        (self == Self::Off).then_some("off")
    }

    /// What the cookie, or a form, says.
    pub fn of_word(word: &str) -> Self {
        if word == "off" { Self::Off } else { Self::On }
    }

    /// In the switch.
    pub fn label(self) -> &'static str {
        match self {
            Self::On => "On",
            Self::Off => "Off",
        }
    }

    /// In a form.
    pub fn word(self) -> &'static str {
        self.attribute().unwrap_or("on")
    }

    /// What the switch goes to next.
    pub fn next(self) -> Self {
        match self {
            Self::On => Self::Off,
            Self::Off => Self::On,
        }
    }

    /// What the switch does.
    pub fn title(self) -> &'static str {
        match self {
            Self::On => "Switch the single keys off: j k x . /",
            Self::Off => "Switch the single keys on: j k x . /",
        }
    }

    /// Where the form of the switch is sent to.
    pub const ACTION: &str = "/api/set_keys";

    /// The line that keeps it for a year.
    pub fn cookie(self) -> String {
        cookie(KEYS_COOKIE, self.attribute())
    }
}

/// How a list shows its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A table. What a wide screen has where nobody has chosen.
    Rows,
    /// A card for each. What a phone has where nobody has chosen.
    Cards,
}

/// The cookie that holds the layout; none leaves it to the width of the screen.
pub const LAYOUT_COOKIE: &str = "berth-layout";

impl Layout {
    /// For `html[data-layout]`, in a form and in the cookie.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Cards => "cards",
        }
    }

    /// What the cookie, or a form, says.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Rows, Self::Cards].into_iter().find(|layout| layout.word() == word)
    }

    /// Where the form of the switch is sent to.
    pub const ACTION: &str = "/api/set_layout";

    /// The line that keeps it for a year.
    pub fn cookie(self) -> String {
        cookie(LAYOUT_COOKIE, Some(self.word()))
    }
}

/// A `Set-Cookie` or `document.cookie` line that keeps a value for a year, or forgets it.
fn cookie(name: &str, value: Option<&str>) -> String {
    let age = if value.is_some() { 31_536_000 } else { 0 };
    format!("{name}={}; Path=/; Max-Age={age}; SameSite=Lax", value.unwrap_or_default())
}
