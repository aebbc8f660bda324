//! `--sample NAME`: the machines of a sector sample, and its configuration with their addresses.

use std::path::absolute;
use std::time::Duration;

use anyhow::{Context, Result};
use lingate_plant::sample::{Ports, SAMPLES, Sample};

use crate::Arguments;

pub(crate) async fn run(name: &str, arguments: &Arguments) -> Result<()> {
    let names = SAMPLES.map(|sample| sample.name).join(", ");
    let sample = Sample::named(name).with_context(|| format!("{name:?} is no sample; there are {names}"))?;
    let serial = absolute(&arguments.serial).context("the current folder is gone")?;
    let ports = Ports { modbus: arguments.listen, opcua: arguments.opcua_listen, serial: Some(serial) };
    if arguments.print_config {
        print!("{}", sample.configuration(&sample.addresses(&ports)?));
        return Ok(());
    }
    let running = sample.start(&ports, Duration::from_millis(arguments.tick_ms)).await?;
    for (device, address) in running.addresses() {
        eprintln!("{device}: {address}");
    }
    for machine in &running.machines {
        let thumbprint = machine.identity().map(|identity| identity.thumbprint()).transpose()?;
        let (name, thumbprint) = (&machine.spec().name, thumbprint.unwrap_or_default());
        eprintln!(
            "{name}: compare its certificate, then trust it: lingate trust add --config lingate.toml {thumbprint}"
        );
    }
    eprintln!("Ctrl-C ends");
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
