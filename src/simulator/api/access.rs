//! `/access`: realms, tickets, permissions.

use super::Call;
use crate::simulator::{
    access::{Access, is_true},
    reply::{Answer, Failure},
    sign_in::{Owed, SignIn},
    version::Version,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Everybody may see these: the login form needs them.
pub fn domains(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let rows = call.state.access.realms().iter().map(|realm| {
        let mut row = json!({ "realm": realm.realm, "type": realm.kind });
        if !realm.comment.is_empty() {
            row["comment"] = json!(realm.comment);
        }
        if realm.is_default {
            row["default"] = json!(1);
        }
        if let Some(factor) = realm.demanded_factor() {
            row["tfa"] = json!(factor);
        }
        row
    });
    Ok(Value::from_iter(rows).into())
}

/// `GET` answers null, for login forms of browsers (auth-14-get-access-ticket-unauthenticated).
pub fn ticket_dummy(_: &mut Call<'_>) -> Result<Answer, Failure> {
    Ok(Value::Null.into())
}

/// Signs in, renews a ticket, takes a second factor, or says whether somebody has privileges on a path. Whatever is wrong, the
/// answer is the same (API2/AccessControl.pm, `create_ticket`; REAL, Auth).
pub fn ticket(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let name = call.params.text("username").unwrap_or_default();
    let user = match call.params.text("realm").filter(|realm| is_true(realm)) {
        Some(realm) => format!("{name}@{realm}"),
        None => name.to_owned(),
    };
    let mut answer = json!({ "username": user });
    let mut sign_in = SignIn {
        access: &mut call.state.access,
        tickets: call.tickets,
        now: call.now,
        user: &user,
        password: call.params.text("password").unwrap_or_default(),
        otp: call.params.text("otp"),
        challenge: call.params.text("tfa-challenge"),
        wants_new_format: call.params.flag("new-format"),
    };
    let asked = call.params.text("path").zip(call.params.text("privs")).filter(|(path, privs)| is_true(path) && is_true(privs));
    let owed = if let Some((path, privs)) = asked {
        sign_in.verify_privileges(path, privs)?;
        Owed::Nothing
    } else {
        let owed = sign_in.create_ticket()?;
        answer["ticket"] = json!(match &owed {
            Owed::Nothing => call.tickets.ticket(&user, call.now),
            Owed::Answer(challenge) => call.tickets.second_factor_ticket(&user, challenge, call.now),
            Owed::Code => call.tickets.old_second_factor_ticket(&user, call.now),
        });
        answer["CSRFPreventionToken"] = json!(call.tickets.csrf(&user, call.now));
        owed
    };
    let access = &call.state.access;
    if owed == Owed::Nothing {
        answer["cap"] = capabilities(access, &user);
    } else {
        answer["NeedTFA"] = json!(1);
    }
    // Only where there is a cluster, for those who may know it.
    if let Some(cluster) = call.state.cluster.as_deref().filter(|_| access.allows(&user, "/", "Sys.Audit")) {
        answer["clustername"] = json!(cluster);
    }
    Ok(answer.into())
}

/// What the web interface may show: by first path segment the privileges that fit it (RPCEnvironment.pm,
/// `compute_api_permission`; auth-09-login-root-pam-ok).
fn capabilities(access: &Access, user: &str) -> Value {
    let is_old = access.version() < Version::V8_4;
    let levels = ["vms", "access", "storage", "nodes", "sdn", "dc", "mapping"];
    let mut capabilities: Map<String, Value> =
        levels.into_iter().filter(|level| !(is_old && *level == "mapping")).map(|level| (level.to_owned(), json!({}))).collect();
    let fits = |level: &str, privilege: &str| match level {
        "dc" => privilege == "Sys.Audit" || privilege.starts_with("SDN.") || (privilege == "Sys.Modify" && !is_old),
        _ if privilege == "Permissions.Modify" => true,
        "vms" => privilege.starts_with("VM."),
        "access" => privilege.starts_with("User.") || privilege.starts_with("Group."),
        "storage" => privilege.starts_with("Datastore."),
        "nodes" => privilege.starts_with("Sys."),
        "sdn" => privilege.starts_with("SDN."),
        "mapping" => privilege.starts_with("Mapping."),
        _ => false,
    };
    let fixed = ["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"].map(str::to_owned);
    for path in fixed.into_iter().chain(access.paths()).collect::<BTreeSet<_>>() {
        let first = path.split('/').nth(1).filter(|first| !first.is_empty()).unwrap_or("dc");
        // A pool holds guests and storages.
        let levels: &[&str] = if first == "pool" { &["vms", "storage"] } else { &[first] };
        let here = access.permissions(user, &path);
        for level in levels {
            if let Some(Value::Object(entry)) = capabilities.get_mut(*level) {
                entry.extend(here.keys().filter(|privilege| fits(level, privilege)).map(|privilege| ((*privilege).to_owned(), json!(1))));
            }
        }
    }
    Value::Object(capabilities)
}

/// The permissions of the caller, or of one of their tokens, by path; the value says whether they propagate. Those of others need
/// Sys.Audit on `/access`.
pub fn permissions(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let access = &call.state.access;
    let subject = call.params.text("userid").unwrap_or(call.user);
    if subject != call.user && Access::owner_of(subject) != Some(call.user) {
        access.check(call.user, "/access", &["Sys.Audit"])?;
    }
    let by_path = match call.params.text("path").filter(|path| is_true(path)) {
        Some(path) => [(path.to_owned(), access.permissions(subject, path))].into(),
        None => access.effective_permissions(subject),
    };
    let answer = by_path.into_iter().map(|(path, privileges)| {
        let here = privileges.into_iter().map(|(privilege, propagates)| (privilege.to_owned(), json!(u8::from(propagates))));
        (path, Value::Object(here.collect()))
    });
    Ok(Value::Object(answer.collect()).into())
}
