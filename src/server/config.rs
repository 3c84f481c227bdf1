//! The configuration: flags, then the environment, then a file, then the defaults; the first that says something wins.
//!
//! [`Arguments`] with its [`Settings`] is the one documented list: `berth --help` prints it, `berth.toml` says the settings; a test holds
//! the README's table and the example against it.

use super::pace::Pace;
use crate::proxmox::{
    client::{Address, Limits},
    ids::ClusterName,
    tls::{Fingerprint, Trust},
};
use clap::Parser;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// The web app for people who run LXC containers on Proxmox VE.
///
/// Every setting is a flag, an environment variable or a line of the file given by --config; the first of these that says something
/// wins. Clusters stand in the file only.
#[derive(Debug, Default, Parser)]
#[command(name = "berth", version)]
pub struct Arguments {
    /// The file with the settings and the clusters, in TOML.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Start with a simulated cluster, to look around. Nothing is kept.
    #[arg(long, env = "BERTH_DEMO", conflicts_with = "config")]
    pub demo: bool,
    /// Print a commented configuration and end.
    #[arg(long, env = "BERTH_EXAMPLE_CONFIG")]
    pub example_config: bool,
    /// How fast time passes in the demo's cluster; 1 is as recorded from a real one.
    #[arg(long, env = "BERTH_DEMO_SPEED", value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub demo_speed: f64,
    /// What a file can say too.
    #[command(flatten)]
    pub settings: Settings,
}

/// The commented configuration.
pub const EXAMPLE: &str = include_str!("berth.example.toml");

fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s| (0.1..=1000.0).contains(s)).ok_or_else(|| "a number from 0.1 to 1000 is allowed".to_owned())
}

/// Every setting, each of them optional: what a flag, a variable and a line of the file can say.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where to listen: an IP address and a port. [default: 127.0.0.1:3000]
    #[arg(long, env = "BERTH_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The address by which browsers reach Berth, where a proxy stands before it. With https the cookie is marked Secure.
    #[arg(long, env = "BERTH_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,
    /// Where Berth keeps its database and its key. [default: berth-data, where it is started]
    #[arg(long, env = "BERTH_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A PostgreSQL database in place of the SQLite file: postgres://user:password@host/name
    #[arg(long, env = "BERTH_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,
    /// The key that secrets are sealed with, made at the first start. [default: key in the data directory]
    #[arg(long, env = "BERTH_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// What is logged: error, warn, info, debug or trace, also by module, as in `berth::proxmox=debug,info`. [default: info]
    #[arg(long, env = "BERTH_LOG", value_name = "FILTER")]
    pub log: Option<LogFilter>,
    /// The directory with the built site, where it is not part of the program (development only).
    #[arg(long, env = "BERTH_SITE", value_name = "DIR")]
    pub site: Option<PathBuf>,
    /// How long a start may take before it counts as late, in seconds. [default: 30]
    #[arg(long, env = "BERTH_START_WAIT", value_name = "SECONDS", value_parser = seconds())]
    pub start_wait: Option<u64>,
    /// How long a hard stop may take before it counts as late, in seconds. [default: 30]
    #[arg(long, env = "BERTH_STOP_WAIT", value_name = "SECONDS", value_parser = seconds())]
    pub stop_wait: Option<u64>,
    /// How long Proxmox waits for a clean shutdown before it stops hard, in seconds. [default: 60]
    #[arg(long, env = "BERTH_SHUTDOWN_TIMEOUT", value_name = "SECONDS", value_parser = seconds())]
    pub shutdown_timeout: Option<u64>,
    /// How long Berth waits for the end of that before it stops hard itself, in seconds; longer than shutdown_timeout. [default: 90]
    #[arg(long, env = "BERTH_SHUTDOWN_WAIT", value_name = "SECONDS", value_parser = seconds())]
    pub shutdown_wait: Option<u64>,
    /// The same as shutdown_timeout, of the shutdown that a restart begins with, in seconds. [default: 30]
    #[arg(long, env = "BERTH_RESTART_TIMEOUT", value_name = "SECONDS", value_parser = seconds())]
    pub restart_timeout: Option<u64>,
    /// The same as shutdown_wait, of the shutdown that a restart begins with, in seconds. [default: 60]
    #[arg(long, env = "BERTH_RESTART_WAIT", value_name = "SECONDS", value_parser = seconds())]
    pub restart_wait: Option<u64>,
    /// How long a deletion may take before it counts as late, in seconds. [default: 60]
    #[arg(long, env = "BERTH_DELETE_WAIT", value_name = "SECONDS", value_parser = seconds())]
    pub delete_wait: Option<u64>,
    /// The clusters; the first is offered first.
    #[arg(skip)]
    #[serde(default, rename = "cluster")]
    pub clusters: Vec<ClusterSettings>,
}

