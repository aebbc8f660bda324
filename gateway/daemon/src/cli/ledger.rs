use std::path::Path;
use std::process::ExitCode;

use lingate_engine::ExportLedger;
use serde_json::json;

use crate::cli::exit::{Code, Failed};
use crate::export_ledger;
use crate::prepare::load;

/// What was sealed for whom, from the file that the daemon keeps.
pub(crate) fn ledger(config: &Path, json: bool) -> Result<ExitCode, Failed> {
    let plan = load(config).map_err(|refused| Failed::refused(config, &refused))?;
    let path = export_ledger::path(&plan.state_dir);
    let bytes = match export_ledger::read(&plan.state_dir) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => ExportLedger::default().to_json(),
        Err(error) => return Err(Failed::io("read", &path, &error)),
    };
    let ledger = ExportLedger::from_json(&bytes)
        .ok_or_else(|| Failed::new(Code::Io, format!("{} is damaged", path.display())))?;
    if !json {
        println!("{:<10}  {:>10}  {:>14}  DATASET, PURPOSE, RECIPIENT", "DAY (UTC)", "RECORDS", "BYTES");
    }
    for (line, amount) in ledger.lines() {
        let day = export_ledger::date(line.day);
        match json {
            true => println!(
                "{}",
                json!({"day": day, "dataset": line.dataset, "purpose": line.purpose, "recipient": line.recipient,
                    "records": amount.records, "bytes": amount.bytes})
            ),
            false => println!(
                "{day:<10}  {:>10}  {:>14}  {}, {}, {}",
                amount.records, amount.bytes, line.dataset, line.purpose, line.recipient
            ),
        }
    }
    Ok(ExitCode::SUCCESS)
}
