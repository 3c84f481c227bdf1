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
    let Flags { listen, state, stepped, speed, control, marker, certificate_file, key_file, write_certificate } = Flags::parse();
    let state = match state {
        Some(path) => File::parse(&std::fs::read_to_string(path)?).map_err(std::io::Error::other)?,
        None => File::demo(),
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
