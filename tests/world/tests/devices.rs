//! What devices say of themselves, and what they lose, reaches the recipients.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_engine::Input;
use lingate_model::{DeviceIdentity, DeviceReport, Missed, MissedCause, PointId};
use lingate_seal::GapCause;
use lingate_world::{Sandbox, World};

const PRESS: usize = 0;

fn report(revision: &str, security: Option<&str>) -> Input {
    let identity =
        DeviceIdentity { vendor: "Acme".to_owned(), product: "P7".to_owned(), revision: revision.to_owned() };
    let security = security.map(str::to_owned);
    let report = DeviceReport { identity: Some(identity), security, ..DeviceReport::default() };
    Input::Report("press".parse().unwrap(), Box::new(report))
}

#[test]
fn a_device_that_says_who_it_is_is_in_the_next_catalogue_and_cannot_storm_epochs() {
    let sandbox = Sandbox::new();
    let mut world = World::new(21, &sandbox);
    world.link_up();
    world.polls();
    world.run_for(Duration::from_secs(2));
    for revision in 0..60 {
        world.feed(report(&revision.to_string(), Some("none (as the configuration says)")));
        world.run_for(Duration::from_secs(1));
    }
    world.run_for(Duration::from_secs(300));
    assert_eq!(world.laws.epochs("p7").len(), 3, "the first, soon after the first word, and five minutes later");
    let report = world.receiver.report();
    let press = report.datasets.iter().find(|dataset| dataset.dataset == "ds-press").unwrap();
    let [device] = &press.devices[..] else { panic!("{:?}", press.devices) };
    assert_eq!((device.vendor.as_str(), device.product.as_str(), device.revision.as_str()), ("Acme", "P7", "59"));
    assert_eq!(device.security, "none (as the configuration says)");
    let told = world.notices.iter().filter(|notice| notice.text.contains("device press is read without protection"));
    assert_eq!(told.count(), 1, "said once");
    world.end_well(&sandbox, 3);
}

#[test]
fn every_cause_of_missed_slots_has_its_counter_and_its_gap_record() {
    let sandbox = Sandbox::new();
    let mut world = World::new(22, &sandbox);
    world.link_up();
    world.poll(PRESS);
    let causes = [
        (MissedCause::DeviceDown, GapCause::DeviceDown, "device_down"),
        (MissedCause::Overload, GapCause::Overload, "overload"),
        (MissedCause::Quarantine, GapCause::Quarantine, "quarantine"),
        (MissedCause::DeviceOverflow, GapCause::DeviceOverflow, "device_overflow"),
        (MissedCause::NotificationLost, GapCause::NotificationLost, "notification_lost"),
        (MissedCause::DecodeFailure, GapCause::DecodeFailure, "decode_failure"),
    ];
    for (slots, (cause, _, _)) in (1..).zip(causes) {
        let (from, to) = (world.now().utc, world.now().utc);
        let device = "press".parse().unwrap();
        world.feed(Input::Missed(Missed { device, from, to, slots: vec![(PointId(0), slots)], cause }));
    }
    let lost = world.status().lost;
    world.end_well(&sandbox, 2);
    for (slots, (_, gap, name)) in (1..).zip(causes) {
        assert_eq!((lost.get(name), world.receiver.declared(gap)), (Some(&slots), slots), "{name}");
    }
}
