//! The simulator over its socket, asked by a client that knows TLS and nothing else.

use super::*;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

async fn stepped() -> Simulator {
    Simulator::start(Options { stepped: true, ..Options::default() }).await.unwrap()
}

/// Trusts one fingerprint; a careless one does not check who signed the handshake.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    is_careless: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if tls::fingerprint(certificate) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("pin".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.is_careless {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            verify_tls12_signature(m, c, d, &self.provider.signature_verification_algorithms)
        }
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.is_careless {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            verify_tls13_signature(m, c, d, &self.provider.signature_verification_algorithms)
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// One request on one connection; the bytes of the answer as far as they came.
async fn raw(simulator: &Simulator, fingerprint: &str, is_careless: bool, request: &str) -> io::Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pinned { fingerprint: fingerprint.to_owned(), is_careless, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let stream = TcpStream::connect(simulator.addr()).await?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A connection that is cut gives an error after what came before it.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(answer)
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    reason: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn data(&self) -> Value {
        self.json()["data"].clone()
    }
}

/// Somebody with or without a ticket.
#[derive(Clone)]
struct Client {
    simulator: Simulator,
    headers: String,
}

impl Client {
    fn stranger(simulator: &Simulator) -> Self {
        Self { simulator: simulator.clone(), headers: String::new() }
    }

    async fn sign_in(simulator: &Simulator, user: &str) -> Self {
        let form = format!("username={}&password=berth", user.replace('@', "%40"));
        let answer = Self::stranger(simulator).call("POST", "/api2/json/access/ticket", &form).await.unwrap().data();
        let [ticket, csrf] = ["ticket", "CSRFPreventionToken"].map(|key| answer[key].as_str().unwrap().to_owned());
        let cookie = percent_encoding::utf8_percent_encode(&ticket, percent_encoding::NON_ALPHANUMERIC);
        Self { simulator: simulator.clone(), headers: format!("Cookie: PVEAuthCookie={cookie}\r\nCSRFPreventionToken: {csrf}\r\n") }
    }

    /// `None` when the connection ended without an answer.
    async fn call(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/x-www-form-urlencoded\r\n" };
        let kind = if body.starts_with('{') { "Content-Type: application/json\r\n" } else { kind };
        let headers = &self.headers;
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{body}");
        let answer = raw(&self.simulator, &self.simulator.fingerprint(), false, &request).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (status, reason) = head.lines().next()?.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
        Some(Answer { status: status.parse().unwrap(), reason: reason.to_owned(), body: body.to_owned() })
    }

    async fn get(&self, path: &str) -> Answer {
        self.call("GET", &format!("/api2/json{path}"), "").await.unwrap()
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", &format!("/api2/json{path}"), body).await.unwrap()
    }
}

#[tokio::test]
async fn somebody_signs_in_and_starts_a_container() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    let rows = alice.get("/cluster/resources?type=vm").await.data();
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == "web").unwrap().clone();
    assert_eq!((&row["id"], &row["status"], &row["node"]), (&json!("lxc/103"), &json!("stopped"), &json!("pve1")));

    let upid = alice.post("/nodes/pve1/lxc/103/status/start", "").await.data();
    let task = format!("/nodes/pve1/tasks/{}", upid.as_str().unwrap().replace(':', "%3A").replace('@', "%40"));
    assert_eq!(alice.get(&format!("{task}/status")).await.data()["status"], "running");
    assert_eq!(alice.get("/nodes/pve1/tasks?source=all&vmid=103").await.data()[0]["status"], "RUNNING");
    assert_eq!(alice.get(&format!("{task}/log")).await.json(), json!({ "data": [{ "n": 1, "t": "no content" }], "total": 1 }));
    simulator.finish_tasks();
    assert_eq!(alice.get(&format!("{task}/status")).await.data()["exitstatus"], "OK");
    assert_eq!(alice.get(&format!("{task}/log")).await.data(), json!([{ "n": 1, "t": "TASK OK" }]));
    let status = alice.get("/nodes/pve1/lxc/103/status/current").await.data();
    assert_eq!((&status["status"], &status["ha"]), (&json!("running"), &json!({ "managed": 0 })));
    let again = alice.post("/nodes/pve1/lxc/103/status/start", "{}").await;
    assert_eq!((again.status, again.reason.as_str()), (500, "CT 103 already running"));
    assert_eq!(again.json()["message"], "CT 103 already running\n");
    assert_eq!(simulator.unknown_requests(), Vec::<String>::new());
}