/// A `[[cluster]]` of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSettings {
    /// What Berth calls it: letters, digits, `-`, `_` and `.`, at most 40.
    pub name: ClusterName,
    /// The name or the IP address of one of its nodes.
    pub host: String,
    /// [default: 8006]
    #[serde(default = "port")]
    pub port: u16,
    /// The SHA-256 fingerprint of the node's certificate, as Proxmox shows it under Certificates: then exactly this one is trusted.
    pub fingerprint: Option<Fingerprint>,
    /// A PEM file with the CA that signed the node's certificate. Without this and `fingerprint`, the system's roots decide.
    pub ca_file: Option<PathBuf>,
    /// More nodes of the cluster, each tried where the one before it is down.
    #[serde(default)]
    pub addresses: Vec<AddressSettings>,
}

/// One of the `addresses` of a `[[cluster]]`. Each node has a certificate of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressSettings {
    /// The name or the IP address of a node.
    pub host: String,
    /// [default: 8006]
    #[serde(default = "port")]
    pub port: u16,
    /// As of a cluster.
    pub fingerprint: Option<Fingerprint>,
    /// As of a cluster.
    pub ca_file: Option<PathBuf>,
}

/// What is wrong with a file, with the line that it is on; not with one that can hold a password.
fn mistake(error: &toml::de::Error) -> String {
    let text = error.to_string();
    if text.contains("database_url") && !text.contains("unknown field") {
        "the line of database_url cannot be read".to_owned()
    } else {
        text
    }
}

fn port() -> u16 {
    8006
}

/// What is allowed for a time in seconds: Proxmox itself takes no more than a day.
fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::builder::RangedU64ValueParser::new().range(SECONDS)
}

const SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;

/// A cluster that we may speak to.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// What Berth calls it.
    pub name: ClusterName,
    /// Where it is: at least one, the first to be tried first.
    pub addresses: Vec<Address>,
}

/// What Berth runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How browsers reach it, where that is not `listen`.
    pub public_url: Option<PublicUrl>,
    /// SQLite's directory, and the key's.
    pub data_dir: PathBuf,
    /// PostgreSQL, where wanted.
    pub database_url: Option<DatabaseUrl>,
    /// The key for secrets.
    pub key_file: PathBuf,
    /// The site, where it is not embedded.
    pub site: Option<PathBuf>,
    /// At least one.
    pub clusters: Vec<ClusterConfig>,
    /// How long a page waits for a cluster before it shows what is known. Not a setting; tests on slow machines choose another.
    pub page_budget: Duration,
    /// How long the verbs take, and who works on them.
    pub lifecycle: Lifecycle,
    /// Of the calls to a cluster. Not a setting; tests choose others.
    pub limits: Limits,
    /// How time passes between two looks at a cluster. Not a setting; tests step it.
    pub pace: Pace,
}

