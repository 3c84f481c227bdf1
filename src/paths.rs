//! Every link, as a function. A page's address is written here and in `app.rs`, and nowhere else.

/// The containers.
pub fn home() -> &'static str {
    "/"
}

/// A page of ours that follows an operation to its end; another one that it followed before is let go.
pub fn with_operation(page: &str, operation: &str) -> String {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("op="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("op={}", encode(operation))]).collect();
    format!("{path}?{}", query.join("&"))
}

/// The sign-in form.
pub fn login() -> &'static str {
    "/login"
}

/// The sign-in form that leads back to `next`, which is a path of ours or is left out.
pub fn login_then(next: &str) -> String {
    match safe_next(next) {
        "/" => login().to_owned(),
        next => format!("{}?next={}", login(), encode(next)),
    }
}

/// The sign-in form for a cluster.
pub fn login_at(cluster: &str, next: &str) -> String {
    match safe_next(next) {
        "/" => format!("{}?cluster={}", login(), encode(cluster)),
        next => format!("{}?cluster={}&next={}", login(), encode(cluster), encode(next)),
    }
}

/// The page that asks for a second factor. It is none of the router's: it is whole without the program.
pub fn second_factor() -> &'static str {
    "/login/code"
}

/// The same for a sign-in that is on its way to `next`. It asks for a code, or for a recovery key.
pub fn second_factor_at(cluster: &str, next: &str, by_key: bool) -> String {
    let path = login_at(cluster, next).replacen(login(), second_factor(), 1);
    if by_key { path + "&key" } else { path }
}

/// The sign-in form, from the page that asks for a second factor: for the same cluster, and with the same way on.
pub fn login_again(from: &str) -> String {
    from.replacen(second_factor(), login(), 1)
}

/// `next` where it is a path of this site, else home. `//evil.example` and `/\evil.example` are other sites to a browser.
pub fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && next.len() <= 1000
        && !next.contains('\\')
        && next.chars().all(|c| c.is_ascii_graphic())
        && !next.starts_with(login());
    if ours { next } else { home() }
}

/// Escapes a text for a query's value.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_leads_to_this_site_only() {
        for good in ["/", "/containers/101", "/?tag=prod&x=1"] {
            assert_eq!(safe_next(good), good);
        }
        for evil in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            "/login?next=/",
        ] {
            assert_eq!(safe_next(evil), "/", "{evil:?}");
        }
    }

    #[test]
    fn a_page_follows_one_operation() {
        assert_eq!(with_operation("/", "a1"), "/?op=a1");
        assert_eq!(with_operation("/?tag=prod&op=a0", "a1"), "/?tag=prod&op=a1");
    }

    #[test]
    fn a_link_to_sign_in_carries_the_way_back() {
        assert_eq!(login_then("/"), "/login");
        assert_eq!(login_then("/?tag=a b"), "/login");
        assert_eq!(login_then("/?a=1&b=2"), "/login?next=/%3Fa%3D1%26b%3D2");
        assert_eq!(second_factor_at("home", "/?a=1", true), "/login/code?cluster=home&next=/%3Fa%3D1&key");
        assert_eq!(login_again(&second_factor_at("home", "/?a=1", false)), login_at("home", "/?a=1"));
    }
}
