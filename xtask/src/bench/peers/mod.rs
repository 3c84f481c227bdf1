//! `cargo xtask bench --peers`: Berth beside what it is to be and what others cost, one line for each figure.
//!
//! The release server and the release site; the simulated cluster is a process of its own and has no delay. Server CPU is read from
//! `/proc`, calls are counted at the simulator, and a real Chromium opens the pages (`end2end/bench/`). Bytes, counts and CPU hardly depend
//! on what else the machine does; milliseconds do, which the gauge after each part tells: 1.0 is a core of our own.
//!
//! The peer is the dashboard that Berth is to replace, a Next.js application, measured the same way on two cores in November 2026.

mod table;
mod tabs;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bed, Simulator, control, cpu_time, load_average, sign_in_as};
use crate::{
    budget,
    http::Connection,
    paths,
    process::{self, SIGCONT, SIGSTOP, cargo, command},
    setup,
    site::{self, Profile},
};
use table::{Goal, Table};
use tabs::Tabs;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Load,
    Views,
    Calls,
    Verbs,
    Scroll,
    Memory,
    Outage,
}

const PARTS: [Part; 7] = [Part::Load, Part::Views, Part::Calls, Part::Verbs, Part::Scroll, Part::Memory, Part::Outage];

#[derive(clap::Args)]
pub struct Choice {
    /// Beside what others cost
    #[arg(long, conflicts_with_all = ["sizes", "verbs"])]
    pub peers: bool,
    /// Of --peers only these parts
    #[arg(long, value_delimiter = ',', requires = "peers")]
    part: Vec<Part>,
    /// For --peers: the folder of programs that are built already
    #[arg(long, requires = "peers")]
    programs: Option<PathBuf>,
    /// For --peers: how often what a browser does is measured
    #[arg(long, default_value_t = 9, requires = "peers")]
    visits: usize,
}

/// What a browser says that it can read, as the peers were asked.
const ENCODINGS: (&str, &str) = ("accept-encoding", "gzip, br");
/// How fast the simulated time passes where a task is to take a second: a start takes 1.8 s of it.
const SPEED: f64 = 1.8;

pub fn run(args: &Choice) -> Result<ExitCode> {
    site::build(Profile::Release)?;
    let programs = match &args.programs {
        Some(folder) => folder.clone(),
        None => {
            process::run(&mut cargo(&["build", "--release", "--features", "ssr", "--bin", "berth", "--bin", "pve-simulator"]))?;
            paths::target().join("release")
        }
    };
    let mut bench = Bench { programs, visits: args.visits.max(1), table: Table::default() };
    println!("  figure | n min/median/max | goal | peer");
    for part in PARTS.into_iter().filter(|part| args.part.is_empty() || args.part.contains(part)) {
        let before = Gauge::now();
        match part {
            Part::Load => bench.load()?,
            Part::Views => bench.views()?,
            Part::Calls => bench.calls()?,
            Part::Verbs => bench.verbs()?,
            Part::Scroll => bench.scroll()?,
            Part::Memory => bench.memory()?,
            Part::Outage => bench.outage()?,
        }
        let after = Gauge::now();
        println!(
            "  gauge: wall/CPU of a fixed loop {:.2} before, {:.2} after; load average {} and {}",
            before.0, after.0, before.1, after.1
        );
    }
    println!("  command: cargo xtask bench --peers --visits {}", bench.visits);
    for missed in &bench.table.missed {
        println!("  missed: {missed}");
    }
    Ok(ExitCode::SUCCESS)
}

/// How much of a core we get: 1.0 is all of it. And the load average.
struct Gauge(f64, String);

impl Gauge {
    fn now() -> Self {
        let (wall, cpu) = (Instant::now(), own_cpu());
        super::spin();
        Self(wall.elapsed().as_secs_f64() / (own_cpu() - cpu), load_average())
    }
}

/// CPU seconds of this thread.
fn own_cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Bench {
    programs: PathBuf,
    visits: usize,
    table: Table,
}

