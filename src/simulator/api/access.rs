//! `/access`: realms, tickets, permissions.

use super::Call;
use crate::simulator::{
    access::Access,
    reply::{Answer, Failure},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Everybody may see these: the login form needs them.
pub fn domains(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let rows = call.state.access.realms.iter().map(|realm| {
        let mut row = json!({ "realm": realm.name, "type": realm.kind, "comment": realm.comment });
        if realm.is_default {
            row["default"] = json!(1);
        }
        row
    });
    Ok(Value::from_iter(rows).into())
}

/// `GET` answers null, for login forms of browsers (auth-14-get-access-ticket-unauthenticated).
pub fn ticket_dummy(_: &mut Call<'_>) -> Result<Answer, Failure> {
    Ok(Value::Null.into())
}

/// Signs in. Whatever is wrong, the answer is the same (REAL, Auth).
pub fn ticket(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let name = call.params.text("username").unwrap_or_default();
    let password = call.params.text("password").unwrap_or_default();
    let id = call.params.text("realm").map_or_else(|| name.to_owned(), |realm| format!("{name}@{realm}"));
    let access = &call.state.access;
    let user = access.user(&id).filter(|user| user.is_enabled).ok_or_else(Failure::bad_login)?;
    let lifetime = |_: &str| user.ticket_lifetime;
    // A ticket in the place of the password renews it, and owes no second factor again.
    let renews = call.tickets.check(password, call.now, lifetime).is_some_and(|of| of == user.id);
    if !renews && password != user.password {
        return Err(Failure::bad_login());
    }
    let mut answer = json!({
        "username": user.id,
        "CSRFPreventionToken": call.tickets.csrf(user.id, call.now),
    });
    if user.needs_second_factor && !renews {
        answer["NeedTFA"] = json!(1);
        answer["ticket"] = json!(call.tickets.second_factor_ticket(user.id, r#"{"totp":true,"recovery":[0,1,2,3]}"#, call.now));
    } else {
        answer["ticket"] = json!(call.tickets.ticket(user.id, call.now));
        answer["cap"] = capabilities(access, user.id);
    }
    // Only for those who may know it (API2/AccessControl.pm).
    if access.allows(user.id, "/", "Sys.Audit") {
        answer["clustername"] = json!(call.state.name);
    }
    Ok(answer.into())
}

/// What the web interface may show: by first path segment the privileges that fit it (API2/AccessControl.pm,
/// `$compute_api_permission`; auth-09-login-root-pam-ok).
fn capabilities(access: &Access, user: &str) -> Value {
    let fits = |level: &str, privilege: &str| match level {
        "dc" => matches!(privilege, "Sys.Audit" | "Sys.Modify") || privilege.starts_with("SDN."),
        _ if privilege == "Permissions.Modify" => true,
        "vms" => privilege.starts_with("VM."),
        "access" => privilege.starts_with("User.") || privilege.starts_with("Group."),
        "storage" => privilege.starts_with("Datastore."),
        "nodes" => privilege.starts_with("Sys."),
        "sdn" => privilege.starts_with("SDN."),
        "mapping" => privilege.starts_with("Mapping."),
        _ => false,
    };
    let mut capabilities = Map::new();
    for level in ["vms", "access", "storage", "nodes", "sdn", "dc", "mapping"] {
        capabilities.insert(level.to_owned(), json!({}));
    }
    let fixed = ["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"];
    for path in fixed.into_iter().chain(access.paths()).collect::<BTreeSet<_>>() {
        let level = path.split('/').nth(1).filter(|level| !level.is_empty()).unwrap_or("dc");
        if let Some(Value::Object(entry)) = capabilities.get_mut(level) {
            let here = access.permissions(user, path);
            entry.extend(here.into_keys().filter(|p| fits(level, p)).map(|p| (p.to_owned(), json!(1))));
        }
    }
    Value::Object(capabilities)
}

/// The caller's own permissions by path, paths without any left out (auth-41-permissions-auditor). The value says whether it
/// propagates. Those of others need Sys.Audit on `/access`.
pub fn permissions(call: &mut Call<'_>) -> Result<Answer, Failure> {
    let user = call.params.text("userid").unwrap_or(call.user);
    if user != call.user && !call.may("/access", "Sys.Audit") {
        return Err(Failure::forbidden("/access", &["Sys.Audit"]));
    }
    let access = &call.state.access;
    let paths: BTreeSet<&str> = match call.params.text("path") {
        Some(path) => BTreeSet::from([path]),
        None => {
            ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"].into_iter().chain(access.paths()).collect()
        }
    };
    let mut answer = Map::new();
    for path in paths {
        let here = access.permissions(user, path);
        if !here.is_empty() || call.params.text("path").is_some() {
            answer.insert(path.to_owned(), here.into_iter().map(|(p, propagates)| (p.to_owned(), json!(u8::from(propagates)))).collect());
        }
    }
    Ok(Value::Object(answer).into())
}
