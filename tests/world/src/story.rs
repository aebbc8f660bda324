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
    /// Nothing happened that loses readings before they are accepted, or records afterwards.
    is_lossless: bool,
    is_tiny: bool,
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
        let is_tiny = seed % 5 == 4;
        let mut world = World::without_bundle(seed, sandbox, if is_tiny { tiny() } else { roomy() });
        if !seed.is_multiple_of(3) {
            world.grant(sandbox, &Rights::full(1));
        }
        let mut story = Story { sandbox, world, version: 1, is_lossless: !is_tiny, is_tiny };
        story.world.polls();
        for _ in 0..30 {
            story.act();
            let pause = story.world.chance.below(900);
            story.world.run_for(Duration::from_millis(pause));
        }
        story.end()
    }

    fn act(&mut self) {
        // What a full buffer dropped is remembered by the process that dropped it.
        let kinds = if self.is_tiny { 13 } else { 16 };
        match self.world.chance.below(kinds) {
            0 | 1 => self.world.link_down(),
            2..=4 => self.world.link_up(),
            5 => self.connect_with_small_limits(),
            6 | 7 => self.world.broker.mood = self.world.chance.pick(&MOODS),
            8 => self.break_the_disk(),
            9 | 10 => self.change_a_device(),
            11 => self.change_the_rights(),
            12 => self.set_the_clock(),
            13 => self.crash(),
            14 => self.cut_the_power(),
            _ => self.restart(),
        }
    }

    fn connect_with_small_limits(&mut self) {
        let in_flight = self.world.chance.pick(&[1, 2, 5]);
        let packet_bytes = self.world.chance.pick(&[1_200, 2_000, 1 << 20]);
        self.world.link_down();
        self.world.link_up_with(LinkLimits { in_flight, packet_bytes });
    }

    fn crash(&mut self) {
        self.is_lossless = false;
        let seed = self.world.chance.draw();
        let crash =
            self.world.chance.pick(&[Crash::DropAll, Crash::KeepAll, Crash::Random(seed), Crash::Random(!seed)]);
        self.world.crash(crash);
    }

    /// What a dataset without rights has to declare is only in memory.
    fn restart(&mut self) {
        self.is_lossless &= self.world.status().datasets.iter().all(|dataset| dataset.denied.is_none());
        self.world.restart();
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
        if self.world.chance.once_in(3) {
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
        if self.is_lossless {
            self.check_the_counts();
        }
        self.world
    }

    /// Nothing was lost, so every reading was received, suppressed, or withheld; and every missed slot is declared.
    fn check_the_counts(&self) {
        let (world, receiver) = (&self.world, &self.world.receiver);
        let report = receiver.report();
        let declared = receiver.declared(GapCause::DeviceDown);
        assert_eq!(declared, world.plant.missed.iter().sum::<u64>(), "missed slots and declared slots");
        for (index, id) in DATASETS.iter().enumerate() {
            let read = report.datasets.iter().find(|dataset| dataset.dataset == *id).map_or(0, |dataset| dataset.read);
            let withheld = receiver.declared(GapCause::PolicyExpired);
            let fed = world.plant.read[index];
            assert!(read <= fed && fed - read <= withheld * 4, "{id}: read {read} of {fed}, {withheld} withheld");
        }
    }
}