impl Bench {
    /// A server beside a cluster of that many containers.
    fn bed(&self, containers: usize, speed: f64) -> Result<Bed> {
        let flags = ["--control", "--containers", &containers.to_string(), "--speed", &speed.to_string()];
        let simulator = Simulator::start(&self.programs, &flags)?;
        let mut server = command(self.programs.join("berth"), paths::root());
        server.arg("--site").arg(site::directory(Profile::Release));
        Bed::start(&mut server, simulator)
    }

    /// Lets a browser measure something; what it said, by figure.
    fn browser(&self, script: &str, bed: &Bed, times: usize) -> Result<BTreeMap<String, Vec<f64>>> {
        let folder = paths::end2end();
        setup::packages(&folder)?;
        let mut node = command("node", &folder);
        node.arg(format!("bench/{script}.mjs"))
            .env("BERTH_URL", format!("http://{}", bed.host))
            .env("BERTH_CLUSTER", bed.simulator.address.to_string())
            .env("BERTH_CHROMIUM", setup::chromium()?)
            .env("BERTH_TIMES", times.to_string())
            .env("BERTH_TASK_MS", "1000");
        let mut figures: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in process::capture(&mut node)?.lines() {
            let said: Value = serde_json::from_str(line).with_context(|| format!("{script}.mjs said {line}"))?;
            let (figure, value) = (said["figure"].as_str(), said["value"].as_f64());
            let (figure, value) = figure.zip(value).with_context(|| format!("{script}.mjs said {line}"))?;
            figures.entry(figure.to_owned()).or_default().push(value);
        }
        Ok(figures)
    }

    fn load(&mut self) -> Result<()> {
        println!("== the first load of / with 20 containers, nothing in the cache");
        let (program, fonts) = budget::first_visit()?;
        let bed = self.bed(20, 1.0)?;
        let said = self.browser("load", &bed, self.visits)?;
        let of = |figure: &str| said.get(figure).cloned().unwrap_or_default();
        let table = &mut self.table;
        table.line("requests", 0, &of("requests"), Goal::AtMost(12.0), "58");
        table.line("WASM + JS + CSS, kB as brotli, to be 250", 1, &[program as f64 / 1e3], Goal::AtMost(280.0), "186.5 (JS + CSS)");
        table.line("fonts, kB", 1, &[fonts as f64 / 1e3], Goal::AtMost(55.0), "53.1");
        table.line("fonts asked for before the WASM", 0, &of("fonts-first"), Goal::AtMost(0.0), "–");
        table.line("all of it on the wire, kB", 1, &kilo(of("wire")), Goal::None, "316");
        table.line("first paint, ms", 0, &of("paint"), Goal::None, "532");
        table.line("taken over, ms", 0, &of("ready"), Goal::None, "831");
        table.line("first paint on slow 4G, ms", 0, &of("slow-paint"), Goal::Below(900.0), "904");
        table.line("taken over on slow 4G, ms", 0, &of("slow-ready"), Goal::Below(2000.0), "2,062");
        bed.stop();
        Ok(())
    }