/// The times of the lifecycle verbs and of the operations that carry them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// For the end of a start.
    pub start_wait: Duration,
    /// For the end of a hard stop.
    pub stop_wait: Duration,
    /// What Proxmox is told for a clean shutdown.
    pub shutdown_timeout: Duration,
    /// For the end of that.
    pub shutdown_wait: Duration,
    /// What Proxmox is told for the shutdown of a restart.
    pub restart_timeout: Duration,
    /// For the end of that.
    pub restart_wait: Duration,
    /// For the end of a deletion.
    pub delete_wait: Duration,
    /// When a server function answers, though the operation goes on. Not a setting, nor is what follows; tests choose others.
    pub answer_within: Duration,
    /// For how long a lease is taken; longer than a call to a cluster may take.
    pub lease: Duration,
    /// How often leases are renewed and open operations are looked for.
    pub beat: Duration,
    /// How long after the intent a task can still appear, by the cluster's clock.
    pub appears_within: Duration,
    /// For how long after its deadline an operation still takes a next step.
    pub grace: Duration,
}

impl Default for Lifecycle {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            start_wait: seconds(30),
            stop_wait: seconds(30),
            shutdown_timeout: seconds(60),
            shutdown_wait: seconds(90),
            restart_timeout: seconds(30),
            restart_wait: seconds(60),
            delete_wait: seconds(60),
            answer_within: seconds(10),
            lease: seconds(60),
            beat: seconds(10),
            appears_within: seconds(15),
            grace: seconds(120),
        }
    }
}

/// Rows are there within a second, whatever Proxmox does.
const PAGE_BUDGET: Duration = Duration::from_millis(700);

/// A configuration that cannot be used. Names the key, the value and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is no TOML, or says something that is no setting.
    #[error("the configuration {0} has a mistake:\n{1}")]
    Parse(PathBuf, String),
    /// No PostgreSQL URL. It can hold a password, so its value is not shown.
    #[error("database_url: its value (not shown) is not allowed; allowed is postgres://user:password@host/name; for SQLite leave it out")]
    DatabaseUrl,
    /// Two clusters of one name.
    #[error("cluster: the name `{0}` is given twice; each cluster needs a name of its own")]
    TwiceNamed(ClusterName),
    /// Two ways of trust at once.
    #[error("cluster `{0}`: fingerprint and ca_file exclude each other; give one, or neither for the system's roots")]
    TwoTrusts(ClusterName),
    /// A host that is none.
    #[error("cluster `{0}`: host is `{1}`; allowed is a host name or an IP address, without https:// and without a port")]
    Host(ClusterName, String),
    /// A time that is none.
    #[error("{0}: {1} is not allowed; allowed is a number of seconds from 1 to 86400")]
    Seconds(&'static str, u64),
    /// Berth would stop hard before Proxmox had its time.
    #[error("{0} is {1} s and {2} is {3} s; allowed is a {0} that is longer than {2}")]
    WaitTooShort(&'static str, u64, &'static str, u64),
}

impl Arguments {
    /// Reads the file, where one is given, and fills in what the flags and the environment do not say.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let Some(path) = self.config else { return Ok(self.settings) };
        let text = std::fs::read_to_string(&path).map_err(|e| ConfigError::Read(path.clone(), e))?;
        let mut file = Settings::parse(&text).map_err(|e| ConfigError::Parse(path.clone(), mistake(&e)))?;
        // paths in the file are relative to the file
        let base = path.parent().unwrap_or(Path::new(""));
        let paths = [&mut file.data_dir, &mut file.key_file, &mut file.site];
        for relative in paths.into_iter().chain(file.clusters.iter_mut().flat_map(ClusterSettings::ca_files)).flatten() {
            *relative = base.join(&*relative);
        }
        Ok(self.settings.or(file))
    }
}

