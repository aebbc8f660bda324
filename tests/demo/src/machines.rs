//! The machines that speak OPC UA, and the trust between them and the gateway as plant IT sets it up.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow};
use lingate_plant::opcua::{Identity, IdentityOptions, Machine, MachineOptions, MachineSpec};

use crate::stage::{GATEWAY, machine_specs};

/// `devices`: the folder of the gateway's drivers. Every machine trusts this gateway's certificate and no other; the
/// gateway trusts the certificates of these machines and no others.
pub(crate) fn start(devices: &Path) -> Result<Vec<Machine>> {
    let (own, trusted) = (devices.join("opcua/own"), devices.join("opcua/trusted"));
    private(&trusted)?;
    let folder = devices.with_file_name("machines");
    // Each makes its own key, which takes a moment.
    let making: Vec<_> = machine_specs()
        .map(|spec| {
            let folder = folder.join(&spec.name);
            (spec.clone(), thread::spawn(move || identity(&folder, &spec)))
        })
        .collect();
    let gateway = gateway_identity(&own)?;
    let mut machines = Vec::new();
    for (spec, made) in making {
        let identity = made.join().map_err(|_| anyhow!("no key for {}", spec.name))??;
        fs::write(trusted.join(format!("{}.der", spec.name)), identity.der()?)?;
        machines.push(start_one(spec, identity, &gateway)?);
    }
    Ok(machines)
}

fn private(folder: &Path) -> Result<()> {
    Ok(DirBuilder::new().recursive(true).mode(0o700).create(folder)?)
}

fn start_one(spec: MachineSpec, identity: Identity, gateway: &Identity) -> Result<Machine> {
    let options = MachineOptions {
        secure: true,
        insecure: false,
        identity: Some(identity),
        trusted: Some(vec![gateway.certificate.clone()]),
        ..MachineOptions::default()
    };
    Machine::start(spec, options)
}

fn identity(folder: &Path, spec: &MachineSpec) -> Result<Identity> {
    let uri = format!("urn:acme:{}", spec.name);
    Identity::create(
        folder,
        &IdentityOptions { common_name: &spec.name, application_uri: &uri, ..IdentityOptions::default() },
    )
}

/// The gateway would make it itself at its first connection; here it is brought along, so that the machines know it.
fn gateway_identity(own: &Path) -> Result<Identity> {
    let uri = format!("urn:lingate:{GATEWAY}");
    let made = own.with_file_name("made");
    let options = IdentityOptions { common_name: GATEWAY, application_uri: &uri, ..IdentityOptions::default() };
    let identity = Identity::create(&made, &options)?;
    private(own)?;
    fs::copy(&identity.key, own.join("key.pem")).context("the gateway's key")?;
    fs::copy(&identity.certificate, own.join("cert.der")).context("the gateway's certificate")?;
    Ok(identity)
}
