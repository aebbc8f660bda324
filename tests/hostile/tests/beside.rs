//! Hostile devices beside nine good ones, on one gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use lingate_hostile::{Catalogue, play_plant};

#[tokio::test(flavor = "multi_thread")]
async fn nine_good_devices_beside_hostile_ones_are_complete() {
    // By TCP and on a serial line: wrong answers, floods, noise. The program `hostile` has all kinds, OPC UA among them.
    let kinds = ["M03", "M13", "M14"];
    let catalogue = Catalogue::read().unwrap();
    let is_asked = |row: &lingate_hostile::Row| kinds.contains(&row.id.as_str());
    let (played, totals) = play_plant(&catalogue, env!("CARGO_BIN_EXE_hostile"), is_asked).await.unwrap();
    assert!(played.len() == kinds.len() && played.iter().all(lingate_hostile::Played::holds), "{played:#?}");
    assert!(totals.holds(), "{totals:#?}");
    assert!(totals.modbus_frames > 100 && totals.values > 1_000 && totals.bytes_searched > 10_000, "{totals:#?}");
}