impl Settings {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            public_url: self.public_url.or(other.public_url),
            data_dir: self.data_dir.or(other.data_dir),
            database_url: self.database_url.or(other.database_url),
            key_file: self.key_file.or(other.key_file),
            log: self.log.or(other.log),
            site: self.site.or(other.site),
            start_wait: self.start_wait.or(other.start_wait),
            stop_wait: self.stop_wait.or(other.stop_wait),
            shutdown_timeout: self.shutdown_timeout.or(other.shutdown_timeout),
            shutdown_wait: self.shutdown_wait.or(other.shutdown_wait),
            restart_timeout: self.restart_timeout.or(other.restart_timeout),
            restart_wait: self.restart_wait.or(other.restart_wait),
            delete_wait: self.delete_wait.or(other.delete_wait),
            clusters: if self.clusters.is_empty() { other.clusters } else { self.clusters },
        }
    }

    /// Fills in the defaults and checks what no single setting can.
    pub fn config(self) -> Result<Config, ConfigError> {
        if self.database_url.as_ref().is_some_and(|url| !url.is_postgres()) {
            return Err(ConfigError::DatabaseUrl);
        }
        let lifecycle = self.lifecycle()?;
        let data_dir = self.data_dir.unwrap_or_else(|| "berth-data".into());
        let mut clusters: Vec<ClusterConfig> = Vec::new();
        for cluster in self.clusters {
            if clusters.iter().any(|c| c.name == cluster.name) {
                return Err(ConfigError::TwiceNamed(cluster.name));
            }
            clusters.push(cluster.config()?);
        }
        Ok(Config {
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
            public_url: self.public_url,
            key_file: self.key_file.unwrap_or_else(|| data_dir.join("key")),
            data_dir,
            database_url: self.database_url,
            site: self.site,
            clusters,
            page_budget: PAGE_BUDGET,
            lifecycle,
            limits: Limits::default(),
            pace: Pace::default(),
        })
    }

    fn lifecycle(&self) -> Result<Lifecycle, ConfigError> {
        let mut lifecycle = Lifecycle::default();
        for (name, said, place) in [
            ("start_wait", self.start_wait, &mut lifecycle.start_wait),
            ("stop_wait", self.stop_wait, &mut lifecycle.stop_wait),
            ("shutdown_timeout", self.shutdown_timeout, &mut lifecycle.shutdown_timeout),
            ("shutdown_wait", self.shutdown_wait, &mut lifecycle.shutdown_wait),
            ("restart_timeout", self.restart_timeout, &mut lifecycle.restart_timeout),
            ("restart_wait", self.restart_wait, &mut lifecycle.restart_wait),
            ("delete_wait", self.delete_wait, &mut lifecycle.delete_wait),
        ] {
            match said {
                Some(number) if !SECONDS.contains(&number) => return Err(ConfigError::Seconds(name, number)),
                Some(number) => *place = Duration::from_secs(number),
                None => {}
            }
        }
        for (wait, waited, timeout, told) in [
            ("shutdown_wait", lifecycle.shutdown_wait, "shutdown_timeout", lifecycle.shutdown_timeout),
            ("restart_wait", lifecycle.restart_wait, "restart_timeout", lifecycle.restart_timeout),
        ] {
            if waited <= told {
                return Err(ConfigError::WaitTooShort(wait, waited.as_secs(), timeout, told.as_secs()));
            }
        }
        Ok(lifecycle)
    }
}

impl ClusterSettings {
    fn ca_files(&mut self) -> impl Iterator<Item = &mut Option<PathBuf>> {
        std::iter::once(&mut self.ca_file).chain(self.addresses.iter_mut().map(|address| &mut address.ca_file))
    }

    fn config(self) -> Result<ClusterConfig, ConfigError> {
        let Self { name, host, port, fingerprint, ca_file, addresses } = self;
        let first = AddressSettings { host, port, fingerprint, ca_file };
        let addresses = std::iter::once(first).chain(addresses).map(|address| address.config(&name)).collect::<Result<_, _>>()?;
        Ok(ClusterConfig { name, addresses })
    }
}

