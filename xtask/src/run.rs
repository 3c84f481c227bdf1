//! `cargo xtask run`: build what is needed and start the server with a simulated cluster, or with the given configuration.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    os::unix::process::ExitStatusExt,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::{
    build,
    process::{Job, command},
    site::{self, Profile},
};

#[derive(clap::Args)]
pub struct Args {
    /// Where to listen on 127.0.0.1
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Optimised, as it is shipped: one file with the site inside
    #[arg(long)]
    release: bool,
    /// Passed on to the server; with --config FILE it serves those clusters and not the demo
    #[arg(last = true)]
    args: Vec<String>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let given = |option: &str| args.args.iter().any(|arg| arg == option || arg.starts_with(&format!("{option}=")));
    if !given("--listen") {
        port_is_free(args.port)?;
    }

    let profile = Profile::of(args.release);
    let site = site::build(profile)?;
    let program = build::server(profile)?;

    // From the caller's folder, so that `--config berth.toml` means the file there.
    let mut server = command(program, env::current_dir().context("the current folder is gone")?);
    if !given("--config") && !given("--demo") {
        server.arg("--demo");
    }
    if !given("--listen") {
        server.args(["--listen", &format!("127.0.0.1:{}", args.port)]);
    }
    if !args.release && !given("--site") {
        server.arg("--site").arg(site);
    }
    server.args(&args.args);

    let mut job = Job::start(&mut server)?;
    // Signals are passed on by `process`; how the server ends is the answer, also after one.
    let status = loop {
        match job.has_ended()? {
            Some(status) => break status,
            None => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    };
    // As a shell puts it: 128 + the signal that ended it.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(code as u8))
}

fn port_is_free(port: u16) -> Result<()> {
    if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        bail!("port {port} on 127.0.0.1 cannot be used ({error}); choose another with `cargo xtask run --port {}`", port.saturating_add(1));
    }
    Ok(())
}
