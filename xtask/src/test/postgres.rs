//! A PostgreSQL server for the time of a test run: made new, without fsync, in a temporary folder, on a free port of
//! 127.0.0.1 and with no socket elsewhere; stopped and deleted when it is dropped, whatever happens in between.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    paths,
    process::{self, Job, SIGINT, command},
    setup,
};

pub struct Postgres {
    /// Taken when it is stopped.
    job: Option<Job>,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = std::env::temp_dir().join(format!("berth-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // From here on dropping it cleans up.
        let mut postgres = Self { job: None, folder, port: free_port()? };
        let user = user()?;
        if let Some((uid, gid)) = user {
            chown(&postgres.folder, Some(uid), Some(gid)).context("cannot give the data folder to the user that PostgreSQL runs as")?;
        }

        let data = postgres.folder.join("data");
        let log = postgres.folder.join("log");
        let as_user = |program: &str| {
            let mut command = command(programs.join(program), &postgres.folder);
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command.env("HOME", &postgres.folder).env("LC_ALL", "C").arg("-D").arg(&data);
            command
        };

        let initdb = ["--username=berth", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        process::capture(as_user("initdb").args(initdb)).context("PostgreSQL could not make its data folder")?;

        let mut server = as_user("postgres");
        for setting in [
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "max_connections=200",
            "unix_socket_directories=",
            "listen_addresses=127.0.0.1",
        ] {
            server.args(["-c", setting]);
        }
        let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        server.args(["-p", &postgres.port.to_string()]).stdout(Stdio::null()).stderr(output);
        postgres.wait_until_ready(&mut server, &log)?;
        println!("  PostgreSQL listens on 127.0.0.1:{} for the time of these tests", postgres.port);
        Ok(postgres)
    }

    fn wait_until_ready(&mut self, server: &mut Command, log: &Path) -> Result<()> {
        let job = self.job.insert(Job::start(server)?);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let said = fs::read_to_string(log).unwrap_or_default();
            if said.contains("ready to accept connections") && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if job.has_ended()?.is_some() || Instant::now() > deadline {
                bail!("PostgreSQL did not start; it said:\n{said}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Each test makes a database or a schema of its own from here.
    pub fn url(&self) -> String {
        format!("postgres://berth@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            // "Fast shutdown": does not wait for clients.
            job.stop(SIGINT);
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// The folder with `initdb` and `postgres`; Debian's package is installed where that is possible.
pub fn programs() -> Result<PathBuf> {
    if let Some(found) = find_programs() {
        return Ok(found);
    }
    let install = || -> Result<()> {
        // Debian's package would start a server of its own right away; nobody asked for that.
        let settings = Path::new("/etc/postgresql-common/createcluster.conf");
        if setup::is_root() && paths::on_path("apt-get").is_some() && !settings.exists() {
            fs::create_dir_all("/etc/postgresql-common")?;
            fs::write(settings, "create_main_cluster = false\n")?;
        }
        setup::apt_install(&["postgresql"])
    };
    install().context("the tests on PostgreSQL need its programs initdb and postgres: install the package postgresql")?;
    find_programs().context("the package postgresql was installed, and there is still no initdb")
}

fn find_programs() -> Option<PathBuf> {
    let has_both = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    // A link on PATH leads to the folder where everything else of that version lies.
    let on_path = paths::on_path("initdb").and_then(|file| file.canonicalize().ok()).and_then(|file| Some(file.parent()?.to_owned()));
    if let Some(folder) = on_path.filter(has_both) {
        return Some(folder);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).filter(|path| has_both(&path.join("bin"))).max_by_key(version)?;
    Some(newest.join("bin"))
}

/// PostgreSQL refuses to run as root, so root lends it the user of its package, or nobody.
fn user() -> Result<Option<(u32, u32)>> {
    if !setup::is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
    ["postgres", "nobody"].iter().find_map(|name| ids(&users, name)).map(Some).context("there is neither a user postgres nor nobody")
}

/// User and group id from lines like `postgres:x:101:104:…`.
fn ids(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_user_are_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:a:/b:/bin/sh\n";
        assert_eq!(ids(users, "postgres"), Some((101, 104)));
        assert_eq!(ids(users, "nobody"), None);
    }

    #[test]
    fn a_database_starts_and_leaves_nothing_behind() {
        if find_programs().is_none() {
            eprintln!("skipped: no PostgreSQL here");
            return;
        }
        let postgres = Postgres::start().unwrap();
        let (folder, port) = (postgres.folder.clone(), postgres.port);
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        drop(postgres);
        assert!(!folder.exists());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
}