impl AddressSettings {
    fn config(self, cluster: &ClusterName) -> Result<Address, ConfigError> {
        let trust = match (self.fingerprint, self.ca_file) {
            (Some(_), Some(_)) => return Err(ConfigError::TwoTrusts(cluster.clone())),
            (Some(fingerprint), None) => Trust::Pinned(fingerprint),
            (None, Some(path)) => Trust::CaFile(path),
            (None, None) => Trust::System,
        };
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if !name && host.parse::<std::net::IpAddr>().is_err() {
            return Err(ConfigError::Host(cluster.clone(), self.host));
        }
        Ok(Address { host: host.to_owned(), port: self.port, trust })
    }
}

/// Declares that a setting is read from its text, in the file as by a flag.
macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
from_text!(Fingerprint, PublicUrl, DatabaseUrl, LogFilter);

/// `http://` or `https://`, a host, perhaps a port, and no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
}

impl PublicUrl {
    /// Scheme, host and port, as a browser's `Origin` header says them.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether browsers come by https.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let origin = text.trim_end_matches('/');
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let good = rest.is_some_and(|r| !r.is_empty() && r.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '@')));
        good.then(|| Self { origin: origin.to_lowercase() }).ok_or_else(|| {
            format!(
                "`{text}` is not allowed; allowed is http:// or https:// with a host and perhaps a port, such as https://berth.example.org"
            )
        })
    }
}

/// A `postgres://` URL. It can hold a password: the type does not print it.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    fn is_postgres(&self) -> bool {
        self.expose().starts_with("postgres://") || self.expose().starts_with("postgresql://")
    }

    /// The URL with its password.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl FromStr for DatabaseUrl {
    type Err = std::convert::Infallible;
    /// Takes any text: who refuses a flag shows its value. [`Settings::config`] refuses.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned().into()))
    }
}

/// What `tracing` calls a filter.
#[derive(Debug, Clone)]
pub struct LogFilter(pub String);

