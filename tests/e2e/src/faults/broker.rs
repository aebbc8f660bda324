use anyhow::Result;
use lingate_e2e::{Places, Stage, StageLoad, Surroundings};

use crate::shell::run;
use crate::{Ending, Stint};

pub(crate) async fn restarts(stint: Stint) -> Result<Ending> {
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    stage.start().await?;
    for _ in 0..4 * stint.times {
        stage.arrive(150).await?;
        stage.mosquitto.stop()?;
        stage.pause(700).await;
        stage.mosquitto.start_again().await?;
        stage.fault("restart");
    }
    stage.arrive(150).await?;
    Ok(Ending::Judged(Box::new(stage.conclude(stint.least).await?)))
}

/// It loses what it acknowledged since its last save: only receipts make that whole.
pub(crate) async fn killed(stint: Stint) -> Result<Ending> {
    with_receipts(stint, true).await
}

pub(crate) async fn forgets(stint: Stint) -> Result<Ending> {
    with_receipts(stint, false).await
}

async fn with_receipts(stint: Stint, broker_keeps: bool) -> Result<Ending> {
    let surroundings = Surroundings { ack: "receipt", ..Surroundings::default() };
    let places = Places { broker_keeps, surroundings, ..Places::default() };
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), places).await?;
    stage.start().await?;
    for _ in 0..4 * stint.times {
        stage.arrive(150).await?;
        match broker_keeps {
            true => stage.mosquitto.kill()?,
            false => stage.mosquitto.stop()?,
        }
        stage.pause(500).await;
        stage.mosquitto.start_again().await?;
        stage.fault("broker");
    }
    stage.arrive(150).await?;
    Ok(Ending::Judged(Box::new(stage.conclude(stint.least).await?)))
}

/// As MQTT 5 section 3.1.4 says, the broker closes the older connection of one client id.
pub(crate) async fn takeover(stint: Stint) -> Result<Ending> {
    let mut stage = Stage::open(stint.row, &stint.binary, StageLoad::default(), Places::default()).await?;
    stage.start().await?;
    for _ in 0..4 * stint.times {
        stage.arrive(150).await?;
        let at = |name: &str| stage.rig.path().join(name).display().to_string();
        let (port, ca) = (stage.mosquitto.port.to_string(), at("sandbox-ca.pem"));
        let (certificate, key) = (at("gateway.pem"), at("gateway.key"));
        let place = ["-V", "5", "-h", "localhost", "-p", &port, "-i", "gw-e2e", "-q", "1"];
        let who = ["--cafile", &ca, "--cert", &certificate, "--key", &key];
        let what = ["-t", "lingate/1/acme/gw-e2e/d/x", "-m", "x"];
        run(&[&["mosquitto_pub"][..], &place, &who, &what].concat())?;
        stage.fault("takeover");
    }
    stage.arrive(150).await?;
    let connects = stage.status()?["link"]["connects"].as_u64();
    let mut verdict = stage.conclude(stint.least).await?;
    verdict.note("connects", connects);
    Ok(Ending::Judged(Box::new(verdict)))
}