    fn views(&mut self) -> Result<()> {
        println!("== a view of / from the server, compressed as for a browser, beats of the watcher included");
        const ROUNDS: usize = 5;
        let mut before = 0.0;
        for (containers, views, peer) in [(20, 400, "42"), (200, 400, "130"), (2_000, 400, "1,150"), (10_000, 400, "–")] {
            let bed = self.bed(containers, 1.0)?;
            let cookie = sign_in_as(bed.host, "bench", "alice")?;
            let size = warm(bed.host, &cookie)?;
            super::load_with(bed.host, &cookie, views, &[ENCODINGS])?;
            let mut costs = Vec::new();
            for _ in 0..ROUNDS {
                let cpu = cpu_time(bed.server.id())?;
                super::load_with(bed.host, &cookie, views, &[ENCODINGS])?;
                costs.push((cpu_time(bed.server.id())? - cpu).as_secs_f64() * 1e3 / views as f64);
            }
            let goal = match containers {
                20 => Goal::AtMost(2.0),
                200 => Goal::AtMost(4.0),
                2_000 => Goal::AtMost(10.0),
                // flat
                _ => Goal::AtMost((before * 1.5_f64).max(2.0).round()),
            };
            costs.sort_by(f64::total_cmp);
            before = super::median(&costs);
            let count = count(containers);
            self.table.line(&format!("server CPU-ms per view, {count} containers"), 2, &costs, goal, peer);
            let peer = match containers {
                20 => "148",
                200 => "1,106",
                2_000 => "10,698",
                _ => "–",
            };
            self.table.line(&format!("HTML, kB, {count} containers"), 1, &[size as f64 / 1e3], Goal::AtMost(150.0), peer);
            let answer = Connection::open(bed.host)?.get("/", &[("cookie", &cookie), ENCODINGS])?;
            self.table.line(
                &format!("HTML on the wire, kB, {count} containers"),
                1,
                &[answer.body.len() as f64 / 1e3],
                Goal::None,
                match containers {
                    20 => "13.4",
                    200 => "32.6",
                    2_000 => "216.5",
                    _ => "–",
                },
            );
            if containers == 20 {
                self.calls_of_views(&bed, &cookie)?;
            }
            bed.stop();
        }
        Ok(())
    }

    /// Right after a beat, so that there is none among the views.
    fn calls_of_views(&mut self, bed: &Bed, cookie: &str) -> Result<()> {
        const VIEWS: usize = 100;
        let mut values = Vec::new();
        for _ in 0..3 {
            forget(bed)?;
            let deadline = Instant::now() + Duration::from_secs(30);
            while !paths_of(bed)?.iter().any(|path| path.starts_with("/cluster/resources")) {
                if Instant::now() > deadline {
                    bail!("Proxmox was not asked for half a minute, though somebody looks");
                }
                thread::sleep(Duration::from_millis(100));
            }
            thread::sleep(Duration::from_secs(1));
            forget(bed)?;
            super::load_with(bed.host, cookie, VIEWS, &[ENCODINGS])?;
            // addresses and configurations are read at their own pace, whoever looks
            let calls = paths_of(bed)?.iter().filter(|path| !is_errand(path)).count();
            values.push(calls as f64 / VIEWS as f64);
        }
        self.table.line("calls to Proxmox per view, warm", 2, &values, Goal::AtMost(0.0), "2");
        Ok(())
    }

    fn calls(&mut self) -> Result<()> {
        println!("== calls to Proxmox in a minute, 20 containers, every viewer with an open stream");
        let bed = self.bed(20, 1.0)?;
        let cookies: Vec<String> = (0..10).map(|_| sign_in_as(bed.host, "bench", "alice")).collect::<Result<_>>()?;
        warm(bed.host, &cookies[0])?;
        let mut tabs = Tabs::none();
        tabs.open(1, bed.host, &cookies[0]);
        // each configuration is read once, one a second
        thread::sleep(Duration::from_secs(30));
        let one = self.minute("1 viewer", &bed, &tabs, Goal::None, "4")?;
        tabs.open(4, bed.host, &cookies[0]);
        cookies[1..].iter().for_each(|cookie| tabs.open(5, bed.host, cookie));
        thread::sleep(Duration::from_secs(5));
        // a beat more or less
        self.minute("50 viewers, who are one user", &bed, &tabs, Goal::As(one, 4.0), "200")?;
        tabs.close()?;
        let mut tabs = Tabs::none();
        for number in 0..10 {
            tabs.open(5, bed.host, &sign_in_as(bed.host, "bench", &format!("user{number}"))?);
        }
        // the first one's watcher ends after half a minute
        thread::sleep(Duration::from_secs(45));
        self.minute("50 viewers, who are ten users", &bed, &tabs, Goal::None, "200")?;
        tabs.close()?;
        bed.stop();
        Ok(())
    }