impl FromStr for LogFilter {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(format!(
                "`{text}` is not a filter; allowed is error, warn, info, debug or trace, also by module: berth::proxmox=debug,info"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "[[cluster]]\nname = \"home\"\nhost = \"192.0.2.1\"\n";

    fn mistake(text: &str) -> String {
        match Settings::parse(text).map_err(|e| e.to_string()) {
            Err(mistake) => mistake,
            Ok(settings) => settings.config().unwrap_err().to_string(),
        }
    }

    #[test]
    fn a_bad_value_names_the_key_the_value_and_what_is_allowed() {
        for (text, parts) in [
            ("listen = \"localhost\"".to_owned(), ["listen", "localhost", "socket address"]),
            ("public_url = \"berth.example\"".to_owned(), ["public_url", "berth.example", "https://"]),
            ("log = \"lo=ud\"".to_owned(), ["log", "lo=ud", "error, warn, info"]),
            ("colour = \"blue\"".to_owned(), ["colour", "unknown field", "listen"]),
            (format!("{CLUSTER}port = 99999"), ["port", "99999", "u16"]),
            (format!("{CLUSTER}fingerprint = \"AB\""), ["fingerprint", "AB", "32 bytes"]),
            (format!("{CLUSTER}fingerprint = \"{0}\"\nca_file = \"x\"", "AB".repeat(32)), ["home", "ca_file", "exclude"]),
            (CLUSTER.replace("192.0.2.1", "https://pve"), ["host", "https://pve", "without"]),
            (format!("{CLUSTER}{CLUSTER}"), ["cluster", "home", "twice"]),
            (CLUSTER.replace("home", "my home"), ["name", "my home", "letters"]),
            (format!("stop_wait = 0\n{CLUSTER}"), ["stop_wait", "0", "1 to 86400"]),
            (format!("shutdown_wait = 60\n{CLUSTER}"), ["shutdown_wait", "60 s", "longer than shutdown_timeout"]),
        ] {
            let mistake = mistake(&text);
            for part in parts {
                assert!(mistake.contains(part), "{part:?} is not in {mistake:?}");
            }
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let flags = Settings { listen: Some("127.0.0.1:4000".parse().unwrap()), ..Settings::default() };
        let file = Settings::parse(&format!("listen = \"127.0.0.1:5000\"\ndata_dir = \"here\"\n{CLUSTER}")).unwrap();
        let config = flags.or(file).config().unwrap();
        assert_eq!(config.listen.port(), 4000);
        assert_eq!(config.key_file, Path::new("here/key"));
        assert_eq!(config.clusters[0].addresses[0].port, 8006);
        assert_eq!(config.clusters[0].addresses[0].trust, Trust::System);
    }

    #[test]
    fn a_cluster_can_have_more_addresses_each_with_its_own_trust() {
        let text = format!("{CLUSTER}addresses = [{{ host = \"192.0.2.2\", port = 443, fingerprint = \"{}\" }}]", "AB".repeat(32));
        let config = Settings::parse(&text).unwrap().config().unwrap();
        let found: Vec<_> = config.clusters[0].addresses.iter().map(|a| (a.host.as_str(), a.port, a.trust == Trust::System)).collect();
        assert_eq!(found, [("192.0.2.1", 8006, true), ("192.0.2.2", 443, false)]);
        assert!(mistake(&text.replace("192.0.2.2", "https://pve")).contains("https://pve"));
    }

    #[test]
    fn the_example_is_a_configuration_and_names_every_setting() {
        let settings = Settings::parse(EXAMPLE).unwrap();
        assert_eq!(settings.config().unwrap().clusters[0].name.as_str(), "home");
        let at_top = mistake("colour = 1");
        let known = at_top.split_once("expected one of ").unwrap().1;
        let in_cluster = mistake(&format!("{CLUSTER}colour = 1"));
        let known = known.split('`').chain(in_cluster.split_once("expected one of ").unwrap().1.split('`')).skip(1).step_by(2);
        for key in known.filter(|key| !key.is_empty() && *key != "cluster" && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
            let shown = EXAMPLE.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = ")));
            assert!(shown, "{key} is not in the example");
        }
        // what is commented out can be put in, but for the two that exclude each other
        let all = EXAMPLE
            .replace("\n#", "\n")
            .lines()
            .filter(|line| line.contains(" = ") && !line.starts_with("ca_file"))
            .collect::<Vec<_>>()
            .join("\n");
        let all = all.replace("name = ", "[[cluster]]\nname = ").replace("AB:CD:EF:…", &"AB".repeat(32));
        Settings::parse(&all).unwrap().config().unwrap();
    }

    #[test]
    fn a_database_password_is_not_printed() {
        let url: DatabaseUrl = "postgres://berth:hunter2@db/berth".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
        for line in [
            "database_url = \"mysql://berth:hunter2@db/berth\"",
            "database_url = \"postgres://berth:hunter2@db/berth",
            "database_url = hunter2",
        ] {
            let said = match Settings::parse(&format!("{line}\n{CLUSTER}")) {
                Ok(settings) => settings.config().unwrap_err().to_string(),
                Err(error) => super::mistake(&error),
            };
            assert!(said.contains("database_url") && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn the_help_is_complete() {
        use clap::CommandFactory;
        for argument in Arguments::command().get_arguments() {
            let id = argument.get_id().as_str();
            let readme = include_str!("../../README.md");
            assert!(readme.contains(&format!("`--{}", id.replace('_', "-"))), "--{id} is not in the README");
            assert!(readme.contains(&format!("`BERTH_{}`", id.to_uppercase())), "{id}'s variable is not in the README");
            assert!(argument.get_help().is_some(), "{id} has no help");
            assert!(argument.get_env().is_some_and(|v| v == format!("BERTH_{}", id.to_uppercase()).as_str()), "{id} has no variable");
        }
    }
}
