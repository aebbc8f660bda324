use anyhow::Result;
use lingate_checker::Counts;
use lingate_e2e::Stage;

/// What can happen within a few seconds. SIGKILL is rarer than the others, because a new process measures no growth.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill,
    Restart,
    StopContinue,
    BrokerRestart,
    BrokerKilled,
    BrokerAway,
    DeviceAway,
}

impl Fault {
    /// The next one of a seed.
    pub(crate) fn roll(dice: &mut u64) -> Fault {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (*dice >> 33) % 20 {
            0 => Fault::Kill,
            1 => Fault::Restart,
            2..=4 => Fault::StopContinue,
            5..=7 => Fault::BrokerRestart,
            8..=10 => Fault::BrokerKilled,
            11..=13 => Fault::BrokerAway,
            _ => Fault::DeviceAway,
        }
    }
}

/// True if the gateway is another process afterwards.
pub(crate) async fn inject(stage: &mut Stage, fault: Fault, may_kill_broker: bool) -> Result<bool> {
    stage.fault(&format!("{fault:?}"));
    match fault {
        Fault::Kill => {
            stage.kill()?;
            stage.start().await?;
        }
        Fault::Restart => {
            stage.stop()?;
            stage.start().await?;
        }
        Fault::StopContinue => {
            stage.evidence.counts = Counts::AtLeast;
            stage.daemon()?.signal("STOP")?;
            stage.pause(2_000).await;
            stage.daemon()?.signal("CONT")?;
        }
        Fault::BrokerRestart => {
            stage.mosquitto.stop()?;
            stage.mosquitto.start_again().await?;
        }
        Fault::BrokerKilled => {
            // Killed, it forgets what it acknowledged: only receipts make that whole.
            match may_kill_broker {
                true => stage.mosquitto.kill()?,
                false => stage.mosquitto.stop()?,
            }
            stage.pause(1_000).await;
            stage.mosquitto.start_again().await?;
        }
        Fault::BrokerAway => {
            stage.mosquitto.stop()?;
            stage.pause(8_000).await;
            stage.mosquitto.start_again().await?;
        }
        Fault::DeviceAway => {
            stage.evidence.counts = Counts::AtLeast;
            stage.device.stop().await;
            stage.pause(3_000).await;
            stage.device.restart().await?;
        }
    }
    stage.arrive(20).await?;
    Ok(matches!(fault, Fault::Kill | Fault::Restart))
}
