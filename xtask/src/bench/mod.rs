//! `cargo xtask bench`: what a visit weighs, what a view of the containers page costs the server, what a verb takes besides its task,
//! and what a call to Proxmox costs; with `--peers` all that is to be better than elsewhere, beside what it is there.
//!
//! The CPU time per view is the figure to compare: it hardly depends on what else the machine does. Requests per second
//! are printed beside a gauge of that (load average, and the time of a fixed loop before and after). The load comes from
//! this program on the same machine; pages are asked for without compression. The demo's simulated cluster runs in the same
//! process, so its cost is in the figures.

mod peers;
mod verbs;

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    budget, build,
    conformance::wire::{self, Request},
    http::Connection,
    paths,
    process::{self, Job, SIGTERM, cargo, command},
    site::{self, Profile},
};

const CONNECTIONS: usize = 16;

#[derive(clap::Args)]
pub struct Args {
    /// Only the sizes
    #[arg(long)]
    sizes: bool,
    /// Only the verbs
    #[arg(long, conflicts_with = "sizes")]
    verbs: bool,
    /// How often each verb is measured
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// How often to measure
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Views per round
    #[arg(long, default_value_t = 2000)]
    views: usize,
    /// Views before the first round
    #[arg(long, default_value_t = 200)]
    warm_up: usize,
    #[command(flatten)]
    peers: peers::Choice,
}

