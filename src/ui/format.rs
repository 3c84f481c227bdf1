//! How numbers and times read. Nothing here knows a time zone: a page's "now" travels with its data.

/// Bytes in IEC units, with one decimal from 1 GiB up: `512 MiB`, `7.3 GiB`.
pub fn bytes(bytes: u64) -> String {
    let (number, unit) = scaled(bytes, unit_of(bytes));
    format!("{number} {unit}")
}

/// A part and its whole in the whole's unit: (`7.3`, `8 GiB`).
pub fn bytes_of(part: u64, whole: u64) -> (String, String) {
    let unit = unit_of(whole);
    let (part, _) = scaled(part, unit);
    let (whole, word) = scaled(whole, unit);
    (part, format!("{whole} {word}"))
}

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

fn unit_of(bytes: u64) -> usize {
    (0..UNITS.len() - 1).find(|unit| bytes >> (10 * unit) < 1024).unwrap_or(UNITS.len() - 1)
}

fn scaled(bytes: u64, unit: usize) -> (String, &'static str) {
    // tenths in whole numbers: the browser's code does without the printing of fractions
    let tenths = (u128::from(bytes) * 10 + (1 << (10 * unit)) / 2) >> (10 * unit);
    // a whole number needs no decimal, nor does anything below 1 GiB
    let text =
        if unit < 3 || tenths.is_multiple_of(10) { ((tenths + 5) / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) };
    (text, UNITS[unit])
}

/// A number with its thousands apart: `12,000`.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its largest unit: `41 d`, `3 h`, `12 min`, `8 s`.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        86_400.. => format!("{} d", seconds / 86_400),
        3_600.. => format!("{} h", seconds / 3_600),
        60.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A length of time in its two largest units: `6 d 4 h`, `3 h 12 min`, `1 min 52 s`.
pub fn duration_in_two(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (large, small, unit) = match seconds {
        86_400.. => (86_400, 3_600, "h"),
        3_600.. => (3_600, 60, "min"),
        _ => (60, 1, "s"),
    };
    match seconds % large / small {
        _ if seconds < 60 => duration(seconds),
        0 => duration(seconds),
        rest => format!("{} {rest} {unit}", duration(seconds)),
    }
}

/// How long ago: `3 min ago`, `just now`.
pub fn ago(then: i64, now: i64) -> String {
    match now - then {
        ..5 => "just now".to_owned(),
        seconds => format!("{} ago", duration(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_from_a_gibibyte_up() {
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(8 << 30), "8 GiB");
        assert_eq!(bytes((7 << 30) + (300 << 20)), "7.3 GiB");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn a_number_has_its_thousands_apart() {
        assert_eq!([7, 999, 1_000, 12_345_678].map(count), ["7", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn a_part_is_in_the_unit_of_its_whole() {
        assert_eq!(bytes_of(200 << 20, 1 << 30), ("0.2".into(), "1 GiB".into()));
        assert_eq!(bytes_of(96 << 20, 512 << 20), ("96".into(), "512 MiB".into()));
    }

    #[test]
    fn a_length_of_time_has_one_unit() {
        assert_eq!([8, 61, 7200, 41 * 86400].map(duration), ["8 s", "1 min", "2 h", "41 d"]);
        assert_eq!([8, 112, 7200, 6 * 86400 + 4 * 3600 + 59].map(duration_in_two), ["8 s", "1 min 52 s", "2 h", "6 d 4 h"]);
        assert_eq!((ago(100, 102), ago(100, 280), ago(100, 0)), ("just now".into(), "3 min ago".into(), "just now".into()));
    }
}