#[tokio::test]
async fn who_is_not_signed_in_gets_an_empty_401() {
    let simulator = stepped().await;
    let stranger = Client::stranger(&simulator);
    let refused = |answer: Answer| (answer.status, answer.reason, answer.body);
    assert_eq!(refused(stranger.get("/version").await), (401, "No ticket".into(), String::new()));
    assert_eq!(stranger.get("/access/domains").await.data().as_array().unwrap().len(), 3);
    let bad = stranger.post("/access/ticket", "username=alice%40pve&password=wrong").await;
    assert_eq!((bad.reason.as_str(), &bad.json()["message"]), ("authentication failure", &json!("authentication failure\n")));
    assert_eq!(stranger.post("/access/ticket", "username=disabled%40pve&password=berth").await.status, 401);
    let missing = stranger.post("/access/ticket", "username=alice%40pve").await;
    assert_eq!(missing.json()["errors"], json!({ "password": "property is missing and it is not optional" }));

    let mut alice = Client::sign_in(&simulator, "alice@pve").await;
    let cookie = alice.headers.clone();
    alice.headers = cookie.split_inclusive("\r\n").next().unwrap().to_owned();
    let no_csrf = alice.post("/nodes/pve1/lxc/103/status/start", "").await;
    assert_eq!(refused(no_csrf), (401, "Permission denied - invalid csrf token".into(), String::new()));
    assert_eq!(alice.get("/version").await.data()["version"], "8.4.1");
    simulator.expire_tickets();
    assert_eq!(refused(alice.get("/version").await), (401, "permission denied - invalid PVE ticket".into(), String::new()));

    let expired = Client::sign_in(&simulator, "expired@pve").await;
    assert_eq!(expired.get("/version").await.status, 200);
    simulator.advance(Duration::from_secs(61));
    assert_eq!(expired.get("/version").await.status, 401);
}

#[tokio::test]
async fn a_ticket_renews_itself_and_a_second_factor_is_asked_for() {
    let simulator = stepped().await;
    let stranger = Client::stranger(&simulator);
    let first = stranger.post("/access/ticket", "username=root&realm=pam&password=berth").await.data();
    assert_eq!((&first["username"], &first["clustername"]), (&json!("root@pam"), &json!("demo")));
    assert_eq!(first["cap"]["vms"]["VM.PowerMgmt"], 1);
    let ticket = first["ticket"].as_str().unwrap();
    assert_eq!(ticket.len(), "PVE:root@pam:6B0325C5::".len() + 344);
    simulator.advance(Duration::from_secs(7_000));
    let again = stranger.post("/access/ticket", &json!({ "username": "root@pam", "password": ticket, "otp": null }).to_string()).await;
    assert_ne!(again.data()["ticket"], first["ticket"]);
    let half = stranger.post("/access/ticket", "username=twofactor%40pve&password=berth").await.data();
    assert!(half["NeedTFA"] == 1 && half["ticket"].as_str().unwrap().starts_with("PVE:!tfa!") && half.get("cap").is_none());
}

