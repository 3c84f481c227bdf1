//! What the client makes of the answers of a genuine Proxmox VE 8.4.1.
//!
//! Each recorded answer is played over TLS as it was: status line, headers, body. What the client says of it stands, in one line each,
//! in `recordings.txt`; that table was read by eye against REAL.md. `BLESS=1` writes it anew. The recordings are found in
//! `../shared/pve`, or in `$BERTH_PVE_DATA`; where they are not, nothing is checked. What the table does not know is checked too: what was
//! answered with 200 is read, what was refused has a cause.

use berth::proxmox::{
    Cause, Client, Connection, Error,
    client::{Address, Limits, SignIn, TaskFilter},
    create::{LxcConfigUpdate, LxcCreate, LxcDelete},
    ids::{NodeName, Upid, Vmid},
    ticket::Ticket,
    tls::{Fingerprint, Trust},
    wire::{ClusterResources, Rrd},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Debug, fs, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

const TABLE: &str = "tests/it/recordings.txt";

fn folder() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("BERTH_PVE_DATA").map_or_else(|| root.join("../shared/pve"), PathBuf::from);
    Some(data.join("recordings-8.4")).filter(|folder| folder.is_dir())
}

/// Answers every request with the bytes that were last chosen.
struct Player {
    address: Address,
    answer: watch::Sender<Vec<u8>>,
}

impl Player {
    async fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let trust = Trust::Pinned(Fingerprint::of(&certificate));
        let key = certified.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, chosen) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, chosen) = (acceptor.clone(), chosen.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(acceptor.accept(stream).await.unwrap());
                    let mut length = 0;
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        stream.read_line(&mut line).await.unwrap();
                        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                    }
                    stream.read_exact(&mut vec![0; length]).await.unwrap();
                    let answer = chosen.borrow().clone();
                    stream.write_all(&answer).await.unwrap();
                    stream.shutdown().await.unwrap();
                });
            }
        });
        Self { address: Address { host: "127.0.0.1".to_owned(), port, trust }, answer }
    }

    /// Chooses a recorded answer. The body is written anew from JSON, so its length may be another.
    fn play(&self, response: &Value) {
        let body = match (&response["body"], &response["body_text"]) {
            (Value::Null, Value::String(text)) => text.clone(),
            (Value::Null, _) => String::new(),
            (body, _) => body.to_string(),
        };
        let mut head = response["status_line"].as_str().unwrap().to_owned();
        for header in response["headers"].as_array().unwrap().iter().filter_map(Value::as_str) {
            let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if !matches!(name.as_str(), "content-length" | "content-encoding" | "transfer-encoding" | "connection") {
                head = format!("{head}\r\n{header}");
            }
        }
        let answer = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        self.answer.send_replace(answer.into_bytes());
    }
}

/// What the client made of an answer.
type Said = Result<String, Error>;

fn said(result: Result<impl Debug, Error>) -> Said {
    result.map(|value| format!("{value:?}"))
}

/// A list: how long, and its first entry.
fn counted<T: Debug>(result: Result<Vec<T>, Error>) -> Said {
    result.map(|list| match list.first() {
        Some(first) => format!("{} × {first:?}", list.len()),
        None => "none".to_owned(),
    })
}

