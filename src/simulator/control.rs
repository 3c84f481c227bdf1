//! The control side: `/sim/…` on the same port, JSON in and out, for browser tests and curious people. The same as the methods of
//! [`super::Simulator`], and only there when [`super::Options::control`] says so. Whoever reaches the port may use it.

use super::{
    faults::Fault,
    handle,
    reply::{self, Body},
    routes,
    shared::Shared,
    state::Status,
    tls::CertificateMode,
};
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, body::Incoming};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

#[derive(Deserialize)]
struct Advance {
    seconds: f64,
}

#[derive(Deserialize)]
struct SlowDown {
    factor: f64,
}

#[derive(Deserialize)]
struct AskRule {
    user: String,
    method: String,
    path: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct SetCertificate {
    mode: CertificateMode,
}

#[derive(Deserialize)]
struct SetContainer {
    vmid: u32,
    #[serde(default)]
    status: Option<Status>,
    /// Absent leaves it, `null` or empty unlocks.
    #[serde(default, deserialize_with = "given")]
    lock: Option<Option<String>>,
}

/// Tells `null` from absent.
fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(value).map(Some)
}

pub async fn serve(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, 64 << 20).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (status, answer) = match act(shared, head.method.as_str(), head.uri.path(), &body) {
        Ok(answer) => (200, answer),
        Err((status, text)) => (status, json!({ "error": text })),
    };
    reply::response(status, if status == 200 { "OK" } else { "Error" }, shared.clock.now(), Some(reply::JSON), answer.to_string())
}

fn act(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Result<Value, (u16, String)> {
    let done = Ok(json!({ "ok": true }));
    match (method, path) {
        ("POST", "/sim/advance") => {
            let Advance { seconds } = parse(body)?;
            let by = Duration::try_from_secs_f64(seconds).map_err(|error| (400, error.to_string()))?;
            handle::advance(shared, by);
            done
        }
        ("POST", "/sim/finish-tasks") => {
            handle::finish_tasks(shared);
            done
        }
        ("POST", "/sim/state") => {
            shared.load(parse(body)?).map_err(|error| (400, error.to_string()))?;
            done
        }
        ("GET", "/sim/state") => serde_json::to_value(handle::state(shared)).map_err(|error| (500, error.to_string())),
        ("POST", "/sim/refresh-resources") => {
            handle::refresh_resources(shared);
            done
        }
        ("POST", "/sim/expire-tickets") => {
            shared.tickets.expire_all();
            done
        }
        // What an endpoint's rule says to a user whom the server itself would not have asked for, such as where nobody has to sign in.
        ("POST", "/sim/rule") => {
            let AskRule { user, method, path, params } = parse(body)?;
            let (state, _) = shared.state();
            let (route, in_path) = routes::find(&method, &path, state.version).ok_or_else(|| (404, format!("no {method} {path}")))?;
            let given = params.into_iter().chain(in_path).collect();
            match state.access.check_rule(&user, route.rule, &given) {
                Ok(()) => Ok(json!({ "status": 200 })),
                Err(failure) => Ok(json!({ "status": failure.status, "message": failure.message })),
            }
        }
        ("POST", "/sim/slow-down") => {
            let SlowDown { factor } = parse(body)?;
            handle::slow_down(shared, factor);
            done
        }
        ("POST", "/sim/fault") => {
            shared.faults.add(parse::<Fault>(body)?);
            done
        }
        ("DELETE", "/sim/faults") => {
            handle::clear_faults(shared);
            done
        }
        ("GET", "/sim/requests") => {
            let requests = shared.requests.all();
            let unknown = requests.iter().filter(|request| request.is_unknown).count();
            Ok(json!({ "requests": requests, "unknown": unknown }))
        }
        ("DELETE", "/sim/requests") => {
            shared.requests.clear();
            done
        }
        ("POST", "/sim/certificate") => {
            let SetCertificate { mode } = parse(body)?;
            shared.certificates.set(mode).map_err(|error| (500, error.to_string()))?;
            Ok(json!({ "fingerprint": shared.certificates.fingerprint() }))
        }
        ("GET", "/sim/containers") => Ok(handle::containers(shared)),
        ("POST", "/sim/container") => {
            let SetContainer { vmid, status, lock } = parse(body)?;
            let known = status.is_none_or(|status| handle::set_status(shared, vmid, status))
                && lock.is_none_or(|lock| handle::set_lock(shared, vmid, lock.as_deref().filter(|lock| !lock.is_empty())));
            if known { done } else { Err((404, format!("no container {vmid}"))) }
        }
        _ => Err((404, format!("no {method} {path} on the control side"))),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|error| (400, error.to_string()))
}
