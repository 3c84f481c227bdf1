//! One recorded exchange, taken apart.

use serde_json::{Map, Value};

use super::super::{data::Case, wire::unescape};

#[derive(Clone, Debug)]
pub struct Recording {
    pub name: String,
    /// Of the server, as its folder says.
    pub version: Option<String>,
    /// `user@realm` or `token user@realm!token`.
    pub who: Option<String>,
    /// Seconds since 1970.
    pub at: Option<i64>,
    pub note: String,
    pub method: String,
    /// As it went over the wire.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// From query and body, by name.
    pub parameters: Value,
    pub status: u16,
    pub reason: String,
    /// The body in JSON; `null` where it was none, and then its text.
    pub json: Value,
    pub text: String,
}

impl Recording {
    /// `None`: a timeline, or nothing that can be read.
    pub fn read(case: &Case) -> Option<Self> {
        let (request, response) = (&case.value["request"], &case.value["response"]);
        let mut words = request["request_line"].as_str()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = request["headers"].as_array().into_iter().flatten().filter_map(|header| {
            let (name, value) = header.as_str()?.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        let body = match &request["body"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let status_line = response["status_line"].as_str().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ').skip(1);
        let status_of_line = words.next().and_then(|status| status.parse().ok());
        let status = response["status"].as_u64().or(status_of_line)?;
        let reason = response["reason"].as_str().or_else(|| words.next()).unwrap_or_default();
        Some(Self {
            name: case.name.clone(),
            version: case.version.clone(),
            who: case.text("as").map(str::to_owned),
            at: case.text("recorded").and_then(seconds),
            note: case.text("note").unwrap_or_default().to_owned(),
            parameters: parameters(&target, &body),
            headers: headers.collect(),
            status: u16::try_from(status).ok()?,
            reason: reason.to_owned(),
            json: response["body"].clone(),
            text: response["body_text"].as_str().unwrap_or_default().to_owned(),
            method,
            target,
            body,
        })
    }

    /// Below `/api2/{format}`; what is not below it stays whole.
    pub fn path(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        let below = path.strip_prefix("/api2/").and_then(|rest| rest.find('/').map(|start| &rest[start..]));
        below.unwrap_or(path)
    }

    /// What Proxmox said in words.
    pub fn words(&self) -> &str {
        self.json["message"].as_str().unwrap_or(&self.reason)
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        super::super::simulator::scalar(&self.parameters[name])
    }

    pub fn data(&self) -> &Value {
        &self.json["data"]
    }

    /// Who got a new ticket for an old one.
    pub fn renews(&self) -> Option<String> {
        let is_renewal = self.status == 200 && self.path() == "/access/ticket" && self.parameter("password")?.starts_with("PVE:");
        is_renewal.then(|| self.login()).flatten()
    }

    /// Who signs in, with the realm.
    pub fn login(&self) -> Option<String> {
        let name = self.parameter("username")?;
        Some(match self.parameter("realm") {
            Some(realm) if !name.contains('@') => format!("{name}@{realm}"),
            _ => name,
        })
    }
}

fn parameters(target: &str, body: &str) -> Value {
    let mut parameters = Map::new();
    if let Ok(Value::Object(fields)) = serde_json::from_str(body) {
        parameters = fields;
    }
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let forms = [query, if parameters.is_empty() { body } else { "" }];
    for (name, value) in forms.iter().flat_map(|form| form.split('&')).filter_map(|pair| pair.split_once('=')) {
        parameters.insert(unescape(name, true), unescape(value, true).into());
    }
    Value::Object(parameters)
}

/// Of `2026-11-22T17:19:29.946930Z`, since 1970.
fn seconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Years begin in March here, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(11..13)? * 3_600 + number(14..16)? * 60 + number(17..19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_recording_is_read() {
        assert_eq!(seconds("2026-11-22T17:26:29.736Z"), Some(0x6B03_25C5));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn parameters_come_from_query_form_and_json() {
        assert_eq!(parameters("/x?a=1", "b=%2F+c"), serde_json::json!({ "a": "1", "b": "/ c" }));
        assert_eq!(parameters("/x", r#"{"vmid": 1}"#), serde_json::json!({ "vmid": 1 }));
    }
}