#[tokio::test]
async fn permissions_come_before_parameters_and_rows_without_them_are_left_out() {
    let simulator = stepped().await;
    let bob = Client::sign_in(&simulator, "bob@pve").await;
    let refused = bob.post("/nodes/pve1/lxc/104/status/stop", "bogus=1").await;
    assert_eq!((refused.status, refused.reason.as_str()), (403, "Permission check failed (/vms/104, VM.PowerMgmt)"));
    let wrong = bob.post("/nodes/pve1/lxc/103/status/shutdown", "timeout=abc&bogus=1").await;
    assert_eq!((wrong.status, wrong.reason.as_str()), (400, "Parameter verification failed."));
    assert_eq!(wrong.json()["errors"]["timeout"], "type check ('integer') failed - got 'abc'");
    let names = |rows: Value| rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let rows = names(bob.get("/cluster/resources").await.data());
    assert_eq!(rows, ["lxc/103", "lxc/106", "lxc/201", "node/pve1", "node/pve2", "node/pve3"]);
    let permissions = bob.get("/access/permissions").await.data();
    assert_eq!(permissions.as_object().unwrap().keys().collect::<Vec<_>>(), ["/vms/103", "/vms/106", "/vms/201"]);
    let skips = Client::sign_in(&simulator, "alice@pve").await.post("/nodes/pve1/lxc/119/status/stop", "skiplock=1").await;
    assert_eq!(skips.json()["errors"]["skiplock"], "Only root may use this option.");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_proxmox_says_it() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    let said = |answer: Answer| (answer.status, answer.reason);
    let path = "/api2/json/nodes/pve1/lxc/103";
    assert_eq!(said(alice.call("DELETE", path, "purge=1").await.unwrap()), (501, "Unexpected content for method 'DELETE'".into()));
    assert_eq!(said(alice.get("/nosuch").await), (501, "Method 'GET /nosuch' not implemented".into()));
    assert_eq!(simulator.unknown_requests(), ["GET /nosuch"]);
    let offline = alice.get("/nodes/pve3/lxc").await;
    assert_eq!((offline.status, offline.reason.as_str(), offline.body.as_str()), (595, "No route to host", ""));
    let text = "hostname lookup 'nope' failed - failed to get address info for: nope: Name or service not known";
    assert_eq!(said(alice.get("/nodes/nope/lxc").await), (500, text.into()));
    let missing = "Configuration file 'nodes/pve1/lxc/122.conf' does not exist";
    assert_eq!(said(alice.get("/nodes/pve1/lxc/122/status/current").await), (500, missing.into()));
    assert!(serde_json::from_str::<Value>(&alice.get("/nodes/pve1/lxc/121/status/current").await.body).is_err());
    let upid = "UPID%3Apve1%3A00000001%3A00000001%3A6B032421%3Avzstart%3A101%3Aalice%40pve%3A";
    assert_eq!(alice.get(&format!("/nodes/pve1/tasks/{upid}/status")).await.json()["errors"]["upid"], "no such task");
    assert_eq!(alice.get(&format!("/nodes/pve1/tasks/{upid}/log")).await.data()["t"], "unable to open file - No such file or directory");
    let rows = alice.get("/cluster/resources?type=vm").await.data();
    let row = rows.as_array().unwrap().iter().find(|row| row["vmid"] == 302).unwrap();
    assert_eq!(row, &json!({ "id": "lxc/302", "vmid": 302, "node": "pve3", "type": "lxc", "status": "unknown" }));
}

#[tokio::test]
async fn reads_wait_for_a_start_and_give_up_after_thirty_seconds() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    alice.post("/nodes/pve2/lxc/217/status/start", "").await;
    let reading = |path: &'static str| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.get(path).await })
    };
    let (status, list) = (reading("/nodes/pve2/lxc/217/status/current"), reading("/nodes/pve2/lxc"));
    simulator.wait_for_requests(|log| log.iter().filter(|request| request.status.is_none()).count() == 2).await;
    assert_eq!(alice.get("/nodes/pve2/lxc/201/status/current").await.status, 200);
    simulator.advance(Duration::from_secs(30));
    for answer in [status.await.unwrap(), list.await.unwrap()] {
        assert_eq!((answer.status, answer.reason.as_str(), answer.body.as_str()), (596, "Connection timed out", ""));
    }
    let list = reading("/nodes/pve2/lxc");
    simulator.wait_for_requests(|log| log.iter().any(|request| request.status.is_none())).await;
    simulator.finish_tasks();
    assert_eq!(list.await.unwrap().status, 200);
    assert_eq!(simulator.container_status(217), Some(Status::Running));
}

