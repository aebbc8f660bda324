//! An OPC UA server that dies and comes back under load: data flow again soon, the server never has more than one session
//! of ours, and whatever was missed is declared or filled in.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panic and waits for real processes"
)]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use lingate_e2e::{Daemon, DeclaredGap, Ledger, Rig, Settings, wait_for};
use lingate_model::{DeviceTime, UtcMicros};
use lingate_plant::opcua::{Connection, Machine, MachineKind, MachineOptions, MachineSpec, Tap, machine_toml};
use lingate_sandbox::Broker;

/// The promise: from the server's return to values at the sandbox.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const ITEMS: u32 = 200;
/// The gateway's clock stands beside that of the machine: half a tick on either side, and the way between them.
const SLACK_US: i64 = 200_000;
const GROWTH_MAX_KIB: u64 = 8 << 10;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: .ci/run"]
async fn killed_three_times_the_server_gets_its_gateway_back_and_every_hole_is_declared() {
    comes_back_after(3, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: .ci/run"]
async fn killed_twenty_times_the_server_gets_its_gateway_back_and_every_hole_is_declared() {
    comes_back_after(20, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute: .ci/run"]
async fn what_the_server_remembers_is_filled_in_after_it_was_cut_off() {
    comes_back_after(2, true).await;
}

/// Between 0.3 and 2 s, the same ones in every run.
fn moments() -> impl Iterator<Item = Duration> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(300 + (state >> 33) % 1_700)
    })
}

/// With history, the server lives on and only its network dies: it then remembers what was missed.
async fn comes_back_after(kills: usize, has_history: bool) {
    let spec = MachineSpec::new("load-1", MachineKind::Numbered(ITEMS)).with_tick(Duration::from_millis(100));
    let options = MachineOptions { has_history, ..MachineOptions::default() };
    let machine = tokio::task::spawn_blocking(|| Machine::start(spec, options).unwrap()).await.unwrap();
    let tap = Tap::before(machine.address()).await.unwrap();
    let mut rig = Rig::new(env!("CARGO_BIN_EXE_lingate-e2e-gateway")).unwrap();
    let mut broker = Broker::start(&rig.authority, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let broker_port = broker.address().port();
    let url = tap.url();
    let mut connection =
        Connection { every: "50ms", equipment: Some("acme/lingang/load-1"), ..Connection::new(&url, "ds-extr-07") };
    let backfill = format!("{}\nbackfill = true", connection.settings);
    if has_history {
        connection.settings = &backfill;
    }
    let devices = machine_toml(machine.spec(), &connection);
    rig.enroll(&Settings { broker_port, devices, flush: "{ age = \"100ms\" }", commit: "50ms" }).unwrap();
    let receiver = rig.receiver(broker_port).unwrap();
    let daemon = rig.start(&[]).unwrap();
    let ledger = rig.ledger().unwrap();
    flows_after(&ledger, machine.spec(), 0, "at the start", Duration::from_secs(30)).await;

    let (mut slowest, mut memory) = (Duration::ZERO, Vec::new());
    for (kill, pair) in (1..=kills).zip(moments().collect_pairs()) {
        tokio::time::sleep(pair.0).await;
        let back = if has_history { cut_off(&tap, pair.1).await } else { dies_for(&machine, pair.1).await };
        let took = flows_after(&ledger, machine.spec(), back, &format!("after kill {kill}"), BACK_WITHIN).await;
        slowest = slowest.max(took);
        memory.push(daemon.load().unwrap().resident_kib);
    }
    // What is filled in comes at a bounded rate.
    let mut filled = u64::MAX;
    while filled != machine.written().1 {
        filled = machine.written().1;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    ends(daemon, &rig).await;
    judge(&ledger, &machine, has_history);
    let counts = tap.counts();
    assert_eq!((counts.forbidden(), counts.broken), (vec![], 0));
    let most = machine.sessions().1;
    println!(
        "{kills} kills: back within {} ms, sessions at most {most}, memory {memory:?} KiB, {} requests, 0 forbidden",
        slowest.as_millis(),
        counts.requests()
    );
    assert!(has_history || most <= 1, "{most} sessions at once");
    // A session whose connection was cut stays at the server until its timeout of 30 s; any other was closed.
    let lingers = Duration::from_secs(if has_history { 40 } else { 2 });
    wait_for("the end of every session", lingers, || machine.sessions().0 == 0).await.unwrap();
    let early = memory.get(1).or(memory.first()).copied().unwrap_or(0);
    assert!(memory.last().copied().unwrap_or(0) < early + GROWTH_MAX_KIB, "{memory:?}");
    receiver.stop().await.unwrap();
    broker.stop().await;
}

/// Its return, in ticks.
async fn dies_for(machine: &Machine, pause: Duration) -> i64 {
    tokio::task::block_in_place(|| machine.kill());
    tokio::time::sleep(pause).await;
    tokio::task::block_in_place(|| machine.restart().unwrap());
    now_ticks()
}

async fn cut_off(tap: &Tap, pause: Duration) -> i64 {
    tap.hold();
    tokio::time::sleep(pause * 3).await;
    tap.cut();
    now_ticks()
}

fn now_ticks() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    DeviceTime::from(UtcMicros(i64::try_from(since.as_micros()).unwrap())).0
}

/// Until the sandbox has a value that is younger than `moment`.
async fn flows_after(ledger: &Ledger, spec: &MachineSpec, moment: i64, what: &str, limit: Duration) -> Duration {
    let began = Instant::now();
    let last = format!("{}/tag_{:05}", spec.name, ITEMS - 1);
    let is_back = || ledger.newest(&last).ok().flatten().is_some_and(|newest| newest > moment);
    wait_for(&format!("values {what}"), limit, is_back).await.unwrap();
    began.elapsed()
}

async fn ends(daemon: Daemon, rig: &Rig) {
    daemon.terminate().unwrap();
    let status = tokio::task::spawn_blocking(|| daemon.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{}", rig.log().unwrap());
    let (ledger, accepted) = (rig.ledger().unwrap(), rig.accepted().unwrap());
    let _ = wait_for("every accepted record", Duration::from_secs(20), || {
        accepted.is_subset(&ledger.identities().unwrap())
    })
    .await;
}

/// Every value is what was served; every n that was served between the first and the last that arrived came, or lies in
/// a declared hole.
fn judge(ledger: &Ledger, machine: &Machine, has_history: bool) {
    let spec = machine.spec();
    let gaps = ledger.device_gaps().unwrap();
    let (mut checked, mut holes) = (0, 0);
    for variable in spec.variables().iter().filter(|it| it.name != "n").step_by(20) {
        let values = ledger.timed(&format!("{}/{}", spec.name, variable.name)).unwrap();
        let arrived: BTreeSet<u32> = values.iter().map(|(ticks, _)| spec.n_of(DeviceTime(*ticks)).unwrap()).collect();
        for (ticks, value) in &values {
            let n = spec.n_of(DeviceTime(*ticks)).unwrap();
            assert_eq!(*value as u64 & 0xFFFF_FFFF, u64::from(n), "{} is wrong", variable.name);
            checked += 1;
        }
        let (first, last) = (*arrived.first().unwrap(), *arrived.last().unwrap());
        let served = machine.runs().into_iter().flat_map(|(from, to)| from.max(first)..=to.min(last));
        for n in served.filter(|n| !arrived.contains(n)) {
            holes += 1;
            let at = spec.time_of(n).utc().0;
            assert!(gaps.iter().any(|gap| covers(gap, at)), "{} misses n = {n} at {at}: {gaps:?}", variable.name);
        }
    }
    println!("{checked} values checked, {holes} served ones missing and declared, {} gap records", gaps.len());
    assert!(checked > 100);
    if has_history {
        assert!(machine.written().1 > 0, "no history was read");
        assert_eq!(holes, 0, "history would have filled them");
    }
}

fn covers(gap: &DeclaredGap, at: i64) -> bool {
    (gap.from_us - SLACK_US..=gap.to_us + SLACK_US).contains(&at) && gap.readings > 0
}

trait Pairs: Iterator + Sized {
    fn collect_pairs(mut self) -> impl Iterator<Item = (Self::Item, Self::Item)> {
        std::iter::from_fn(move || Some((self.next()?, self.next()?)))
    }
}

impl<I: Iterator> Pairs for I {}
