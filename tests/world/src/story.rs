//! A random life of one gateway: everything that the world can do to it, in an order drawn from a seed.

use std::time::Duration;

use lingate_buffer::fake::{Call, Crash};
use lingate_engine::{Input, LinkLimits, PublishId, ReasonCode};

use crate::plan::{self, DATASETS};
use crate::{Chance, Mood, Rights, Sandbox, Serving, World, roomy, tiny};

pub struct Story<'a> {
    sandbox: &'a Sandbox,
    world: World,
    version: u64,
    kind: Kind,
    pace: u32,
    flips: bool,
    /// Apart from the others, so that a story is the same with and without reloads.
    reloads: Chance,
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

/// How long a story is, and how it is told.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    pub acts: u64,
    /// Between two acts.
    pub pause_max: Duration,
    /// Devices are so many times slower.
    pub pace: u32,
    /// Bits of stored segments flip, too.
    pub flips: bool,
    /// Prints what happens.
    pub narrates: bool,
}

impl Telling {
    /// Half a minute in which everything happens at once.
    pub fn short() -> Telling {
        Telling { acts: 30, pause_max: Duration::from_millis(900), pace: 1, flips: false, narrates: false }
    }

    /// As `short` or `day`; in every third story bits flip.
    pub fn with_flips(self, seed: u64) -> Telling {
        Telling { flips: seed % 3 == 1, ..self }
    }

    /// A day with something amiss every twenty minutes.
    pub fn day() -> Telling {
        Telling { acts: 72, pause_max: Duration::from_secs(2_400), pace: 500, flips: false, narrates: false }
    }
}

impl<'a> Story<'a> {
    /// Runs to its end; panics with seed and time if a law is broken.
    pub fn tell(seed: u64, sandbox: &'a Sandbox) -> World {
        Story::tell_as(seed, sandbox, Telling::short().with_flips(seed))
    }

    pub fn tell_as(seed: u64, sandbox: &'a Sandbox, telling: Telling) -> World {
        let kind = [Kind::Wild, Kind::Lossless, Kind::Wild, Kind::Lossless, Kind::Tiny][(seed % 5) as usize];
        let settings = if kind == Kind::Tiny { tiny() } else { roomy() };
        let mut world = World::paced(seed, sandbox, settings, telling.pace);
        world.narrates = telling.narrates;
        if seed.is_multiple_of(4) {
            world.lets_live_data_pass();
        }
        if kind == Kind::Lossless || !seed.is_multiple_of(3) {
            world.grant(sandbox, &rights(1));
        }
        let reloads = Chance::new(seed ^ 0x5EED_0FF1_CE00_0001);
        let flips = telling.flips;
        let mut story = Story { sandbox, world, version: 1, kind, pace: telling.pace, flips, reloads };
        story.world.narrate(&format!("seed {seed}, a {kind:?} story begins"));
        story.world.polls();
        for _ in 0..telling.acts {
            let line = story.act();
            story.world.narrate(&line);
            if story.reloads.once_in(8) {
                let line = story.reload();
                story.world.narrate(&line);
            }
            let pause = story.world.chance.below(telling.pause_max.as_millis() as u64);
            story.world.run_for(Duration::from_millis(pause));
        }
        story.end()
    }

    fn act(&mut self) -> String {
        let kinds = match self.kind {
            Kind::Wild | Kind::Tiny => 21,
            Kind::Lossless => 15,
        };
        match self.world.chance.below(kinds) {
            0 | 1 => self.world.link_down(),
            2..=4 => self.world.link_up(),
            5 => return self.connect_with_small_limits(),
            6 | 7 => {
                self.world.broker.mood = self.world.chance.pick(&MOODS);
                return format!("the broker is {:?}", self.world.broker.mood);
            }
            8 => return self.break_the_disk(),
            9 | 10 => return self.change_a_device(),
            11 => return self.change_the_rights(),
            12 => return self.set_the_clock(),
            13 => self.world.restart(),
            14 => return self.answer_wrongly(),
            15 => return self.crash(),
            // Without a reserve, a full disk and a crash may cost the names of what was dropped.
            16 if self.kind == Kind::Wild => return self.fill_the_disk(),
            17 => {
                self.world.broker.poison = Some(ReasonCode(0x99));
                return "the broker will refuse one record for ever".to_owned();
            }
            18 | 19 if self.flips => return self.flip_bits(),
            _ => return self.cut_the_power(),
        }
        let link = if self.world.broker.limits().is_some() { "up" } else { "down" };
        format!("the link is {link}, or the gateway was restarted")
    }

    /// Answers to packets that nobody sent, or that an earlier connection sent.
    fn answer_wrongly(&mut self) -> String {
        for _ in 0..3 {
            let id = PublishId((1 << 40) + self.world.chance.below(1 << 20));
            self.world.feed(Input::Acked(id));
            self.world.feed(Input::Refused(id, ReasonCode(0x97)));
        }
        "the broker answers what nobody asked".to_owned()
    }