#[tokio::test]
async fn three_reads_that_wait_use_up_the_daemon_and_the_proxy_goes_on() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    alice.post("/nodes/pve2/lxc/217/status/start", "").await;
    let reading = |path: &'static str| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.get(path).await })
    };
    let waiting = [0; 3].map(|_| reading("/nodes/pve2/lxc/217/status/current"));
    simulator.wait_for_requests(|log| log.iter().filter(|request| request.status.is_none()).count() == 3).await;
    let storages = reading("/nodes/pve2/storage");
    simulator.wait_for_requests(|log| log.iter().filter(|request| request.status.is_none()).count() == 4).await;
    assert_eq!(alice.get("/cluster/resources").await.status, 200);
    assert_eq!(alice.get("/nodes/pve2/lxc/217/config").await.status, 200);
    simulator.finish_tasks();
    for answer in waiting.into_iter().chain([storages]) {
        assert_eq!(answer.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_container_lives_from_its_creation_to_its_end() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    let exit = async |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let upid = answer.data().as_str().unwrap().to_owned();
        simulator.finish_tasks();
        let path = format!("/nodes/pve1/tasks/{}/status", upid.replace(':', "%3A").replace('@', "%40"));
        alice.get(&path).await.data()["exitstatus"].as_str().unwrap().to_owned()
    };
    let vmid = alice.get("/cluster/nextid").await.data();
    assert_eq!(vmid, "100");
    let wish = "vmid=100&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&rootfs=local-lvm:4&net0=name%3Deth0,bridge%3Dvmbr0,ip%3Ddhcp";
    let created = alice.post("/nodes/pve1/lxc", wish).await;
    assert_eq!(alice.get("/nodes/pve1/lxc/100/status/current").await.data()["lock"], "create");
    assert_eq!(alice.post("/nodes/pve1/lxc", wish).await.reason, "CT 100 already exists on node 'pve1'");
    assert_eq!(exit(created).await, "OK");
    let config = alice.get("/nodes/pve1/lxc/100/config").await.data();
    assert_eq!((&config["hostname"], &config["rootfs"]), (&json!("CT100"), &json!("local-lvm:vm-100-disk-0,size=4G")));
    assert!(config.get("lock").is_none() && config["net0"].as_str().unwrap().contains("hwaddr=BC:24:11:"), "{config}");

    let path = "/api2/json/nodes/pve1/lxc/100";
    assert_eq!(exit(alice.post("/nodes/pve1/lxc/100/status/start", "").await).await, "OK");
    let put = async |body: &str| alice.call("PUT", &format!("{path}/config"), body).await.unwrap();
    assert_eq!(put("nameserver=9.9.9.9&digest=0123456789012345678901234567890123456789").await.status, 500);
    assert_eq!(put("nameserver=9.9.9.9").await.status, 200);
    let pending = alice.get("/nodes/pve1/lxc/100/pending").await.data();
    assert!(pending.as_array().unwrap().contains(&json!({ "key": "nameserver", "pending": "9.9.9.9" })), "{pending}");
    assert_eq!(alice.call("DELETE", path, "").await.unwrap().reason, "unable to destroy CT 100 - container is running");
    assert_eq!(exit(alice.post("/nodes/pve1/lxc/100/status/stop", "").await).await, "OK");
    assert_eq!(alice.get("/nodes/pve1/lxc/100/config?current=1").await.data()["nameserver"], "9.9.9.9");
    assert_eq!(exit(alice.call("DELETE", &format!("{path}?purge=1"), "").await.unwrap()).await, "OK");
    assert_eq!(alice.get("/nodes/pve1/lxc/100/config").await.reason, "Configuration file 'nodes/pve1/lxc/100.conf' does not exist");
}

