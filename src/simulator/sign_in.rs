//! Signing in: a password or a ticket, and then a second factor (AC, `authenticate_user` and `authenticate_2nd_new`;
//! API2/AccessControl.pm, `create_ticket_do` and `verify_auth`).
//!
//! Not here: the answer ([`super::api::access`]), and what the right code is ([`super::access::SecondFactors`]).

use super::{
    access::{Access, ROOT, SecondFactors, is_true, list, normalize_path},
    clock::{Moment, seconds},
    reply::Failure,
    tickets::Tickets,
    version::Version,
};

/// What is missing before a sign-in is whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// An answer to this challenge.
    Answer(String),
    /// A one-time code, in the way of 7.4 for clients that do not ask for another.
    Code,
}

/// It did not work, and nobody is told why.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

impl From<Refused> for Failure {
    fn from(Refused: Refused) -> Self {
        Self::bad_login()
    }
}

/// An attempt to sign in.
pub struct SignIn<'a> {
    pub access: &'a mut Access,
    pub tickets: &'a Tickets,
    pub now: Moment,
    pub user: &'a str,
    /// A ticket renews it, and owes no second factor again; with a challenge it is the answer to that.
    pub password: &'a str,
    /// An answer that comes at once.
    pub otp: Option<&'a str>,
    /// The half ticket of the first step.
    pub challenge: Option<&'a str>,
    /// Since 8.0 everybody does.
    pub wants_new_format: bool,
}

impl SignIn<'_> {
    /// Root's ticket opens every account.
    pub fn create_ticket(&mut self) -> Result<Owed, Refused> {
        self.access.enabled_user(self.user, seconds(self.now)).map_err(|_| Refused)?;
        if self.challenge.is_some() {
            return if self.otp.is_none() { self.authenticate() } else { Err(Refused) };
        }
        match self.ticket_user() {
            Some(holder) if holder == ROOT || holder == self.user => Ok(Owed::Nothing),
            _ => self.authenticate(),
        }
    }

    /// Whether the user has all these privileges on a path; a second factor is not asked for here.
    pub fn verify_privileges(&mut self, path: &str, privileges: &str) -> Result<(), Refused> {
        self.access.enabled_user(self.user, seconds(self.now)).map_err(|_| Refused)?;
        let path = normalize_path(path).ok_or(Refused)?;
        if self.ticket_user().is_none_or(|holder| holder != self.user) {
            self.challenge = None;
            self.authenticate()?;
        }
        let mut privileges = list(privileges).peekable();
        let has_all = privileges.peek().is_some() && privileges.all(|privilege| self.access.allows(self.user, &path, privilege));
        if has_all { Ok(()) } else { Err(Refused) }
    }

    fn ticket_user(&self) -> Option<String> {
        self.tickets.check(self.password, self.now, |user| self.access.ticket_lifetimes.get(user).copied())
    }

    /// By password, or by the answer to a challenge.
    fn authenticate(&mut self) -> Result<Owed, Refused> {
        let (_, realm) = self.user.rsplit_once('@').ok_or(Refused)?;
        let realm = self.access.realms().iter().find(|known| known.realm == realm).ok_or(Refused)?;
        // It was called so at first.
        let demanded = realm.demanded_factor().map(|factor| if factor == "oath" { "totp" } else { factor }.to_owned());
        let demanded = demanded.as_deref();
        if let Some(ticket) = self.challenge.filter(|ticket| is_true(ticket)) {
            return self.answer_challenge(ticket, demanded);
        }
        if !is_true(self.password) || self.access.passwords.get(self.user).is_none_or(|known| known != self.password) {
            return Err(Refused);
        }
        if self.access.version() < Version::V8_4 && !self.wants_new_format {
            return self.old_second_factor(demanded.is_some());
        }
        self.second_factor(demanded)
    }

    /// The second step, with the half ticket of the first.
    fn answer_challenge(&mut self, ticket: &str, demanded: Option<&str>) -> Result<Owed, Refused> {
        fits_demand(self.password, demanded)?;
        let lifetime = self.access.ticket_lifetimes.get(self.user).copied();
        if !self.tickets.is_second_factor_ticket(ticket, self.user, self.now, lifetime) {
            return Err(Refused);
        }
        self.verify(self.password)?;
        Ok(Owed::Nothing)
    }

    /// The first step. An answer that comes with it has to be right, and is asked for again all the same.
    fn second_factor(&mut self, demanded: Option<&str>) -> Result<Owed, Refused> {
        let factors = self.access.second_factors.get(self.user);
        if demanded == Some("yubico") {
            return Ok(Owed::Answer(factors.cloned().unwrap_or_default().yubico_challenge()));
        }
        let challenge = factors.and_then(SecondFactors::challenge);
        if let Some(answer) = self.otp {
            fits_demand(answer, demanded)?;
            if challenge.is_none() {
                return Err(Refused);
            }
            self.verify(answer)?;
        }
        match challenge {
            Some(challenge) => Ok(Owed::Answer(challenge)),
            None if demanded.is_some() => Err(Refused),
            None => Ok(Owed::Nothing),
        }
    }

    /// As before `new-format`: the code alone, at once or later. Who has other factors than codes cannot sign in so
    /// (`authenticate_2nd_old` of 7.4).
    fn old_second_factor(&mut self, is_demanded: bool) -> Result<Owed, Refused> {
        match (self.access.second_factors.get(self.user), self.otp) {
            (Some(factors), _) if !factors.recovery.is_empty() => Err(Refused),
            (Some(factors), None) if factors.totp.is_some() => Ok(Owed::Code),
            (Some(factors), Some(code)) if factors.totp.is_some() && !factors.fits(code, seconds(self.now)) => Err(Refused),
            (Some(factors), _) if factors.totp.is_some() => Ok(Owed::Nothing),
            _ if is_demanded => Err(Refused),
            _ => Ok(Owed::Nothing),
        }
    }

    fn verify(&mut self, answer: &str) -> Result<(), Refused> {
        let version = self.access.version();
        let factors = self.access.second_factors.get_mut(self.user).ok_or(Refused)?;
        if factors.verify(answer, seconds(self.now), version) { Ok(()) } else { Err(Refused) }
    }
}

