//! The server: reads the configuration, starts the log, builds Berth and serves it until it is told to stop.

use berth::{
    server::{
        config::{Arguments, ClusterSettings, EXAMPLE, Settings},
        telemetry,
    },
    simulator::{Options, Simulator},
    startup::Application,
};
use clap::Parser;
use std::{error::Error, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.example_config {
        print!("{EXAMPLE}");
        return ExitCode::SUCCESS;
    }
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("berth: {}", telemetry::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let (demo, speed) = (arguments.demo, arguments.demo_speed);
    let mut settings = arguments.settings()?;
    telemetry::start(settings.log.as_ref());
    let demo = if demo { Some(Demo::start(&mut settings, speed).await?) } else { None };
    let application = Application::build(settings.config()?).await?;
    if let Some(demo) = &demo {
        demo.introduce();
    }
    println!("listening on http://{}", application.address());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    application
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
        })
        .await?;
    Ok(())
}

/// A simulated cluster, and a data directory that goes with it.
struct Demo {
    simulator: Simulator,
    _data: Option<tempfile::TempDir>,
}

impl Demo {
    async fn start(settings: &mut Settings, speed: f64) -> Result<Self, Box<dyn Error>> {
        let simulator = Simulator::start(Options { speed, control: true, ..Options::default() }).await?;
        settings.clusters = vec![ClusterSettings {
            name: "demo".parse()?,
            host: simulator.addr().ip().to_string(),
            port: simulator.addr().port(),
            fingerprint: Some(simulator.fingerprint().parse()?),
            ca_file: None,
            addresses: Vec::new(),
        }];
        // sessions are of no use without this simulator, so nothing is kept unless a directory is named
        let data = match settings.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("berth-demo-").tempdir()?),
        };
        if let Some(data) = &data {
            settings.data_dir = Some(data.path().to_owned());
        }
        Ok(Self { simulator, _data: data })
    }

    fn introduce(&self) {
        println!("This is the demo: a simulated cluster, nothing real. Sign in with one of these accounts:");
        for account in self.simulator.accounts() {
            println!("  {:<16} password {:<8} {}", account.userid, account.password, account.about);
        }
        println!("its simulator listens on https://{}", self.simulator.addr());
    }
}