#[tokio::test]
async fn a_change_waits_for_the_lock_file_and_gives_up_after_ten_seconds() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    alice.post("/nodes/pve1/lxc/116/status/shutdown", "timeout=60").await;
    let change = tokio::spawn({
        let alice = alice.clone();
        async move { alice.call("PUT", "/api2/json/nodes/pve1/lxc/116/config", "description=late").await.unwrap() }
    });
    simulator.wait_for_requests(|log| log.last().is_some_and(|request| request.method == "PUT" && request.status.is_none())).await;
    simulator.advance(Duration::from_secs(10));
    assert_eq!(change.await.unwrap().reason, "can't lock file '/run/lock/lxc/pve-config-116.lock' - got timeout");
}

#[tokio::test]
async fn a_creation_that_is_stopped_leaves_nothing_behind() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    let wish = "vmid=100&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&rootfs=local-lvm:4";
    let upid = alice.post("/nodes/pve1/lxc", wish).await.data().as_str().unwrap().replace(':', "%3A").replace('@', "%40");
    simulator.advance(Duration::from_millis(500));
    assert_eq!(alice.call("DELETE", &format!("/api2/json/nodes/pve1/tasks/{upid}"), "").await.unwrap().data(), Value::Null);
    simulator.advance(Duration::from_secs(5));
    let exit = alice.get(&format!("/nodes/pve1/tasks/{upid}/status")).await.data()["exitstatus"].as_str().unwrap().to_owned();
    assert!(exit.starts_with("unable to create CT 100 - ") && exit.ends_with("received interrupt"), "{exit}");
    assert_eq!(alice.get("/nodes/pve1/lxc/100/config").await.status, 500);
    let disks = alice.get("/nodes/pve1/storage/local-lvm/content?vmid=100").await.data();
    assert_eq!(disks, json!([]));
}

#[tokio::test]
async fn a_token_acts_without_a_csrf_token_and_within_its_own_rights() {
    let simulator = stepped().await;
    let token =
        |id: &str, secret: &str| Client { simulator: simulator.clone(), headers: format!("Authorization: PVEAPIToken={id}={secret}\r\n") };
    let alices = token("alice@pve!berth", "0b1e55ed-0000-4000-8000-00000000be27");
    let upid = alices.post("/nodes/pve1/lxc/103/status/start", "").await.data();
    assert!(upid.as_str().unwrap().ends_with(":vzstart:103:alice@pve!berth:"), "{upid}");
    let task = &alices.get("/nodes/pve1/tasks?source=active").await.data()[0];
    assert_eq!((&task["user"], &task["tokenid"]), (&json!("alice@pve"), &json!("berth")));
    let readonly = token("root@pam!readonly", "0b1e55ed-0000-4000-8000-00000000a0d1");
    assert_eq!(readonly.post("/nodes/pve1/lxc/104/status/stop", "").await.reason, "Permission check failed (/vms/104, VM.PowerMgmt)");
    assert_eq!(token("alice@pve!berth", "wrong").get("/version").await.reason, "invalid token value!");
    assert_eq!(token("alice@pve!nosuch", "x").get("/version").await.reason, "no such token 'nosuch' for user 'alice@pve'");
}

#[tokio::test]
async fn a_second_factor_opens_and_a_recovery_key_opens_once() {
    let simulator = stepped().await;
    let stranger = Client::stranger(&simulator);
    let answer = async |password: &str| {
        let half = stranger.post("/access/ticket", "username=twofactor%40pve&password=berth&new-format=1").await.data();
        let body = json!({ "username": "twofactor@pve", "tfa-challenge": half["ticket"], "password": password });
        stranger.post("/access/ticket", &body.to_string()).await
    };
    assert_eq!(answer("recovery:0000-0000-0000-0000").await.status, 401);
    let key = "recovery:1111-2222-3333-4444";
    assert!(answer(key).await.data()["cap"].is_object());
    assert_eq!(answer(key).await.status, 401);
}

