//! The cookie that carries a [`Flash`] over one redirect. It needs no session, no database and no address line.

use crate::ui::flash::Flash;
use axum::http::{HeaderMap, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const NAME: &str = "berth-flash";
/// Browsers drop cookies over 4,096 bytes.
const MOST_BYTES: usize = 3000;

/// The `Set-Cookie` that sets it for the next page, within half a minute. What had been entered is left out where it is too long.
pub fn set(mut flash: Flash, secure: bool) -> Option<HeaderValue> {
    let encode = |flash: &Flash| serde_json::to_string(flash).ok().map(|json| utf8_percent_encode(&json, NON_ALPHANUMERIC).to_string());
    let mut value = encode(&flash)?;
    if value.len() > MOST_BYTES {
        flash.fields.clear();
        value = encode(&flash)?;
    }
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{NAME}={value}; Path=/; Max-Age=30; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// The `Set-Cookie` that removes it.
pub fn clear() -> HeaderValue {
    HeaderValue::from_static("berth-flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
}

/// Reads it from a request.
pub fn get(headers: &HeaderMap) -> Option<Flash> {
    let value = cookie(headers, NAME)?;
    let json = percent_decode_str(value).decode_utf8().ok()?;
    serde_json::from_str(&json).ok()
}

/// A cookie's value.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AppError;

    fn carried(flash: Flash) -> Option<Flash> {
        let cookie = set(flash, false).unwrap();
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {pair}; c=d")).unwrap());
        get(&headers)
    }

    #[test]
    fn it_carries_the_error_and_what_was_entered() {
        let flash = Flash { error: AppError::BadRequest, fields: vec![("username".into(), "jürgen; x=1".into())] };
        assert_eq!(carried(flash.clone()), Some(flash));
    }

    #[test]
    fn what_is_too_long_for_a_cookie_is_left_out_and_the_error_stays() {
        let flash = Flash { error: AppError::TooLarge, fields: vec![("username".into(), "x".repeat(5000))] };
        assert_eq!(carried(flash), Some(Flash { error: AppError::TooLarge, fields: vec![] }));
    }
}
