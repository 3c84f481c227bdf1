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

    /// Where the form of the switch is sent to.
    pub const ACTION: &str = "/api/set_theme";

    /// The `Set-Cookie` or `document.cookie` line that keeps it for a year.
    pub fn cookie(self) -> String {
        match self.attribute() {
            Some(value) => format!("{THEME_COOKIE}={value}; Path=/; Max-Age=31536000; SameSite=Lax"),
            None => format!("{THEME_COOKIE}=; Path=/; Max-Age=0; SameSite=Lax"),
        }
    }
}