/// Where the realm demands a kind of factor, it takes that or a recovery key.
fn fits_demand(answer: &str, demanded: Option<&str>) -> Result<(), Refused> {
    match (demanded, answer.split_once(':')) {
        (None, _) => Ok(()),
        (Some(demanded), Some((kind, _))) if kind == demanded || kind == "recovery" => Ok(()),
        _ => Err(Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::access::Realm;

    const NOW: Moment = 59_000;
    /// The code of RFC 6238 for 59 s.
    const CODE: &str = "totp:287082";

    fn access(version: Version) -> Access {
        let users =
            "user:u@pve:1:\nuser:two@pve:1:\nuser:off@pve:0:\nuser:gone@pve:1:5:\nuser:ldap@corp:1:\nacl:1:/vms:u@pve:PVEAuditor:\n";
        let mut access = Access::from_text(users, version);
        for user in ["root@pam", "u@pve", "two@pve", "off@pve", "gone@pve", "ldap@corp"] {
            access.passwords.insert(user.to_owned(), "secret".to_owned());
        }
        let totp = Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned());
        access.second_factors.insert("two@pve".to_owned(), SecondFactors { totp, ..SecondFactors::default() });
        access
    }

    fn attempt<'a>(access: &'a mut Access, tickets: &'a Tickets, user: &'a str, password: &'a str) -> SignIn<'a> {
        SignIn { access, tickets, now: NOW, user, password, otp: None, challenge: None, wants_new_format: true }
    }

    #[test]
    fn a_password_or_a_ticket_of_ones_own_or_of_root_opens_an_account() {
        let (mut access, tickets) = (access(Version::V9_2), Tickets::new().unwrap());
        let [own, root, other] = ["u@pve", "root@pam", "two@pve"].map(|user| tickets.ticket(user, NOW));
        for password in ["secret", &own, &root] {
            assert_eq!(attempt(&mut access, &tickets, "u@pve", password).create_ticket(), Ok(Owed::Nothing));
        }
        let wrong =
            [("u@pve", "other"), ("u@pve", ""), ("u@pve", &other), ("off@pve", "secret"), ("off@pve", &root), ("gone@pve", "secret")];
        for (user, password) in wrong.into_iter().chain([("ldap@corp", "secret"), ("u", "secret"), ("nobody@pve", "secret")]) {
            assert_eq!(attempt(&mut access, &tickets, user, password).create_ticket(), Err(Refused), "{user} {password}");
        }
    }

    #[test]
    fn a_second_factor_is_owed_until_its_challenge_is_answered() {
        let (mut access, tickets) = (access(Version::V9_2), Tickets::new().unwrap());
        let challenge = r#"{"totp":true}"#;
        assert_eq!(attempt(&mut access, &tickets, "two@pve", "secret").create_ticket(), Ok(Owed::Answer(challenge.to_owned())));
        let half = tickets.second_factor_ticket("two@pve", challenge, NOW);
        let whole = tickets.ticket("two@pve", NOW);
        let mut answer = |password, ticket| {
            let mut attempt = attempt(&mut access, &tickets, "two@pve", password);
            attempt.challenge = Some(ticket);
            attempt.create_ticket()
        };
        assert_eq!(answer("totp:000000", &half), Err(Refused));
        assert_eq!(answer("secret", &half), Err(Refused));
        assert_eq!(answer(CODE, &whole), Err(Refused));
        assert_eq!(answer(CODE, &half), Ok(Owed::Nothing));
        assert_eq!(answer(CODE, &half), Err(Refused), "the code was used");
    }

    #[test]
    fn an_answer_that_comes_at_once_is_asked_for_again() {
        let (mut access, tickets) = (access(Version::V9_2), Tickets::new().unwrap());
        let mut at_once = |user, otp| {
            let mut attempt = attempt(&mut access, &tickets, user, "secret");
            attempt.otp = Some(otp);
            attempt.create_ticket()
        };
        assert_eq!(at_once("two@pve", "287082"), Err(Refused));
        assert_eq!(at_once("two@pve", CODE), Ok(Owed::Answer(r#"{"totp":true}"#.to_owned())));
        assert_eq!(at_once("u@pve", CODE), Err(Refused), "there is nothing to answer");
    }

    #[test]
    fn old_clients_of_7_4_send_the_code_alone() {
        let (mut access, tickets) = (access(Version::V7_4), Tickets::new().unwrap());
        let mut old = |otp| {
            let mut attempt = attempt(&mut access, &tickets, "two@pve", "secret");
            (attempt.otp, attempt.wants_new_format) = (otp, false);
            attempt.create_ticket()
        };
        assert_eq!([old(None), old(Some("287082"))], [Ok(Owed::Code), Ok(Owed::Nothing)]);
        assert_eq!([old(Some("000000")), old(Some(CODE))], [Err(Refused), Err(Refused)]);
    }

    #[test]
    fn a_realm_that_demands_a_factor_refuses_users_without() {
        let (mut access, tickets) = (access(Version::V9_2), Tickets::new().unwrap());
        let tfa = Some("type=oath,step=30".to_owned());
        access.set_realms(vec![Realm { realm: "pve".to_owned(), tfa, ..Default::default() }]);
        assert_eq!(attempt(&mut access, &tickets, "u@pve", "secret").create_ticket(), Err(Refused));
        assert!(matches!(attempt(&mut access, &tickets, "two@pve", "secret").create_ticket(), Ok(Owed::Answer(_))));
    }

    #[test]
    fn privileges_are_verified_without_a_ticket() {
        let (mut access, tickets) = (access(Version::V9_2), Tickets::new().unwrap());
        let mut verify = |path, privileges| attempt(&mut access, &tickets, "u@pve", "secret").verify_privileges(path, privileges);
        assert_eq!(verify("/vms/100", "VM.Audit"), Ok(()));
        assert_eq!(verify("/vms/100", "VM.Audit,VM.PowerMgmt"), Err(Refused));
        assert_eq!([verify("/vms/1 0", "VM.Audit"), verify("/vms", ",")], [Err(Refused), Err(Refused)]);
    }
}
