//! The simulated Proxmox VE as a program of its own: for the browser tests, and to look at from the command line.

use berth::simulator::{File, Options, Simulator};
use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// A simulated Proxmox VE cluster with containers, users and failures that have names
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8006")]
    listen: SocketAddr,
    /// How the cluster begins (TOML), instead of the demo
    #[arg(long)]
    state: Option<PathBuf>,
    /// So many containers on four nodes, every other one running, instead of the demo; for measuring
    #[arg(long, conflicts_with = "state")]
    containers: Option<u32>,
    /// Time stands still but for what the control side lets pass
    #[arg(long, requires = "control")]
    stepped: bool,
    /// How many simulated seconds pass in a real one
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Offer the control side under /sim/ to everybody who reaches the port
    #[arg(long)]
    control: bool,
    /// A word to add to every error text
    #[arg(long)]
    marker: Option<String>,
    /// A certificate (PEM) to show instead of a new one
    #[arg(long, requires = "key_file")]
    certificate_file: Option<PathBuf>,
    /// The private key (PEM) of the certificate
    #[arg(long, requires = "certificate_file")]
    key_file: Option<PathBuf>,
    /// Where to write the certificate (PEM), for clients that want to trust it
    #[arg(long)]
    write_certificate: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Flags { listen, state, containers, stepped, speed, control, marker, certificate_file, key_file, write_certificate } =
        Flags::parse();
    let state = match (state, containers) {
        (Some(path), _) => File::parse(&std::fs::read_to_string(path)?).map_err(std::io::Error::other)?,
        (None, Some(count)) => File::parse(&many(count)).map_err(std::io::Error::other)?,
        (None, None) => File::demo(),
    };
    let certificate = match (certificate_file, key_file) {
        (Some(certificate), Some(key)) => Some((std::fs::read_to_string(certificate)?, std::fs::read_to_string(key)?)),
        _ => None,
    };
    let simulator = Simulator::start(Options { listen, state, stepped, speed, control, marker, certificate, ..Options::default() }).await?;
    if let Some(path) = write_certificate {
        std::fs::write(path, simulator.certificate_pem())?;
    }
    println!("Simulated Proxmox VE at https://{}", simulator.addr());
    println!("Fingerprint {}", simulator.fingerprint());
    println!("Accounts:");
    for account in simulator.accounts() {
        println!("  {:<14} {:<6} {}", account.userid, account.password, account.about);
    }
    wait_for_signal().await?;
    simulator.shutdown().await;
    Ok(())
}

/// A cluster of four nodes with so many containers, whose names sort as their numbers do from `ct00000` = 100 on. Those with an even
/// number run, and their figures move all the time. `alice@pve` and ten more users may everything; everybody's password is `berth`.
fn many(count: u32) -> String {
    let users: Vec<String> = std::iter::once("alice".to_owned()).chain((0..10).map(|n| format!("user{n}"))).collect();
    let mut text = String::from("version = \"8.4\"\ncluster = \"many\"\naccess = \"\"\"\nuser:root@pam:1:0::::may everything:\n");
    for user in &users {
        text += &format!("user:{user}@pve:1:0::::PVEAdmin on everything:\nacl:1:/:{user}@pve:PVEAdmin:\n");
    }
    text += "\"\"\"\n\n[passwords]\n\"root@pam\" = \"berth\"\n";
    for user in &users {
        text += &format!("\"{user}@pve\" = \"berth\"\n");
    }
    for node in 1..=4 {
        text += &format!(
            "\n[[nodes]]\nname = \"pve{node}\"\ncpus = 64\nmemory = 549755813888\nnetwork = [{{ iface = \"vmbr0\", type = \"bridge\", active = 1 }}]\n"
        );
    }
    for number in 0..count {
        let (vmid, node, running) = (100 + number, number % 4 + 1, number % 2 == 0);
        let mac = format!("BC:24:11:{:02X}:{:02X}:{:02X}", number >> 16, number >> 8 & 0xff, number & 0xff);
        let config = format!(
            "arch: amd64\\ncores: 2\\nhostname: ct{number:05}\\nmemory: 1024\\n\
             net0: name=eth0,bridge=vmbr0,hwaddr={mac},ip=dhcp,type=veth\\nostype: debian\\n\
             rootfs: local-lvm:vm-{vmid}-disk-0,size=8G\\nswap: 512\\ntags: prod;web\\n"
        );
        text += &format!(
            "\n[[containers]]\nvmid = {vmid}\nnode = \"pve{node}\"\nrunning = {running}\nuptime = 86400\nload = 0.1\nconfig = \"{config}\"\n"
        );
    }
    text
}

/// SIGINT, or SIGTERM where there is such a thing.
async fn wait_for_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