    fn fill_the_disk(&mut self) -> String {
        let room = self.world.chance.below(20_000);
        self.world.laws.keys_may_stand_alone = true;
        self.world.disk.set_capacity(Some(self.world.disk.used() + room));
        self.world.run_for(Duration::from_secs(2));
        self.world.disk.set_capacity(None);
        format!("the disk had {room} bytes left for two seconds")
    }

    fn connect_with_small_limits(&mut self) -> String {
        let in_flight = self.world.chance.pick(&[1, 2, 5]);
        let packet_bytes = self.world.chance.pick(&[1_200, 2_000, 1 << 20]);
        self.world.link_down();
        self.world.link_up_with(LinkLimits { in_flight, packet_bytes });
        format!("the link is up with {in_flight} in flight and {packet_bytes} bytes a packet")
    }

    fn crash(&mut self) -> String {
        let seed = self.world.chance.draw();
        let crash =
            self.world.chance.pick(&[Crash::DropAll, Crash::KeepAll, Crash::Random(seed), Crash::Random(!seed)]);
        self.world.crash(crash);
        format!("the process was killed: {crash:?}")
    }

    /// While the process is gone, stored bits rot: a killed process knew of every record that the operating system has.
    fn flip_bits(&mut self) -> String {
        let flips = 1 + self.world.chance.below(3);
        let flipped = self.world.kill_and_flip(flips);
        format!("the process was killed and {flipped} bits of segments flipped")
    }

    /// The power goes in the middle of the disk's work, and the process does not notice at once.
    fn cut_the_power(&mut self) -> String {
        let calls = self.world.chance.below(25);
        self.world.laws.keys_may_stand_alone = true;
        self.world.disk.cut_power_after(self.world.disk.calls() + calls);
        let last = self.world.chance.below(700);
        self.world.run_for(Duration::from_millis(last));
        self.crash();
        format!("the power went after {calls} more calls to the disk")
    }

    fn break_the_disk(&mut self) -> String {
        let calls = [Call::SyncData, Call::Write, Call::Create, Call::SyncDirectory, Call::Read, Call::Remove];
        let (call, times) = (self.world.chance.pick(&calls), 1 + self.world.chance.below(4));
        self.world.disk_fails(call, times);
        self.world.run_for(Duration::from_millis(1_500));
        self.world.disk.heal();
        format!("the disk failed {times} times to {call:?}")
    }

    fn change_a_device(&mut self) -> String {
        let device = self.world.chance.below(2) as usize;
        let moods =
            [Serving::Values, Serving::Values, Serving::Errors, Serving::Nothing, Serving::Stalled, Serving::Garbled];
        let serving = self.world.chance.pick(&moods);
        self.world.plant.serve(device, serving);
        format!("device {device} serves {serving:?}")
    }

    fn change_the_rights(&mut self) -> String {
        self.version += 1;
        let mut rights = rights(self.version);
        rights.epoch_seconds = self.world.chance.pick(&[2_u32, 5, 3_600]).saturating_mul(self.pace).min(86_400);
        rights.epoch_messages = self.world.chance.pick(&[4, 6, 1 << 20]);
        if self.kind != Kind::Lossless && self.world.chance.once_in(3) {
            rights.ceilings[self.world.chance.below(2) as usize] = None;
        }
        self.world.grant(self.sandbox, &rights);
        format!("bundle {} is in force", self.version)
    }

    /// Another configuration: how batches are made and what a step lets pass, or, where losses are told by others, a
    /// dataset that is gone until the next.
    fn reload(&mut self) -> String {
        let mut written = plan::export_plan_at(self.pace);
        for dataset in &mut written.datasets {
            dataset.flush.readings = self.reloads.pick(&[5, 12, 12, 30]);
            dataset.padding = self.reloads.pick(&[0, 64]);
        }
        plan::set_level_deadband(&mut written, self.reloads.pick(&["20", "20", "90"]));
        let is_gone = self.kind != Kind::Lossless && self.reloads.once_in(3);
        if is_gone {
            plan::without_press(&mut written);
        }
        self.world.reload(written);
        format!("another configuration is in force, {} the press", if is_gone { "without" } else { "with" })
    }

    fn set_the_clock(&mut self) -> String {
        let jump = self.world.chance.below(6_000_000) as i64 - 2_000_000;
        self.world.jump(jump);
        format!("the clock jumps by {jump} us")
    }

    fn end(mut self) -> World {
        for device in 0..2 {
            self.world.plant.serve(device, Serving::Values);
        }
        self.world.reload(plan::export_plan_at(self.pace));
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
        // Every cause there is: what is not a missed slot, or was refused eight times, may not be declared at all.
        let mut declared = self.world.receiver.declared_by_cause();
        let set_aside = declared.remove("quarantine").unwrap_or(0);
        assert_eq!(declared, plant.missed_by, "{}: declared and missed slots by cause", self.world.here());
        let received = self.world.receiver.readings() + set_aside;
        assert_eq!(received, self.world.laws.accepted_readings, "{}: received and accepted", self.world.here());
    }
}

/// A story of a day may take longer than one, and no bundle ends in it.
fn rights(version: u64) -> Rights {
    Rights { valid_for: Duration::from_secs(2 * 86_400), ..Rights::full(version) }
}