/// The client's call for a recorded request, where it has one.
async fn call(connection: &Connection, client: &Client, method: &str, path: &str) -> Option<Said> {
    let node: NodeName = "pve1".parse().unwrap();
    let vmid: Vmid = 103.try_into().unwrap();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let update = LxcConfigUpdate { set: BTreeMap::from([("memory".to_owned(), "256".to_owned())]), ..LxcConfigUpdate::default() };
    let minute = Duration::from_secs(60);
    Some(match (method, parts.as_slice()) {
        ("POST", ["access", "ticket"]) => {
            let answer = connection.access_ticket(&"root@pam".parse().unwrap(), &"x".to_owned().into()).await;
            answer.map(|sign_in| match sign_in {
                SignIn::Ticket(ticket) => format!("a ticket of {}", ticket.user),
                SignIn::SecondFactor(challenge) => format!("a challenge, totp {}, recovery {}", challenge.totp, challenge.recovery),
            })
        }
        ("GET", ["access", "domains"]) => counted(connection.access_domains().await),
        ("GET", ["access", "permissions"]) => client
            .access_permissions()
            .await
            .map(|paths| paths.iter().map(|(path, privileges)| format!("{path}: {}", privileges.len())).collect::<Vec<_>>().join(", ")),
        ("GET", ["version"]) => said(client.version().await),
        ("GET", ["cluster", "resources"]) => counted(client.cluster_resources(ClusterResources::All).await),
        ("GET", ["cluster", "status"]) => counted(client.cluster_status().await),
        ("GET", ["cluster", "options"]) => said(client.cluster_options().await),
        ("GET", ["cluster", "nextid"]) => said(client.cluster_nextid(None).await),
        ("GET", ["cluster", "tasks"]) => counted(client.cluster_tasks().await),
        ("GET", ["nodes"]) => counted(client.nodes().await),
        ("GET", ["nodes", _, "status"]) => said(client.node_status(&node).await),
        ("GET", ["nodes", _, "rrddata"]) => {
            client.node_rrddata(&node, Rrd::Hour).await.map(|samples| format!("{} × …, last {:?}", samples.len(), samples.last()))
        }
        ("GET", ["nodes", _, "storage"]) => counted(client.node_storage(&node, None).await),
        ("GET", ["nodes", _, "storage", _, "content"]) => {
            counted(client.node_storage_content(&node, &"local".parse().unwrap(), None, None).await)
        }
        ("GET", ["nodes", _, "network"]) => counted(client.node_network(&node).await),
        ("GET", ["nodes", _, "lxc"]) => counted(client.lxc(&node).await),
        ("POST", ["nodes", _, "lxc"]) => said(client.lxc_create(&node, &LxcCreate::new(vmid, "local:vztmpl/x")).await),
        ("DELETE", ["nodes", _, "lxc", _]) => said(client.lxc_delete(&node, vmid, LxcDelete::default()).await),
        ("GET", ["nodes", _, "lxc", _, "status", "current"]) => said(client.lxc_status_current(&node, vmid).await),
        ("GET", ["nodes", _, "lxc", _, "config"]) => said(client.lxc_config(&node, vmid).await),
        ("PUT", ["nodes", _, "lxc", _, "config"]) => said(client.lxc_config_update(&node, vmid, &update).await),
        ("GET", ["nodes", _, "lxc", _, "pending"]) => counted(client.lxc_pending(&node, vmid).await),
        ("GET", ["nodes", _, "lxc", _, "snapshot"]) => said(client.lxc_snapshots(&node, vmid).await),
        ("GET", ["nodes", _, "lxc", _, "interfaces"]) => said(client.lxc_interfaces(&node, vmid).await),
        ("GET", ["nodes", _, "lxc", _, "rrddata"]) => counted(client.lxc_rrddata(&node, vmid, Rrd::Hour).await),
        ("POST", ["nodes", _, "lxc", _, "status", "start"]) => said(client.lxc_start(&node, vmid).await),
        ("POST", ["nodes", _, "lxc", _, "status", "stop"]) => said(client.lxc_stop(&node, vmid, false).await),
        ("POST", ["nodes", _, "lxc", _, "status", "shutdown"]) => said(client.lxc_shutdown(&node, vmid, minute, false).await),
        ("POST", ["nodes", _, "lxc", _, "status", "reboot"]) => said(client.lxc_reboot(&node, vmid, minute).await),
        ("GET", ["nodes", _, "tasks"]) => client.tasks(&node, &TaskFilter::default()).await.map(|(tasks, total)| {
            let first = tasks.first().map_or_else(|| "none".to_owned(), |task| format!("{task:?}"));
            format!("{} of {total} × {first}", tasks.len())
        }),
        ("GET", ["nodes", _, "tasks", _, "status"]) => said(client.task_status(&upid()).await),
        ("GET", ["nodes", _, "tasks", _, "log"]) => client
            .task_log(&upid(), 0, 50)
            .await
            .map(|(lines, total)| format!("{} of {total}, last {:?}", lines.len(), lines.last().map(|line| (line.n, &line.t)))),
        ("DELETE", ["nodes", _, "tasks", _]) => said(client.task_abort(&upid()).await),
        _ => return None,
    })
}

fn upid() -> Upid {
    "UPID:pve1:00000741:00029807:6B0325C5:vzstart:103:admin@pve:".parse().unwrap()
}

/// One line, not too long.
fn line(said: &Said) -> String {
    let text = match said {
        Ok(value) => value.clone(),
        Err(error) => format!("Err({:?})", error.cause),
    };
    let mut line: String = text.chars().take(240).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

#[tokio::test]
async fn every_recorded_answer_is_read_as_it_was_meant() {
    let Some(folder) = folder() else {
        println!("skipped: no recordings in ../shared/pve, and BERTH_PVE_DATA names none");
        return;
    };
    let player = Player::start().await;
    let limits = Limits { tries: 1, ..Limits::default() };
    let connection = Connection::with_limits(std::slice::from_ref(&player.address), limits).unwrap();
    let mut lines = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let recording: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        // a timeline is no exchange
        let Some(request) = recording["request"]["request_line"].as_str() else { continue };
        let (method, target) = request.split_once(' ').unwrap();
        let Some(path) = target.split([' ', '?']).next().and_then(|path| path.strip_prefix("/api2/json/")) else { continue };
        player.play(&recording["response"]);
        // a ticket that was refused once is dead to its client
        let client = connection.with(Ticket::new("admin@pve".parse().unwrap(), "PVE:x".to_owned(), "x".to_owned()));
        let Some(said) = call(&connection, &client, method, path).await else { continue };
        let name = recording["name"].as_str().unwrap().to_owned();
        let fits = match (&said, recording["response"]["status"].as_u64()) {
            (Ok(_), Some(200)) => true,
            // of a log that is not there Proxmox says so with 200 (REAL.md, Tasks)
            (Err(error), Some(200)) => matches!(error.cause, Cause::NotFound { .. }),
            (Err(error), _) => !matches!(error.cause, Cause::Protocol(_) | Cause::Unreachable(_) | Cause::TimedOut(_)),
            (Ok(_), _) => false,
        };
        if !fits {
            wrong.push(format!("{name}: {} for {}", line(&said), recording["response"]["status_line"]));
        }
        lines.insert(name, line(&said));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let table = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if std::env::var_os("BLESS").is_some() {
        let text: String = lines.iter().map(|(name, line)| format!("{name} → {line}\n")).collect();
        fs::write(&table, text).unwrap();
    }
    for known in fs::read_to_string(&table).unwrap().lines() {
        let (name, expected) = known.split_once(" → ").expect("a line of the table");
        if let Some(line) = lines.get(name) {
            assert_eq!(line, expected, "{name}; BLESS=1 takes it over");
        }
    }
    println!("{} recorded answers read", lines.len());
}
