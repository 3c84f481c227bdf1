//! What a form without JavaScript has to say after its redirect: the error, and what had been entered.

use crate::error::AppError;
use serde::{Deserialize, Serialize};

/// Shown once, on the next page. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// Why it failed.
    pub error: AppError,
    /// What had been entered, by field.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
}

impl Flash {
    /// What had been entered in a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
