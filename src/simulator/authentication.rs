//! Who is asking: a ticket or an API token in a request's headers (HS, `auth_handler`; AC, `verify_ticket` and `verify_token`).
//!
//! Not here: how one comes by a ticket ([`super::api::access`]), and what the user may ([`super::access`]).

use super::{
    access::{Access, is_true},
    clock::{Moment, seconds},
    reply::Failure,
    tickets::Tickets,
    version::Version,
};
use percent_encoding::percent_decode_str;

/// What a request brings, as it stands in its headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    pub cookie: Option<&'a str>,
    pub authorization: Option<&'a str>,
    pub csrf: Option<&'a str>,
}

/// What a request proves its user with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    Nothing,
    Ticket(String),
    /// `{user}!{name}={secret}`
    Token(String),
}

impl Headers<'_> {
    /// The cookie wins over the header, and a ticket over a token (AE:1579-1588).
    pub fn credentials(&self) -> Credentials {
        let ticket = |header: Option<&str>| value_of(header?, "PVEAuthCookie").map(Credentials::Ticket);
        let token = || value_of(self.authorization?, "PVEAPIToken").map(Credentials::Token);
        ticket(self.cookie).or_else(|| ticket(self.authorization)).or_else(token).unwrap_or(Credentials::Nothing)
    }

    /// Whether a token is shown, right or wrong: where everybody may ask, it is not looked at, and yet refused where only a
    /// ticket will do (HS:171).
    pub fn has_token(&self) -> bool {
        matches!(self.credentials(), Credentials::Token(_))
    }
}

/// The user or token of a request to an endpoint for which one has to be signed in.
pub fn authenticate(headers: &Headers<'_>, method: &str, access: &Access, tickets: &Tickets, now: Moment) -> Result<String, Failure> {
    // Since 9.1.5 all reasons are the same, but that there is nothing at all (HS:85-103).
    let says_why = access.version() < Version::V9_2;
    let refused = |reason: String| Failure::unauthorized(if says_why { &reason } else { "Authentication failed!" });
    match headers.credentials() {
        Credentials::Nothing => Err(Failure::unauthorized("No ticket")),
        Credentials::Token(token) => {
            let (id, secret) = token.rsplit_once('=').ok_or_else(|| refused("no tokenid specified".to_owned()))?;
            access.verify_token(id, secret, seconds(now)).map_err(refused)?;
            Ok(id.to_owned())
        }
        Credentials::Ticket(ticket) => {
            let lifetime = |user: &str| access.ticket_lifetimes.get(user).copied();
            let user = tickets.check(&ticket, now, lifetime);
            let user = user.ok_or_else(|| refused("permission denied - invalid PVE ticket".to_owned()))?;
            access.enabled_user(&user, seconds(now)).map_err(refused)?;
            // auth-20-post-missing-csrf, auth-25-get-needs-no-csrf
            if method != "GET" && !headers.csrf.is_some_and(|token| tickets.csrf_is_valid(token, &user, now)) {
                return Err(Failure::unauthorized("Permission denied - invalid csrf token"));
            }
            Ok(user)
        }
    }
}

/// The value after a name at the start of a header or after white space, up to a semicolon (Formatter.pm, `extract_auth_value`).
fn value_of(header: &str, name: &str) -> Option<String> {
    let follows = |start: &usize| *start == 0 || header[..*start].ends_with(char::is_whitespace);
    let value = header.match_indices(name).map(|(start, _)| start).filter(follows).find_map(|start| {
        let rest = &header[start + name.len()..];
        rest.strip_prefix(['=', ' '])
    })?;
    let value = value.split(';').next().unwrap_or_default();
    let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
    is_true(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = 1_795_368_389_000;

    fn credentials(cookie: &str, authorization: &str) -> Credentials {
        Headers { cookie: Some(cookie), authorization: Some(authorization), csrf: None }.credentials()
    }

    fn reason(headers: Headers<'_>, version: Version) -> String {
        let text = "user:u@pve:1:\nuser:off@pve:0:\nuser:gone@pve:1:5:\ntoken:u@pve!tok:0:0::\ntoken:u@pve!old:5:0::\n";
        let mut access = Access::from_text(text, version);
        access.token_secrets.insert("u@pve!tok".to_owned(), "secret".to_owned());
        let outcome = authenticate(&headers, "POST", &access, &Tickets::new().unwrap(), NOW);
        outcome.unwrap_or_else(|failure| failure.message)
    }

    #[test]
    fn the_cookie_wins_over_the_header_and_a_ticket_over_a_token() {
        assert_eq!(credentials("a=1; PVEAuthCookie=one%3A", "PVEAuthCookie=two"), Credentials::Ticket("one:".to_owned()));
        assert_eq!(credentials("PVEAuthCookie=", "PVEAuthCookie=two"), Credentials::Ticket("two".to_owned()));
        assert_eq!(credentials("XPVEAuthCookie=one", "PVEAPIToken=u@pve!tok=s"), Credentials::Token("u@pve!tok=s".to_owned()));
        assert_eq!(credentials("", "Bearer x"), Credentials::Nothing);
    }

    #[test]
    fn a_token_needs_no_csrf_token_and_a_refusal_says_why_before_9_2() {
        let token = |value| Headers { authorization: Some(value), ..Headers::default() };
        let cases = [
            ("PVEAPIToken=u@pve!tok=secret", "u@pve!tok"),
            ("PVEAPIToken=u@pve!tok=other", "invalid token value!"),
            ("PVEAPIToken=u@pve!no=secret", "no such token 'no' for user 'u@pve'"),
            ("PVEAPIToken=u@pve!old=secret", "token 'old' access expired"),
            ("PVEAPIToken=who@pve!tok=secret", "no such user ('who@pve')"),
            ("PVEAPIToken=off@pve!tok=secret", "user 'off@pve' is disabled"),
            ("PVEAPIToken=gone@pve!tok=secret", "user 'gone@pve' access expired"),
            ("PVEAPIToken=u@pve=secret", "'u@pve' is not a valid token ID - not able to split into user and token parts"),
            ("PVEAPIToken=secret", "no tokenid specified"),
            ("PVEAPIToken=", "No ticket"),
        ];
        for (value, wanted) in cases {
            assert_eq!(reason(token(value), Version::V8_4), wanted);
        }
        assert_eq!(reason(token("PVEAPIToken=u@pve!tok=other"), Version::V9_2), "Authentication failed!");
        assert_eq!(reason(Headers::default(), Version::V9_2), "No ticket");
    }
}
