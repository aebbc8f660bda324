//! M3 in the engine: what leaves behind a gate, whatever happens to devices, link and process, is what a plain reckoning says.
#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use lingate_engine::Input;
use lingate_model::{DeviceState, Missed, MissedCause, PointId, Value};
use lingate_refine::{Condition, Scalar, Step, Test};
use lingate_world::{Chance, Sandbox, Serving, World, point};

const PRESS: usize = 0;
const OVEN: usize = 1;
const MAX_AGE: Duration = Duration::from_secs(3);

/// The press is counted only while the oven says true, and has said so within three seconds.
fn gate() -> Vec<(u32, Step)> {
    let condition = Condition {
        point: PointId(point::GATE),
        name: "oven/gate".to_owned(),
        test: Test::Is(vec![Scalar::Boolean(true)]),
        max_age: Some(MAX_AGE),
    };
    vec![(point::COUNTER, Step::OnlyWhen(vec![condition]))]
}

/// What is known of the gate, reckoned beside the engine.
struct Reckoning {
    world: World,
    chance: Chance,
    /// Since when it is true; `None`: false, or nobody knows.
    open_since: Option<Duration>,
    clock: Duration,
    oven_polls: u64,
    oven_is_faulty: bool,
    press_polls: u64,
    /// Numbers of the polls that may leave.
    leave: Vec<u64>,
}

impl Reckoning {
    fn new(seed: u64, sandbox: &Sandbox) -> Reckoning {
        let world = World::with_steps(seed, sandbox, &gate());
        let chance = Chance::new(seed);
        let (leave, clock) = Default::default();
        Reckoning {
            world,
            chance,
            open_since: None,
            clock,
            oven_polls: 0,
            oven_is_faulty: false,
            press_polls: 0,
            leave,
        }
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0..=6 => self.poll_press(),
            7..=12 => self.poll_oven(),
            13 => self.serve(),
            14 => {
                let state = DeviceState::BackingOff { reason: "no answer".to_owned() };
                self.world.feed(Input::Device("oven".parse().unwrap(), state));
                self.open_since = None;
            }
            15 => self.miss(),
            16 => self.world.link_up(),
            17 => self.world.link_down(),
            18 if self.chance.once_in(8) => {
                self.world.restart();
                self.open_since = None;
            }
            _ => self.pass(Duration::from_millis(self.chance.clone().below(4_000))),
        }
        self.pass(Duration::from_millis(50));
    }

    fn pass(&mut self, time: Duration) {
        self.world.run_for(time);
        self.clock += time;
        self.chance.draw();
    }

    fn poll_press(&mut self) {
        if self.open_since.is_some_and(|since| self.clock - since <= MAX_AGE) {
            self.leave.push(self.press_polls);
        }
        self.world.poll(PRESS);
        self.press_polls += 1;
    }

    fn poll_oven(&mut self) {
        self.world.poll(OVEN);
        let is_true = self.oven_polls.is_multiple_of(2) && !self.oven_is_faulty;
        self.open_since = is_true.then_some(self.clock);
        self.oven_polls += 1;
    }

    fn serve(&mut self) {
        self.oven_is_faulty = !self.oven_is_faulty;
        let serving = if self.oven_is_faulty { Serving::Errors } else { Serving::Values };
        self.world.plant.serve(OVEN, serving);
    }

    fn miss(&mut self) {
        let (from, to) = (self.world.now().utc, self.world.now().utc);
        let (device, slots) = ("oven".parse().unwrap(), vec![(PointId(point::GATE), 1)]);
        self.world.feed(Input::Missed(Missed { device, from, to, slots, cause: MissedCause::Overload }));
        self.open_since = None;
    }

    /// Numbers of the press's polls that a recipient opened.
    fn arrived(&self) -> Vec<u64> {
        let readings = self.world.receiver.batches.iter().flat_map(|batch| &batch.readings);
        let counters = readings.filter(|reading| &*reading.point == "press/counter");
        let number = |value: &Option<Value>| match value {
            Some(Value::UInt32(code)) => u64::from(*code) / 16,
            other => panic!("{other:?}"),
        };
        counters.map(|reading| number(&reading.value)).collect()
    }
}

#[test]
fn what_leaves_behind_a_gate_is_what_a_plain_reckoning_lets_leave() {
    let (mut polls, mut left) = (0, 0);
    for seed in 0..15 {
        let sandbox = Sandbox::new();
        let mut reckoning = Reckoning::new(seed, &sandbox);
        (0..400).for_each(|_| reckoning.step());
        reckoning.world.end_well(&sandbox, 2);
        assert_eq!(reckoning.arrived(), reckoning.leave, "seed {seed}");
        polls += reckoning.press_polls;
        left += reckoning.leave.len();
    }
    assert!(polls > 1_500 && left > 100 && left * 2 < polls as usize, "{left} of {polls}: hardly a gate");
}
