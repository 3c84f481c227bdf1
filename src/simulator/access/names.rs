//! The forms of ids, paths, lists and texts in `user.cfg` and in rules.
//!
//! Not here: what Proxmox's API accepts as a parameter ([`crate::simulator::params`]).

use percent_encoding::percent_decode_str;
use std::fmt::Write as _;

/// What Perl takes for true.
pub fn is_true(text: &str) -> bool {
    !matches!(text, "" | "0")
}

/// The user and the realm of an id, or why it is none (Auth/Plugin.pm, `verify_username`).
pub fn user_id(text: &str) -> Result<(&str, &str), String> {
    match text.chars().count() {
        length @ 65.. => return Err(format!("user name '{text}' is too long ({length} > 64)")),
        0..3 => return Err(format!("user name '{text}' is too short")),
        _ => {}
    }
    user_and_realm(text).ok_or_else(|| format!("value '{text}' does not look like a valid user name"))
}

/// `user@realm` and `name` of `user@realm!name`.
pub fn split_token(text: &str) -> Option<(&str, &str)> {
    let (owner, name) = text.rsplit_once('!')?;
    (user_and_realm(owner).is_some() && is_realm(name)).then_some((owner, name))
}

/// For groups and roles.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_name_byte)
}

/// With up to so many levels.
pub fn is_pool(text: &str, levels: usize) -> bool {
    text.split('/').count() <= levels && text.split('/').all(is_name)
}

pub fn is_storage(text: &str) -> bool {
    text.len() > 1
        && is_name(text)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
}

/// Items between commas, semicolons and white space (ParseUtils.pm, `split_list`).
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|separator: char| matches!(separator, ',' | ';' | '\0') || separator.is_whitespace()).filter(|item| !item.is_empty())
}

/// With one slash before each part and none at the end; nothing where there is a character that no path has.
pub fn normalize_path(path: &str) -> Option<String> {
    let has_its_form = |part: &&str| part.chars().all(|sign| sign.is_alphanumeric() || matches!(sign, '.' | '-' | '_'));
    if !is_true(path) || !path.split('/').all(|part| has_its_form(&part)) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Some(format!("/{}", parts.join("/")))
}

/// The steps from the root to a path, the root first: an empty part stays where one is. Access lists of the root do not hold for
/// a path without a leading slash, as in Proxmox.
pub fn path_parts(path: &str) -> Vec<&str> {
    if path == "/" {
        return vec![""];
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

/// Text as a field of a line: no control characters, no colon, nothing beyond ASCII (ParseUtils.pm, `encode_text`).
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b':') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn user_and_realm(text: &str) -> Option<(&str, &str)> {
    let (user, realm) = text.rsplit_once('@')?;
    let is_user = !user.is_empty() && !user.contains(|sign: char| matches!(sign, ':' | '/') || sign.is_whitespace());
    (is_user && is_realm(realm)).then_some((user, realm))
}

fn is_realm(text: &str) -> bool {
    text.len() > 1 && is_name(text) && text.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_a_user_of_a_realm() {
        assert_eq!(split_token("a!b@pve!tok"), Some(("a!b@pve", "tok")));
        assert_eq!(split_token("a!b@pve"), None);
        assert_eq!(user_id("a!b@pve"), Ok(("a!b", "pve")));
        assert_eq!(user_id(""), Err("user name '' is too short".to_owned()));
        assert_eq!(user_id("nobody"), Err("value 'nobody' does not look like a valid user name".to_owned()));
    }

    #[test]
    fn a_path_has_one_form() {
        assert_eq!(normalize_path("vms//100/").as_deref(), Some("/vms/100"));
        assert_eq!(normalize_path("//").as_deref(), Some("/"));
        assert_eq!(normalize_path("/vms/1 0"), None);
    }

    #[test]
    fn a_text_comes_back_as_it_was() {
        assert_eq!(encode("a:b 50 % é"), "a%3Ab 50 %25 %C3%A9");
        assert_eq!(decode(&encode("a:b 50 % é")), "a:b 50 % é");
    }
}
