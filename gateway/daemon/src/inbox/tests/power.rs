//! Power cuts before every disk call on a bundle's way into force, and during the start after it.

use super::*;
use crate::files::crash::{Found as Left, Power};

/// What a gateway has when the story begins; every cut begins from a copy of it.
struct Story {
    world: World,
    first: Vec<u8>,
    /// Brings other root keys: it can be taken again only as it was judged the first time.
    second: Vec<u8>,
}

impl Story {
    fn new() -> Story {
        let mut world = World::new();
        let (old, new) = (world.root_key(), new_key());
        let (first, second) = (world.issue(), world.issue());
        let second = with_second_root(&second, &new, &[&old, &new]);
        Story { world, first, second }
    }

    fn begin(&self) {
        let state = self.world.path("");
        fs::remove_dir_all(&state).unwrap();
        copy(&self.world.home.path().join("begin"), &state);
    }

    fn remember(&self) {
        copy(&self.world.path(""), &self.world.home.path().join("begin"));
    }

    /// One start of the gateway, which is cut. What was in force in it.
    fn live(&self, offered: &[u8]) -> Option<u64> {
        let (mut bundles, _) = self.world.try_open(later()).ok()?;
        bundles.take_offered(offered);
        let found = bundles.scan(later());
        found.iter().rev().find_map(|found| match found {
            Found::Installed { version } => Some(*version),
            _ => None,
        })
    }

    /// What must hold after any cut.
    fn judge(&self, in_force: Option<u64>, offered: &[u8], cut: &str) {
        if let Ok(stored) = fs::read(self.world.path("bundle/current.jws.json")) {
            assert!(stored == self.first || stored == self.second, "half a bundle after {cut}");
        }
        let (mut bundles, fault) = self.world.open(later());
        let found = bundles.current().map(VerifiedBundle::version);
        assert!(found.is_some() || fault.is_some(), "no bundle and not a word after {cut}");
        assert!(found >= in_force, "version {in_force:?} was in force and {found:?} is after {cut}");
        bundles.take_offered(offered);
        bundles.scan(later());
        assert_eq!(bundles.current().map(VerifiedBundle::version), Some(2), "after {cut}");
        self.world.drop_file("old.json", &self.first);
        assert!(matches!(&bundles.scan(later())[..], [Found::Rejected { file, .. }] if file == "old.json"), "{cut}");
        assert_eq!(self.world.open(later()).0.current().map(VerifiedBundle::version), Some(2), "after {cut}");
    }

    /// Cuts before every call of the first start, and before every `stride`th of the next.
    fn sweep(&self, offered: &[u8], stride: usize) {
        self.remember();
        for left in [Left::Everything, Left::OnlyDurable] {
            let mut calls = 0;
            while self.cut(offered, left, calls, None) {
                let mut again = calls % stride;
                while self.cut(offered, left, calls, Some(again)) {
                    again += stride;
                }
                calls += 1;
            }
            assert!(calls > 10, "{calls} calls: hardly anything was cut");
        }
    }

    /// `false`: there are fewer calls than that.
    fn cut(&self, offered: &[u8], left: Left, calls: usize, again: Option<usize>) -> bool {
        self.begin();
        Power::cut_after(calls);
        let mut in_force = self.live(offered);
        let mut is_cut = Power::back(left);
        if let Some(calls) = again {
            Power::cut_after(calls);
            in_force = in_force.max(self.live(offered));
            is_cut = Power::back(left);
        }
        self.judge(in_force, offered, &format!("{calls} calls and {again:?} more, with {left:?} of them"));
        is_cut
    }
}

/// Files that were just written are no longer young.
fn later() -> UtcMicros {
    UtcMicros(today().0 + 60_000_000)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_power_cut_before_any_call_leaves_a_whole_bundle_and_no_way_back() {
    let story = Story::new();
    story.world.drop_file("a.json", &story.first);
    story.world.open(later()).0.scan(later());
    story.world.drop_file("b.json", &story.second);
    story.sweep(b"", 13);
}

#[test]
fn the_first_bundle_of_all_is_not_forgotten_by_a_power_cut() {
    let story = Story::new();
    story.world.drop_file("a.json", &story.first);
    story.world.drop_file("b.json", &story.second);
    story.sweep(b"", 41);
}

#[test]
fn a_bundle_from_the_topic_survives_a_power_cut_as_one_from_the_inbox() {
    let story = Story::new();
    story.world.drop_file("a.json", &story.first);
    story.world.open(later()).0.scan(later());
    let second = story.second.clone();
    story.sweep(&second, 29);
}

#[test]
fn a_refusal_is_told_whatever_is_cut() {
    let story = Story::new();
    story.world.drop_file("b.json", &story.second);
    story.world.drop_file("a.json", &story.first);
    story.world.open(later()).0.scan(later());
    story.world.drop_file("old.json", &story.first);
    story.remember();
    for left in [Left::Everything, Left::OnlyDurable] {
        for calls in 0.. {
            story.begin();
            Power::cut_after(calls);
            story.live(b"");
            let is_cut = Power::back(left);
            story.live(b"");
            let history = spool::waiting(&story.world.path("")).into_iter().filter_map(|(_, event)| event);
            let history: String = history.map(|(_, event)| event.to_json() + "\n").collect();
            let told = history.lines().filter(|line| line.contains("bundle.rejected") && line.contains("old.json"));
            assert!(told.count() >= 1, "{calls} calls, {left:?}: {history}");
            assert!(!story.world.path("inbox/old.json").exists());
            assert_eq!(fs::read(story.world.path("inbox/rejected/old.json")).unwrap(), story.first);
            assert!(story.world.path("inbox/rejected/old.json.reason.txt").exists());
            if !is_cut {
                break;
            }
        }
    }
}
