//! What a verb takes besides its task: a container is started and stopped, one after the other, over HTTP and by somebody who is signed
//! in. The tasks of the simulated cluster have a known length, so what is over is Berth's, the network's and the pause before the poll
//! that sees the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Bed, Simulator, control, percentile, print_spread, release, sign_in};
use crate::{build, http::Connection, paths, process::command, site::Profile};

/// How fast the simulated time passes: a start takes 1.8 s of it, and so a second of ours.
const SPEED: f64 = 1.8;
/// The verbs with what their tasks take at a speed of 1, as it was measured.
const VERBS: [(&str, Duration); 2] = [("start", Duration::from_millis(1_800)), ("stop", Duration::from_millis(1_750))];
/// A container that stands and does as it is told.
const VMID: u64 = 103;

pub fn run(times: usize) -> Result<()> {
    let program = build::server(Profile::Release)?;
    let simulator = Simulator::start(&release()?, &["--speed", &SPEED.to_string(), "--control"])?;
    let bed = Bed::start(&mut command(program, paths::root()), simulator)?;
    let (host, address) = (bed.host, bed.simulator.address);
    let cookie = sign_in(host, "bench")?;
    let mut browser = Connection::open(host)?;
    let id = container(&mut browser, &cookie)?;

    let mut over = VERBS.map(|_| Vec::new());
    let mut calls = VERBS.map(|_| Vec::new());
    for _ in 0..times.max(1) {
        for (n, (verb, task)) in VERBS.into_iter().enumerate() {
            control(address, "DELETE", "requests")?;
            let began = Instant::now();
            let headers = [("cookie", cookie.as_str()), ("accept", "application/json")];
            let answer = browser.post_form_with(&format!("/api/{verb}_container"), &[("id", &id)], &headers)?;
            let took = began.elapsed();
            if answer.status != 200 {
                bail!("a {verb} was answered with status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            over[n].push((took.as_secs_f64() - task.as_secs_f64() / SPEED) * 1e3);
            let asked = control(address, "GET", "requests")?;
            calls[n].push(asked["requests"].as_array().context("the simulator does not say what it was asked")?.len() as f64);
        }
    }
    bed.stop();
    for (n, (verb, task)) in VERBS.into_iter().enumerate() {
        println!("  {verb}, a task of {:.2} s", task.as_secs_f64() / SPEED);
        print_spread("  ms over the task", 0, &mut over[n]);
        println!("    p90 {:.0}", percentile(&over[n], 0.9));
        print_spread("  calls to Proxmox", 0, &mut calls[n]);
    }
    println!("  goal: median 120 ms over a task of 1.0 s; command: cargo xtask bench --verbs --times {times}");
    Ok(())
}

/// The id of the container's row.
fn container(browser: &mut Connection, cookie: &str) -> Result<String> {
    let answer = browser.get("/api/list_containers", &[("cookie", cookie), ("accept", "application/json")])?;
    let list: Value = serde_json::from_slice(&answer.body).context("the list of containers is no JSON")?;
    let row = list["rows"].as_array().into_iter().flatten().find(|row| row["vmid"] == VMID);
    let id = row.and_then(|row| row["id"].as_str()).with_context(|| format!("there is no CT {VMID} in the list"))?;
    Ok(id.to_owned())
}
