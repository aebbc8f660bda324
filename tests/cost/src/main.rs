//! `steps NAME`: runs one step, for callgrind. `steps --list`: their names. `steps --bytes`: bytes a reading.

use anyhow::{Context, Result};

mod bytes;

fn main() -> Result<()> {
    let step = std::env::args().nth(1).context("steps NAME, --list or --bytes")?;
    match step.as_str() {
        "--list" => lingate_cost::steps::STEPS.iter().for_each(|(name, what)| println!("{name}\t{what}")),
        "--bytes" => bytes::print()?,
        name => println!("{}", lingate_cost::steps::run(name)?),
    }
    Ok(())
}
