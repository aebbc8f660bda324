//! An opener without a store opens what the intake opens, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

mod common;

use common::*;
use lingate_sandbox::{Arrival, Event, Opener, Rejected};

fn opened_by(opener: &mut Opener, arrivals: &[Arrival]) -> Vec<Event> {
    arrivals.iter().filter_map(|arrival| opener.open(arrival).unwrap()).map(Event::Batch).collect()
}

#[test]
fn an_opener_gives_the_same_readings_as_the_intake() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let sent = [gateway.epoch(7), gateway.epoch(2)].concat();
    let mut opener = Opener::new(world.authority.trust(ROLE).unwrap());
    let expected = opened(&world.desk().take(&sent));
    assert_eq!(expected.len(), 27);
    assert_eq!(opened(&opened_by(&mut opener, &sent)), expected);
    // A retained KEY that comes once more takes nothing away.
    assert_eq!(opened(&opened_by(&mut opener, &[sent[0].clone(), sent[4].clone()])).len(), 3);
}

#[test]
fn an_opener_refuses_what_is_not_genuine() {
    let mut world = World::new();
    let gateway = world.gateway("gw-0001");
    let sent = gateway.epoch(3);
    let trust = world.authority.trust(ROLE).unwrap();
    let mut early = Opener::new(trust.clone());
    assert!(matches!(early.open(&sent[3]), Err(Rejected::OutOfPlace)), "no KEY yet");
    let mut opener = Opener::new(trust);
    opened_by(&mut opener, &sent[..3]);
    let mut flipped = sent[3].clone();
    let last = flipped.payload.len() - 1;
    flipped.payload[last] ^= 1;
    assert!(opener.open(&flipped).is_err());
    let foreign = Arrival { topic: sent[3].topic.replace("gw-0001", "gw-0002"), ..sent[3].clone() };
    assert!(matches!(opener.open(&foreign), Err(Rejected::ForeignTopic)));
    assert_eq!(opened_by(&mut opener, &sent[3..]).len(), 3);
}
