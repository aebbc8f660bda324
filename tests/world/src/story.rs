//! A random life of one gateway: everything that the world can do to it, in an order drawn from a seed.

use std::time::Duration;

use lingate_buffer::fake::{Call, Crash};
use lingate_engine::{LinkLimits, ReasonCode};
use lingate_seal::GapCause;

use crate::plan::DATASETS;
use crate::{Mood, Rights, Sandbox, Serving, World, roomy, tiny};

pub struct Story<'a> {
    sandbox: &'a Sandbox,
    world: World,
    version: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everything can happen, and what was not accepted can be lost.
    Wild,
    /// No crash and no withdrawn right: every reading and every missed slot must be accounted for.
    Lossless,
    /// As wild, with a buffer that overflows.
    Tiny,
}

const MOODS: [Mood; 6] = [
    Mood::AtOnce,
    Mood::Late(Duration::from_millis(70)),
    Mood::Late(Duration::from_millis(2_500)),
    Mood::Silent,
    Mood::Deaf,
    Mood::Refusing { reason: ReasonCode(0x97), one_in: 4 },
];

impl<'a> Story<'a> {
    /// Runs to its end; panics with seed and time if a law is broken.
    pub fn tell(seed: u64, sandbox: &'a Sandbox) -> World {
        let kind = [Kind::Wild, Kind::Lossless, Kind::Wild, Kind::Lossless, Kind::Tiny][(seed % 5) as usize];
        let mut world = World::without_bundle(seed, sandbox, if kind == Kind::Tiny { tiny() } else { roomy() });
        if kind == Kind::Lossless || !seed.is_multiple_of(3) {
            world.grant(sandbox, &Rights::full(1));
        }
        let mut story = Story { sandbox, world, version: 1, kind };
        story.world.polls();
        for _ in 0..30 {
            story.act();
            let pause = story.world.chance.below(900);
            story.world.run_for(Duration::from_millis(pause));
        }
        story.end()
    }

    fn act(&mut self) {
        let kinds = match self.kind {
            Kind::Wild | Kind::Tiny => 16,
            Kind::Lossless => 14,
        };
        match self.world.chance.below(kinds) {
            0 | 1 => self.world.link_down(),
            2..=4 => self.world.link_up(),
            5 => self.connect_with_small_limits(),
            6 | 7 => self.world.broker.mood = self.world.chance.pick(&MOODS),
            8 => self.break_the_disk(),
            9 | 10 => self.change_a_device(),
            11 => self.change_the_rights(),
            12 => self.set_the_clock(),
            13 => self.world.restart(),
            14 => self.crash(),
            _ => self.cut_the_power(),
        }
    }

    fn connect_with_small_limits(&mut self) {
        let in_flight = self.world.chance.pick(&[1, 2, 5]);
        let packet_bytes = self.world.chance.pick(&[1_200, 2_000, 1 << 20]);
        self.world.link_down();
        self.world.link_up_with(LinkLimits { in_flight, packet_bytes });
    }

    fn crash(&mut self) {
        let seed = self.world.chance.draw();
        let crash =
            self.world.chance.pick(&[Crash::DropAll, Crash::KeepAll, Crash::Random(seed), Crash::Random(!seed)]);
        self.world.crash(crash);
    }

    /// The power goes in the middle of the disk's work, and the process does not notice at once.
    fn cut_the_power(&mut self) {
        let calls = self.world.chance.below(25);
        self.world.laws.keys_may_stand_alone = true;
        self.world.disk.cut_power_after(self.world.disk.calls() + calls);
        let last = self.world.chance.below(700);
        self.world.run_for(Duration::from_millis(last));
        self.crash();
    }

    fn break_the_disk(&mut self) {
        let calls = [Call::SyncData, Call::Write, Call::Create, Call::SyncDirectory, Call::Read, Call::Remove];
        let (call, times) = (self.world.chance.pick(&calls), 1 + self.world.chance.below(4));
        self.world.disk_fails(call, times);
        self.world.run_for(Duration::from_millis(1_500));
        self.world.disk.heal();
    }

    fn change_a_device(&mut self) {
        let device = self.world.chance.below(2) as usize;
        let serving = self.world.chance.pick(&[Serving::Values, Serving::Values, Serving::Errors, Serving::Nothing]);
        self.world.plant.serve(device, serving);
    }

    fn change_the_rights(&mut self) {
        self.version += 1;
        let mut rights = Rights::full(self.version);
        rights.epoch_seconds = self.world.chance.pick(&[2, 5, 3_600]);
        rights.epoch_messages = self.world.chance.pick(&[4, 6, 1 << 20]);
        if self.kind != Kind::Lossless && self.world.chance.once_in(3) {
            rights.ceilings[self.world.chance.below(2) as usize] = None;
        }
        self.world.grant(self.sandbox, &rights);
    }

    fn set_the_clock(&mut self) {
        let jump = self.world.chance.below(6_000_000) as i64 - 2_000_000;
        self.world.jump(jump);
    }

    fn end(mut self) -> World {
        for device in 0..2 {
            self.world.plant.serve(device, Serving::Values);
        }
        self.world.run_for(Duration::from_secs(1));
        self.version += 1;
        self.world.end_well(self.sandbox, self.version);
        if self.kind == Kind::Lossless {
            self.check_the_counts();
        }
        self.world
    }

    /// Nothing was lost: every reading was received or suppressed, and every missed slot is declared.
    fn check_the_counts(&self) {
        let (plant, report) = (&self.world.plant, self.world.receiver.report());
        for (index, id) in DATASETS.iter().enumerate() {
            let of = |report: &&lingate_sandbox::DatasetReport| report.dataset == *id;
            let read = report.datasets.iter().find(of).map_or(0, |dataset| dataset.read);
            assert_eq!(read, plant.read[index], "{}: {id}: counts of the steps and readings", self.world.here());
        }
        let declared = self.world.receiver.declared(GapCause::DeviceDown);
        assert_eq!(declared, plant.missed.iter().sum::<u64>(), "{}: declared and missed slots", self.world.here());
        let received = self.world.receiver.readings();
        assert_eq!(received, self.world.laws.accepted_readings, "{}: received and accepted", self.world.here());
    }
}
