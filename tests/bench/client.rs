//! What the client costs, for `cargo xtask bench`, which starts the simulator and names it in BERTH_BENCH_HOST, _PORT and
//! _FINGERPRINT. Prints one line for each measurement: name, calls, seconds, CPU-milliseconds of this process.

use berth::proxmox::{
    Client, Connection,
    client::{Address, SignIn},
    tls::Trust,
    wire::{self, ClusterResources, Resource},
};
use std::{env, error::Error, fs, future::Future, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let host = env::var("BERTH_BENCH_HOST")?;
    let port = env::var("BERTH_BENCH_PORT")?.parse()?;
    let trust = Trust::Pinned(env::var("BERTH_BENCH_FINGERPRINT")?.parse()?);
    let connection = Connection::new(&[Address { host, port, trust }])?;
    let SignIn::Ticket(ticket) = connection.access_ticket(&"root@pam".parse()?, &"berth".to_owned().into()).await? else {
        return Err("the account has a second factor".into());
    };
    let client = connection.with(ticket);
    let calls = 2_000;

    measure("version, one after the other", calls, async || repeat(&client, calls).await).await?;
    let side_by_side = async || {
        let clients: Vec<_> = (0..16).map(|_| client.clone()).collect();
        let all = clients.iter().map(|client| repeat(client, calls / 16));
        futures::future::try_join_all(all).await.map(|_| ())
    };
    measure("version, 16 at a time", calls / 16 * 16, side_by_side).await?;

    let mut guests = Vec::new();
    measure("cluster/resources with 10,000 guests", 20, async || {
        for _ in 0..20 {
            guests = client.cluster_resources(ClusterResources::Guests).await?;
        }
        Ok(())
    })
    .await?;
    if guests.len() < 10_000 {
        return Err(format!("only {} guests", guests.len()).into());
    }

    let text = answer_text(10_000);
    measure("parsing 10,000 guests", 20, async || {
        for _ in 0..20 {
            let guests: Vec<Resource> = wire::entries("bench", &text).ok_or("not a list")?;
            std::hint::black_box(guests);
        }
        Ok(())
    })
    .await
}

async fn repeat(client: &Client, calls: u32) -> Outcome<()> {
    for _ in 0..calls {
        client.version().await?;
    }
    Ok(())
}

/// Runs it once and prints what it took.
async fn measure<F: Future<Output = Outcome<()>>>(name: &str, calls: u32, work: impl FnOnce() -> F) -> Outcome<()> {
    let (began, cpu) = (Instant::now(), cpu_milliseconds()?);
    work().await?;
    println!("{name}\t{calls}\t{:.3}\t{:.1}", began.elapsed().as_secs_f64(), cpu_milliseconds()? - cpu);
    Ok(())
}

/// Rows as `/cluster/resources?type=vm` has them.
fn answer_text(guests: u32) -> String {
    let rows: Vec<_> = (0..guests)
        .map(|n| {
            format!(
                r#"{{"id":"lxc/{0}","vmid":{0},"node":"pve1","type":"lxc","status":"running","name":"ct{0}","template":0,"maxcpu":2,"cpu":0.0{0},"maxmem":1073741824,"mem":268435456,"maxdisk":8589934592,"disk":2147483648,"netin":{0}77,"netout":{0}33,"diskread":{0}11,"diskwrite":{0}22,"uptime":86400,"tags":"prod;web"}}"#,
                n + 100
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}

/// User and system time of this process so far; the kernel counts in hundredths of a second.
fn cpu_milliseconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("an odd /proc/self/stat")?.1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 * 10.0)
}