    /// What is asked in a minute.
    fn minute(&mut self, who: &str, bed: &Bed, tabs: &Tabs, goal: Goal, peer: &str) -> Result<f64> {
        forget(bed)?;
        let (cpu, asked) = (cpu_time(bed.server.id())?, tabs.asked());
        thread::sleep(Duration::from_secs(60));
        let (cpu, asked) = ((cpu_time(bed.server.id())? - cpu).as_secs_f64() * 1e3, tabs.asked() - asked);
        let paths = paths_of(bed)?;
        let of = |part: &str| paths.iter().filter(|path| path.contains(part)).count();
        let errands = paths.iter().filter(|path| is_errand(path)).count();
        let calls = (paths.len() - errands) as f64;
        self.table.line(&format!("calls in a minute, {who}"), 0, &[calls], goal, peer);
        println!(
            "    {} /cluster/resources, {} /cluster/tasks, {} /access/permissions; besides them {errands} reads of addresses and \
             configurations, at most 3 a second; the tabs asked for {asked} pages",
            of("/cluster/resources"),
            of("/cluster/tasks"),
            of("/access/permissions")
        );
        self.table.line(
            &format!("server CPU-ms in a minute, {who}"),
            0,
            &[cpu],
            Goal::None,
            if calls > 0.0 && peer == "4" { "925" } else { "–" },
        );
        Ok(calls)
    }

    fn verbs(&mut self) -> Result<()> {
        println!("== Start pressed in a row, a task of 1.0 s");
        for (containers, pending, done) in [(20, "53", "1,150"), (200, "216", "1,500"), (2_000, "2,100", "7,100"), (10_000, "–", "–")] {
            let bed = self.bed(containers, SPEED)?;
            // half of the 20 stand
            let said = self.browser("verb", &bed, self.visits.min(9))?;
            let of = |figure: &str| said.get(figure).cloned().unwrap_or_default();
            let count = count(containers);
            self.table.line(&format!("press to pending on screen, ms, {count} containers"), 0, &of("pending"), Goal::Below(100.0), pending);
            self.table.line(&format!("press to call at Proxmox, ms, {count} containers"), 0, &of("asked"), Goal::None, "–");
            self.table.line(&format!("task's end to screen, ms, {count} containers"), 0, &of("done"), Goal::AtMost(200.0), done);
            bed.stop();
        }
        Ok(())
    }

    fn scroll(&mut self) -> Result<()> {
        println!("== 10,000 containers scrolled through by wheel and by keyboard, CPU of the page's main thread");
        let bed = self.bed(10_000, 1.0)?;
        let said = self.browser("scroll", &bed, self.visits.min(9))?;
        let of = |figure: &str| said.get(figure).cloned().unwrap_or_default();
        self.table.line("the longest task, ms", 1, &of("longest"), Goal::AtMost(50.0), "–");
        self.table.line("tasks over 50 ms", 0, &of("long"), Goal::AtMost(0.0), "–");
        bed.stop();
        Ok(())
    }

    fn memory(&mut self) -> Result<()> {
        println!("== resident memory of the server, MiB");
        let bed = self.bed(2_000, 1.0)?;
        self.table.line("fresh", 1, &[resident(bed.server.id())?], Goal::None, "209");
        let cookie = sign_in_as(bed.host, "bench", "alice")?;
        warm(bed.host, &cookie)?;
        super::load_with(bed.host, &cookie, 200, &[ENCODINGS])?;
        self.table.line("2,000 containers, after 200 views", 1, &[resident(bed.server.id())?], Goal::AtMost(60.0), "681–1,575");
        bed.stop();
        let bed = self.bed(10_000, 1.0)?;
        let mut tabs = Tabs::none();
        for number in 0..10 {
            let cookie = sign_in_as(bed.host, "bench", &format!("user{number}"))?;
            warm(bed.host, &cookie)?;
            tabs.open(10, bed.host, &cookie);
        }
        let (cpu, mut values) = (cpu_time(bed.server.id())?, Vec::new());
        for _ in 0..12 {
            thread::sleep(Duration::from_secs(5));
            values.push(resident(bed.server.id())?);
        }
        let cpu = (cpu_time(bed.server.id())? - cpu).as_secs_f64() * 1e3;
        self.table.line("10,000 containers, 10 users with 10 streams each, during a minute", 1, &values, Goal::AtMost(200.0), "–");
        self.table.line("at the end of it", 1, &values[11..], Goal::AtMost(200.0), "–");
        self.table.line("at its highest", 1, &[peak(bed.server.id())?], Goal::None, "–");
        self.table.line("server CPU-ms in that minute", 0, &[cpu], Goal::None, "–");
        println!("    the tabs asked for {} pages", tabs.asked());
        tabs.close()?;
        bed.stop();
        Ok(())
    }