#[tokio::test]
async fn each_release_answers_in_its_own_way() {
    let simulator = stepped().await;
    let load = |version| simulator.load(File { version, ..File::demo() }).unwrap();
    let mut interfaces = Vec::new();
    for version in [version::Version::V7_4, version::Version::V8_4, version::Version::V9_2] {
        load(version);
        let alice = Client::sign_in(&simulator, "alice@pve").await;
        interfaces.push(alice.get("/nodes/pve1/lxc/101/interfaces").await.status);
        let error = alice.post("/nodes/pve1/lxc/101/status/start", "").await;
        assert_eq!(error.reason, "CT 101 already running");
        assert_eq!(error.json().get("message").is_some(), version >= version::Version::V8_4);
        let points = alice.get("/nodes/pve1/lxc/101/rrddata?timeframe=day").await.data().as_array().unwrap().len();
        assert_eq!(points, if version >= version::Version::V9_2 { 1440 } else { 70 });
        let forged = Client { headers: "Cookie: PVEAuthCookie=PVE:x\r\n".to_owned(), ..alice.clone() };
        let reason = if version >= version::Version::V9_2 { "Authentication failed!" } else { "permission denied - invalid PVE ticket" };
        assert_eq!(forged.get("/version").await.reason, reason);
    }
    assert_eq!(interfaces, [501, 200, 200]);
}

#[tokio::test]
async fn a_node_whose_daemon_is_down_answers_what_its_proxy_knows() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    simulator.fault(Fault::new(FaultAction::DaemonDown));
    assert_eq!(alice.get("/cluster/resources").await.status, 200);
    assert_eq!(alice.get("/nodes/pve1/lxc/101/config").await.status, 200);
    let refused = alice.post("/nodes/pve1/lxc/103/status/start", "").await;
    assert_eq!((refused.status, refused.reason.as_str(), refused.body.as_str()), (595, "Connection refused", ""));
    simulator.clear_faults();
    simulator.fault(Fault::new(FaultAction::FailTask { text: "storage 'nas' is not online".to_owned() }).method("POST").times(1));
    alice.post("/nodes/pve1/lxc/103/status/start", "").await;
    simulator.finish_tasks();
    assert_eq!(alice.get("/nodes/pve1/tasks?vmid=103").await.data()[0]["status"], "storage 'nas' is not online");
    assert_eq!(simulator.container_status(103), Some(Status::Stopped));
}

#[tokio::test]
async fn faults_do_what_they_say() {
    let simulator = stepped().await;
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    let once = |action| simulator.fault(Fault::new(action).times(1));
    let version = || alice.call("GET", "/api2/json/version", "");

    once(FaultAction::Refuse);
    assert!(version().await.is_none());
    once(FaultAction::Status { code: 595, reason: "Connection refused".to_owned() });
    let answer = version().await.unwrap();
    assert_eq!((answer.status, answer.reason.as_str(), answer.body.as_str()), (595, "Connection refused", ""));
    once(FaultAction::Garbage);
    let answer = version().await.unwrap();
    assert!(answer.status == 200 && serde_json::from_str::<Value>(&answer.body).is_err());
    once(FaultAction::Html);
    assert!(version().await.unwrap().body.starts_with("<!DOCTYPE html>"));
    once(FaultAction::Drop);
    assert!(version().await.unwrap().body.len() < 60);
    once(FaultAction::TooLarge { bytes: 200_000 });
    assert!(version().await.unwrap().body.len() > 200_000);

    simulator.fault(Fault::new(FaultAction::LoseAnswer).method("POST").path_contains("status/start").times(1));
    assert!(alice.call("POST", "/api2/json/nodes/pve1/lxc/103/status/start", "").await.is_none());
    assert_eq!(simulator.running_tasks().len(), 1);

    simulator.fault(Fault::new(FaultAction::Hang).path_prefix("/version"));
    let hanging = tokio::spawn({
        let alice = alice.clone();
        async move { alice.get("/version").await }
    });
    simulator.wait_for_requests(|log| log.last().is_some_and(|request| request.path == "/version" && request.status.is_none())).await;
    assert_eq!(alice.get("/nodes").await.status, 200);
    simulator.clear_faults();
    assert_eq!(hanging.await.unwrap().status, 200);
}

