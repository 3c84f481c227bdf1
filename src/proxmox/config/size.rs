//! Sizes as Proxmox writes them: `8G`, `512M`, `1.5T` (pve-common JSONSchema.pm, parse_size and format_size).

use super::properties::Value;
use std::{fmt, str::FromStr};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// A text that is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a size such as 8G or 512M")]
pub struct InvalidSize;

const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

impl FromStr for Size {
    type Err = InvalidSize;
    /// Digits, perhaps a fraction, perhaps a unit; without a unit these are bytes.
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let text = text.strip_suffix("iB").filter(|rest| rest.ends_with(UNITS)).unwrap_or(text);
        let unit = UNITS.iter().position(|unit| text.ends_with(*unit));
        let number = if unit.is_some() { &text[..text.len() - 1] } else { text };
        let factor = unit.map_or(1, |unit| 1024_u64.pow(unit as u32 + 1));
        match number.split_once('.') {
            None if digits(number) => number.parse().ok().and_then(|n: u64| n.checked_mul(factor)).map(Self).ok_or(InvalidSize),
            Some((whole, fraction)) if digits(whole) && digits(fraction) => {
                let bytes = number.parse::<f64>().map_err(|_| InvalidSize)? * factor as f64;
                // beyond this a fraction of a byte is not exact any more, and no disk is so large
                if bytes < 2_f64.powi(63) { Ok(Self(bytes as u64)) } else { Err(InvalidSize) }
            }
            _ => Err(InvalidSize),
        }
    }
}

impl fmt::Display for Size {
    /// In the largest unit in which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.0;
        let mut unit = None;
        for larger in UNITS {
            if number == 0 || !number.is_multiple_of(1024) {
                break;
            }
            number /= 1024;
            unit = Some(larger);
        }
        match unit {
            Some(unit) => write!(f, "{number}{unit}"),
            None => write!(f, "{number}"),
        }
    }
}

impl Value for Size {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn print(&self) -> String {
        self.to_string()
    }
}