pub fn run(args: Args) -> Result<ExitCode> {
    if args.peers.peers {
        return peers::run(&args.peers);
    }
    println!("== download sizes");
    site::build(Profile::Release)?;
    let over = budget::report()?;
    if !args.sizes {
        println!("== the verbs, over their tasks");
        verbs::run(args.times)?;
    }
    if !args.sizes && !args.verbs {
        println!("== the containers page from the server");
        pages(&args)?;
        println!("== the Proxmox client, and the simulated cluster");
        client(&args)?;
    }
    Ok(if over.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn pages(args: &Args) -> Result<()> {
    let program = build::server(Profile::Release)?;
    let mut job = Job::start(command(program, paths::root()).args(["--demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()))?;
    let host = ready(&mut job)?;
    let cookie = sign_in(host, "demo")?;

    let before = (load_average(), spin());
    load(host, &cookie, args.warm_up)?;
    let mut rates = Vec::new();
    let mut costs = Vec::new();
    let mut bytes = 0;
    for _ in 0..args.rounds.max(1) {
        let (cpu, start) = (cpu_time(job.id())?, Instant::now());
        bytes = load(host, &cookie, args.views)?;
        rates.push(args.views as f64 / start.elapsed().as_secs_f64());
        costs.push((cpu_time(job.id())? - cpu).as_secs_f64() * 1e3 / args.views as f64);
    }
    let after = (load_average(), spin());
    job.stop(SIGTERM);

    let (n, views) = (rates.len(), args.views);
    println!(
        "  GET / as alice@pve, {CONNECTIONS} connections, {views} views a round after {} to warm up, {bytes} bytes a view, not compressed",
        args.warm_up
    );
    print_spread("requests/s", 0, &mut rates);
    print_spread("CPU-ms per view", 3, &mut costs);
    println!("  gauge: load average {} before, {} after; fixed loop {:.1} ms before, {:.1} ms after", before.0, after.0, before.1, after.1);
    println!("  command: cargo xtask bench --rounds {n} --views {views} --warm-up {}", args.warm_up);
    Ok(())
}

/// The client in a process of its own against a simulated cluster with 10,000 containers in another, so that each one's CPU time is known.
fn client(args: &Args) -> Result<()> {
    let release = release()?;
    let simulator = Simulator::start(&release, &["--containers", "10000"])?;
    let (address, fingerprint) = (simulator.address, simulator.fingerprint.clone());

    println!("  n={} rounds; CPU of the client and of the simulator per call, both over TLS on this machine", args.rounds.max(1));
    let mut figures: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    let mut order = Vec::new();
    let mut served = Vec::new();
    for _ in 0..args.rounds.max(1) {
        let before = cpu_time(simulator.job.id())?;
        let mut bench = command(release.join("examples/client-bench"), paths::root());
        bench.env("BERTH_BENCH_HOST", address.ip().to_string()).env("BERTH_BENCH_PORT", address.port().to_string());
        let output = process::capture(bench.env("BERTH_BENCH_FINGERPRINT", &fingerprint))?;
        served.push((cpu_time(simulator.job.id())? - before).as_secs_f64() * 1e3);
        for line in output.lines() {
            let [name, calls, seconds, cpu] = line.split('\t').collect::<Vec<_>>()[..] else { bail!("client-bench said {line}") };
            let number = |text: &str| text.parse::<f64>().with_context(|| format!("client-bench said {line}"));
            let (calls, seconds, cpu) = (number(calls)?, number(seconds)?, number(cpu)?);
            if !order.iter().any(|known| known == name) {
                order.push(name.to_owned());
            }
            let [rates, costs] = figures.entry(name.to_owned()).or_default();
            rates.push(calls / seconds);
            costs.push(cpu / calls);
        }
    }
    simulator.stop();
    for name in &order {
        let [rates, costs] = figures.get_mut(name).expect("each name has figures");
        println!("  {name}");
        print_spread("  calls/s", 1, rates);
        print_spread("  CPU-ms of the client per call", 3, costs);
    }
    print_spread("CPU-ms of the simulator for all of it", 0, &mut served);
    println!("  command: cargo xtask bench --rounds {}", args.rounds);
    Ok(())
}

/// The programs of the client's bench, built; the folder in which they are.
fn release() -> Result<PathBuf> {
    const PROGRAMS: [&str; 8] = ["build", "--release", "--features", "ssr", "--bin", "pve-simulator", "--example", "client-bench"];
    process::run(&mut cargo(&PROGRAMS))?;
    Ok(paths::target().join("release"))
}

/// A simulated cluster in a process of its own.
struct Simulator {
    job: Job,
    address: SocketAddr,
    fingerprint: String,
}

impl Simulator {
    fn start(folder: &Path, flags: &[&str]) -> Result<Self> {
        let mut simulator = command(folder.join("pve-simulator"), paths::root());
        let mut job = Job::start(simulator.args(["--listen", "127.0.0.1:0"]).args(flags).stdout(Stdio::piped()))?;
        let mut lines = BufReader::new(job.stdout()).lines();
        let mut said = |prefix: &str| -> Result<String> {
            let line = lines.next().context("the simulator ended before it listened")??;
            Ok(line.strip_prefix(prefix).with_context(|| format!("the simulator said {line}"))?.to_owned())
        };
        let address = said("Simulated Proxmox VE at https://")?.parse().context("the simulator's address")?;
        let fingerprint = said("Fingerprint ")?;
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { job, address, fingerprint })
    }

    fn stop(self) {
        self.job.stop(SIGTERM);
    }
}

/// A server beside a simulated cluster that it knows as `bench`.
struct Bed {
    simulator: Simulator,
    server: Job,
    host: SocketAddr,
}

impl Bed {
    fn start(server: &mut Command, simulator: Simulator) -> Result<Self> {
        let folder = paths::work().join("bench");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join("berth.toml");
        let (ip, port) = (simulator.address.ip(), simulator.address.port());
        let cluster =
            format!("[[cluster]]\nname = \"bench\"\nhost = \"{ip}\"\nport = {port}\nfingerprint = \"{}\"\n", simulator.fingerprint);
        fs::write(&config, cluster).with_context(|| format!("cannot write {}", config.display()))?;
        server.args(["--listen", "127.0.0.1:0", "--log", "error", "--config"]).arg(&config).arg("--data-dir").arg(folder.join("data"));
        let mut server = Job::start(server.stdout(Stdio::piped()))?;
        let host = ready(&mut server)?;
        Ok(Self { simulator, server, host })
    }

    fn stop(self) {
        self.server.stop(SIGTERM);
        self.simulator.stop();
    }
}

/// What the simulator's control side answers.
fn control(address: SocketAddr, method: &str, path: &str) -> Result<Value> {
    let mut connection = wire::Connection::open(address, &wire::trusting()?)?;
    connection.send(&Request { method: method.to_owned(), target: format!("/sim/{path}"), ..Request::default() })?;
    let (answer, _) = connection.receive(Duration::from_secs(30))?.context("the simulator does not answer")?;
    Ok(answer.json)
}

/// Waits for the line that says where the server listens, and keeps its output flowing afterwards.
fn ready(job: &mut Job) -> Result<SocketAddr> {
    let mut lines = BufReader::new(job.stdout()).lines();
    for line in lines.by_ref() {
        let line = line.context("cannot read what the server writes")?;
        if let Some((_, address)) = line.split_once("listening on http://") {
            let address = address.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
            let address = address.parse().with_context(|| format!("the server listens on {address}, which is no address"))?;
            thread::spawn(move || lines.for_each(drop));
            return Ok(address);
        }
    }
    bail!("the server ended before it listened; start it with `cargo xtask run --release` to see why")
}

fn sign_in(host: SocketAddr, cluster: &str) -> Result<String> {
    sign_in_as(host, cluster, "alice")
}

/// Signs a user of the realm `pve` in; their cookie.
fn sign_in_as(host: SocketAddr, cluster: &str, user: &str) -> Result<String> {
    let fields = [("cluster", cluster), ("username", user), ("realm", "pve"), ("password", "berth")];
    let response = Connection::open(host)?.post_form("/api/sign_in", &fields)?;
    let cookie = response.cookies();
    if cookie.is_empty() {
        bail!("signing {user} in to {cluster} gave no cookie (status {})", response.status);
    }
    Ok(cookie)
}

/// Loads the page that often over all connections at once; returns its size.
fn load(host: SocketAddr, cookie: &str, views: usize) -> Result<usize> {
    load_with(host, cookie, views, &[])
}

/// The same with headers of the caller's.
fn load_with(host: SocketAddr, cookie: &str, views: usize, headers: &[(&str, &str)]) -> Result<usize> {
    let left = AtomicUsize::new(views);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
    let headers = [&[("cookie", cookie), ("accept", "text/html")], headers].concat();
    let one = || -> Result<usize> {
        let mut connection = Connection::open(host)?;
        let mut size = 0;
        while take() {
            let response = connection.get("/", &headers)?;
            if response.status != 200 {
                bail!("GET / was answered with status {} instead of the containers page", response.status);
            }
            size = response.body.len();
        }
        Ok(size)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        let sizes = threads.into_iter().map(|thread| thread.join().expect("the loader does not panic"));
        sizes.collect::<Result<Vec<_>>>().map(|sizes| sizes.into_iter().max().unwrap_or(0))
    })
}

/// CPU time that the process has used, its threads included.
fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the server has ended")?;
    // SAFETY: sysconf reads a constant of the system.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let ticks = ticks(&stat).context("/proc/PID/stat is not as it should be")?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second))
}

/// utime + stime. Fields count from behind the name, which may hold spaces.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Milliseconds for a fixed piece of work: more of them means that somebody else uses the machine.
fn spin() -> f64 {
    let start = Instant::now();
    let mut number = 1_u64;
    for step in 0..20_000_000_u64 {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
    black_box(number);
    start.elapsed().as_secs_f64() * 1e3
}

fn print_spread(what: &str, digits: usize, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let (n, min, median, max) = (values.len(), values[0], median(values), values[values.len() - 1]);
    println!("  {what}: n={n} min {min:.digits$} median {median:.digits$} max {max:.digits$}");
}

/// Of sorted values: the one below which this part of them lies, or it itself.
fn percentile(values: &[f64], part: f64) -> f64 {
    values[((values.len() as f64 * part).ceil() as usize).clamp(1, values.len()) - 1]
}

/// Of sorted values.
fn median(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces() {
        assert_eq!(ticks("7 (a (b) c) S 1 7 7 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 9 0"), Some(42));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!((median(&[1.0, 2.0, 9.0]), median(&[1.0, 3.0])), (2.0, 2.0));
    }

    #[test]
    fn nine_of_ten_lie_at_the_90th_percentile_or_below() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((percentile(&values, 0.9), percentile(&values[..1], 0.9)), (18.0, 1.0));
    }
}
