//! The pages of `lingate plan` and `lingate preview` as a person reads and prints them: Chromium, both languages, and a PDF.
//! The pictures are kept in `LINGATE_PICTURES` to be looked at.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lingate_e2e::{Granted, Sector};
use lingate_plant::sample::Sample;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_lingate-e2e-gateway");

fn granted(dataset: &'static str, purpose: &'static str) -> Granted {
    Granted { dataset, purpose, ceiling: "general" }
}

/// Writes picture and PDF, and says what is there.
fn look(page: &Path, name: &str, language: &str) -> Value {
    let peers = PathBuf::from(std::env::var_os("LINGATE_PEERS").expect("LINGATE_PEERS: the folder of the peers"));
    let pictures = std::env::var_os("LINGATE_PICTURES").map_or_else(|| peers.join("pictures"), PathBuf::from);
    fs::create_dir_all(&pictures).unwrap();
    let [picture, pdf] = ["png", "pdf"].map(|kind| pictures.join(format!("{name}-{language}.{kind}")));
    let script = peers.join("node/paper.js");
    let output = Command::new("node").arg(script).arg(page).arg(language).args([&picture, &pdf]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nothing = Value::Array(vec![]);
    assert_eq!((&seen["complaints"], &seen["foreign"]), (&nothing, &nothing), "{name}: {seen}");
    assert_eq!((&seen["spills"], &seen["printed"]["switches"]), (&false.into(), &0.into()), "{name}: {seen}");
    assert!(fs::read(&pdf).unwrap().starts_with(b"%PDF") && fs::metadata(&picture).unwrap().len() > 10_000, "{name}");
    seen
}

/// Words of the one language are there, on the screen and on paper, and words of the other are not.
fn reads(seen: &Value, there: &[&str], absent: &[&str]) {
    for text in [seen["text"].as_str().unwrap(), seen["printed"]["text"].as_str().unwrap()] {
        for words in there {
            assert!(text.contains(words), "{words:?} is not in:\n{text}");
        }
        for words in absent {
            assert!(!text.contains(words), "{words:?} is in:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and Node.js: .ci/run"]
async fn plan_and_preview_are_readable_in_both_languages_and_on_paper() {
    let grants = [
        granted("ds-line-quality", "urn:lingate:purpose:remote-quality"),
        granted("ds-line-energy", "urn:lingate:purpose:energy-benchmark"),
    ];
    let sector = Sector::start(BINARY, Sample::named("extruder-line").unwrap(), &grants).await.unwrap();
    let config = fs::read_to_string(sector.path().join("lingate.toml")).unwrap();
    fs::write(sector.path().join("before.toml"), config.replacen("deadband = ", "deadband = 1", 1)).unwrap();
    let wrote = |arguments: &[&str]| {
        let output = sector.lingate(arguments).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    wrote(&["plan", "--config", "lingate.toml", "--html", "plan.html", "--against", "before.toml"]);
    wrote(&["preview", "--config", "lingate.toml", "--seconds", "6", "--html", "preview.html"]);

    let english = [
        "What leaves the plant",
        "Signatures",
        "Stays in the plant",
        "melt_pressure",
        "role:analyst",
        "policy, as approved",
    ];
    let chinese = ["出厂数据清单", "签署", "不出厂", "melt_pressure", "role:analyst", "最小化策略"];
    let plan = sector.path().join("plan.html");
    reads(&look(&plan, "plan", "en"), &english, &["签署", "接收方"]);
    reads(&look(&plan, "plan", "zh"), &chinese, &["Signatures", "recipients"]);
    reads(&look(&plan, "plan", "both"), &[english[1], chinese[1]], &[]);

    let preview = sector.path().join("preview.html");
    let seen = look(&preview, "preview", "en");
    reads(&seen, &["melt_pressure", "as it was read", "Would leave"], &["原始"]);
    assert!(seen["plots"].as_u64() > Some(5), "{}", seen["plots"]);
    reads(&look(&preview, "preview", "zh"), &["melt_pressure", "原始"], &["would leave"]);
    sector.receiver.stop().await.unwrap();
}