#[tokio::test]
async fn certificates_can_be_exchanged_and_a_wrong_key_fools_only_the_careless() {
    let simulator = stepped().await;
    let request = "GET /api2/json/access/domains HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let original = simulator.fingerprint();
    assert!(raw(&simulator, &original, false, request).await.is_ok());
    simulator.set_certificate(CertificateMode::WrongKey).unwrap();
    assert!(raw(&simulator, &original, false, request).await.is_err());
    assert!(raw(&simulator, &original, true, request).await.unwrap().starts_with(b"HTTP/1.1 200 OK"));
    simulator.set_certificate(CertificateMode::New).unwrap();
    assert!(raw(&simulator, &original, true, request).await.is_err());
    assert!(raw(&simulator, &simulator.fingerprint(), false, request).await.is_ok());
}

#[tokio::test]
async fn it_can_stop_listening_and_begin_again() {
    let simulator = stepped().await;
    simulator.stop_listening().await;
    assert_eq!(TcpStream::connect(simulator.addr()).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    simulator.resume_listening().await;
    assert_eq!(Client::stranger(&simulator).get("/access/domains").await.status, 200);
    let addr = simulator.addr();
    simulator.shutdown().await;
    simulator.resume_listening().await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn who_comes_without_tls_is_sent_to_https() {
    let simulator = stepped().await;
    let mut stream = TcpStream::connect(simulator.addr()).await.unwrap();
    stream.write_all(b"GET /api2/json/version HTTP/1.1\r\nHost: pve1:8006\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 301 Moved Permanently\r\n"), "{answer}");
    assert!(answer.contains("Location: https://pve1:8006/api2/json/version\r\n"), "{answer}");
}

#[tokio::test]
async fn the_control_side_is_only_there_when_wanted() {
    let closed = stepped().await;
    assert_eq!(Client::stranger(&closed).call("GET", "/sim/requests", "").await.unwrap().status, 500);

    let simulator =
        Simulator::start(Options { control: true, stepped: true, marker: Some("MARK".into()), ..Options::default() }).await.unwrap();
    let anyone = Client::stranger(&simulator);
    let control = async |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        anyone.call(method, path, &body).await.unwrap()
    };
    let alice = Client::sign_in(&simulator, "alice@pve").await;
    assert_eq!(control("POST", "/sim/container", json!({ "vmid": 103, "lock": "snapshot" })).await.status, 200);
    alice.post("/nodes/pve1/lxc/103/status/start", "").await;
    assert_eq!(control("POST", "/sim/advance", json!({ "seconds": 10 })).await.status, 200);
    let task = &alice.get("/nodes/pve1/tasks?vmid=103").await.data()[0];
    assert_eq!(task["status"], "CT is locked (snapshot) MARK");
    let log = control("GET", "/sim/requests", Value::Null).await.json();
    assert_eq!((&log["unknown"], &log["requests"][0]["params"]["password"]), (&json!(0), &json!("(secret)")));
    assert_eq!(control("POST", "/sim/container", json!({ "vmid": 103, "lock": null, "status": "running" })).await.status, 200);
    assert_eq!(simulator.container_status(103), Some(Status::Running));
    assert_eq!(control("POST", "/sim/fault", json!({ "action": { "kind": "explode" } })).await.status, 400);
    assert_eq!(control("POST", "/sim/container", json!({ "vmid": 999, "lock": "x" })).await.status, 404);
}