    fn outage(&mut self) -> Result<()> {
        println!("== first byte of /, ms, 20 containers, warm");
        let bed = self.bed(20, 1.0)?;
        let cookie = sign_in_as(bed.host, "bench", "alice")?;
        warm(bed.host, &cookie)?;
        let mut normal = look(bed.host, &cookie)?;
        self.table.line("as ever", 1, &normal, Goal::None, "108");
        normal.sort_by(f64::total_cmp);
        // twice of it is still nothing that anybody sees
        let (middle, within) = (super::median(&normal), super::median(&normal).max(10.0));
        bed.simulator.job.signal(SIGSTOP);
        let hanging = look(bed.host, &cookie);
        bed.simulator.job.signal(SIGCONT);
        self.table.line("Proxmox hangs", 1, &hanging?, Goal::As(middle, within), "49,000");
        let Bed { simulator, server, host } = bed;
        thread::sleep(Duration::from_secs(12));
        simulator.stop();
        let refused = look(host, &cookie)?;
        self.table.line("Proxmox refuses connections", 1, &refused, Goal::As(middle, within), "7,200");
        server.stop(process::SIGTERM);
        Ok(())
    }
}

/// Looks every half second, so that there are beats among it; how long the first byte took.
fn look(host: SocketAddr, cookie: &str) -> Result<Vec<f64>> {
    let mut values = Vec::new();
    for _ in 0..50 {
        let (first, answer) = Connection::open(host)?.get_timed("/", &[("cookie", cookie), ENCODINGS])?;
        if answer.status != 200 {
            bail!("/ was answered with status {}", answer.status);
        }
        values.push(first.as_secs_f64() * 1e3);
        thread::sleep(Duration::from_millis(500));
    }
    Ok(values)
}

fn kilo(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|value| value / 1e3).collect()
}

/// 10,000 as people write it.
fn count(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}

/// Looks until the list is there; the size of its page.
fn warm(host: SocketAddr, cookie: &str) -> Result<usize> {
    let mut connection = Connection::open(host)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let answer = connection.get("/", &[("cookie", cookie)])?;
        if answer.status != 200 {
            bail!("/ was answered with status {}", answer.status);
        }
        if String::from_utf8_lossy(&answer.body).contains("id=\"rows\"") {
            return Ok(answer.body.len());
        }
        thread::sleep(Duration::from_millis(200));
    }
    bail!("there is no list after a minute")
}

/// Lets the simulator forget what it was asked.
fn forget(bed: &Bed) -> Result<()> {
    control(bed.simulator.address, "DELETE", "requests").map(drop)
}

/// What the simulator was asked since then.
fn paths_of(bed: &Bed) -> Result<Vec<String>> {
    let said = control(bed.simulator.address, "GET", "requests")?;
    let requests = said["requests"].as_array().context("the simulator does not say what it was asked")?;
    Ok(requests.iter().filter_map(|request| Some(request["path"].as_str()?.to_owned())).collect())
}

/// Reads of single containers in the background.
fn is_errand(path: &str) -> bool {
    path.ends_with("/interfaces") || path.ends_with("/config")
}

/// Resident memory in MiB.
fn resident(process: u32) -> Result<f64> {
    status(process, "VmRSS:")
}

fn peak(process: u32) -> Result<f64> {
    status(process, "VmHWM:")
}

fn status(process: u32, field: &str) -> Result<f64> {
    let text = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).context("the server has ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("/proc/PID/status lacks {field}"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().context("/proc/PID/status is not as it should be")?;
    Ok(kilobytes / 1024.0)
}
