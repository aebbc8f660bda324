use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use lingate_checker::Counts;
use lingate_e2e::{Launch, Places, Stage, StageLoad, Surroundings};

use crate::shell::{AtEnd, forbids_root, run};
use crate::{Ending, Stint};

const PLANT: [&str; 2] = ["10.97.31.1", "10.97.31.2"];
const BROKER: [&str; 2] = ["10.97.32.1", "10.97.32.2"];

/// A network namespace for the gateway, with one cable to the device and one to the broker.
struct Cables {
    namespace: String,
    _ends: Vec<AtEnd>,
}

impl Cables {
    fn lay() -> Result<Cables> {
        // The kernel takes a moment to remove what the row before laid.
        static LAID: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), LAID.fetch_add(1, Ordering::Relaxed));
        let namespace = format!("lingate-{id}");
        run(&["ip", "netns", "add", &namespace])?;
        let mut ends = vec![AtEnd(["ip", "netns", "del", &namespace].map(str::to_owned).to_vec())];
        run(&["ip", "-n", &namespace, "link", "set", "lo", "up"])?;
        for (inside, [here, there]) in [("plant", PLANT), ("broker", BROKER)] {
            let outside = format!("lg{}{id}", &inside[..1]);
            run(&["ip", "link", "add", &outside, "type", "veth", "peer", "name", inside, "netns", &namespace])?;
            ends.insert(0, AtEnd(["ip", "link", "del", &outside].map(str::to_owned).to_vec()));
            run(&["ip", "address", "add", &format!("{here}/30"), "dev", &outside])?;
            run(&["ip", "link", "set", &outside, "up"])?;
            run(&["ip", "-n", &namespace, "address", "add", &format!("{there}/30"), "dev", inside])?;
            run(&["ip", "-n", &namespace, "link", "set", inside, "up"])?;
        }
        Ok(Cables { namespace, _ends: ends })
    }

    fn set(&self, cable: &str, state: &str) -> Result<()> {
        run(&["ip", "-n", &self.namespace, "link", "set", cable, state]).map(drop)
    }

    fn inside(&self, words: &[&str]) -> Result<()> {
        run(&[&["ip", "netns", "exec", &self.namespace], words].concat()).map(drop)
    }

    /// Loses one packet in five, both ways; gives the name of what loses them.
    fn lose(&self) -> Result<&'static str> {
        let netem = |cable| self.inside(&["tc", "qdisc", "add", "dev", cable, "root", "netem", "loss", "20%"]);
        if netem("plant").and_then(|()| netem("broker")).is_ok() {
            return Ok("netem");
        }
        self.inside(&["nft", "add", "table", "inet", "lossy"])?;
        for hook in ["input", "output"] {
            let chain = format!("{{ type filter hook {hook} priority 0; }}");
            self.inside(&["nft", "add", "chain", "inet", "lossy", hook, &chain])?;
            let rule = ["numgen", "random", "mod", "100", "<", "20", "drop"];
            self.inside(&[&["nft", "add", "rule", "inet", "lossy", hook][..], &rule].concat())?;
        }
        Ok("nftables")
    }

    fn lose_nothing(&self) {
        // Only one of the two is there.
        let _ = self.inside(&["nft", "delete", "table", "inet", "lossy"]);
        for cable in ["plant", "broker"] {
            let _ = self.inside(&["tc", "qdisc", "del", "dev", cable, "root"]);
        }
    }
}

async fn open(stint: &Stint) -> Result<Result<(Stage, Cables), Ending>> {
    if let Some(reason) = forbids_root() {
        return Ok(Err(Ending::Skipped(reason)));
    }
    let cables = match Cables::lay() {
        Ok(cables) => cables,
        Err(error) => return Ok(Err(Ending::Skipped(format!("{error:#}")))),
    };
    let prefix = ["ip", "netns", "exec", &cables.namespace].map(str::to_owned).to_vec();
    let places = Places {
        device: PLANT[0].parse()?,
        broker: BROKER[0].parse()?,
        surroundings: Surroundings { broker_host: BROKER[0].to_owned(), ..Surroundings::default() },
        launch: Launch { prefix, environment: Vec::new() },
        ..Places::default()
    };
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), places).await?;
    // An answer that is lost on its way was served, and its slots are declared.
    stage.evidence.counts = Counts::AtLeast;
    stage.start().await?;
    stage.arrive(200).await?;
    Ok(Ok((stage, cables)))
}

pub(crate) async fn plant_cable(stint: Stint) -> Result<Ending> {
    cut(stint, "plant", 2_500).await
}

pub(crate) async fn broker_cable(stint: Stint) -> Result<Ending> {
    cut(stint, "broker", 2_500).await
}

async fn cut(stint: Stint, cable: &'static str, milliseconds: u64) -> Result<Ending> {
    let (mut stage, cables) = match open(&stint).await? {
        Ok(both) => both,
        Err(ending) => return Ok(ending),
    };
    for _ in 0..3 * stint.times {
        cables.set(cable, "down")?;
        stage.pause(milliseconds).await;
        cables.set(cable, "up")?;
        stage.fault("cut");
        stage.arrive(100).await?;
    }
    Ok(Ending::Judged(Box::new(stage.conclude(stint.least).await?)))
}

pub(crate) async fn packet_loss(stint: Stint) -> Result<Ending> {
    let (mut stage, cables) = match open(&stint).await? {
        Ok(both) => both,
        Err(ending) => return Ok(ending),
    };
    let mut by = "";
    for _ in 0..3 * stint.times {
        by = match cables.lose() {
            Ok(by) => by,
            Err(error) => return Ok(Ending::Skipped(format!("{error:#}"))),
        };
        stage.pause(2_500).await;
        cables.lose_nothing();
        stage.fault("loss");
        stage.arrive(100).await?;
    }
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("lost_by", by);
    Ok(Ending::Judged(Box::new(verdict)))
}
