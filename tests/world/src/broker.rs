//! A broker with moods. Messages arrive in order; an answer belongs to the connection on which its message came.

use std::collections::VecDeque;
use std::time::Duration;

use lingate_engine::{LinkLimits, PublishId, ReasonCode, Topic};
use lingate_sandbox::Arrival;
use lingate_seal::{RecordKind, Sealed};

use crate::Chance;

/// How it answers what it is sent from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    AtOnce,
    /// It takes messages at once and answers so long after.
    Late(Duration),
    /// It takes messages and never answers.
    Silent,
    /// Messages do not reach it any more, until the next connection.
    Deaf,
    /// It refuses one in so many, and answers the others at once.
    Refusing {
        reason: ReasonCode,
        one_in: u64,
    },
}

pub struct Broker {
    pub mood: Mood,
    /// The next batch is refused for this reason, and at every further attempt.
    pub poison: Option<ReasonCode>,
    pub poisoned: Option<(Vec<u8>, ReasonCode)>,
    /// Everything on topics that end like this is refused.
    pub refused_topic: Option<(String, ReasonCode)>,
    limits: Option<LinkLimits>,
    /// A message was lost on this connection, so nothing behind it can arrive.
    is_cut: bool,
    /// In the order in which they were sent on this connection.
    sent: VecDeque<Message>,
    /// Smallest packet that any connection allowed so far.
    pub smallest_limit: u32,
}

struct Message {
    id: PublishId,
    arrival: Option<Arrival>,
    answer: Option<(Duration, Answer)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ack,
    Refuse(ReasonCode),
}

impl Broker {
    pub(crate) fn new() -> Broker {
        Broker {
            mood: Mood::AtOnce,
            poison: None,
            poisoned: None,
            refused_topic: None,
            limits: None,
            is_cut: false,
            sent: VecDeque::new(),
            smallest_limit: u32::MAX,
        }
    }

    pub fn limits(&self) -> Option<LinkLimits> {
        self.limits
    }

    /// It takes what it refused so far.
    pub fn cure(&mut self) {
        (self.poison, self.poisoned, self.refused_topic) = (None, None, None);
    }

    /// Why it refuses just this message.
    fn dislikes(&mut self, topic: &Topic, sealed: &Sealed) -> Option<ReasonCode> {
        if sealed.kind() == RecordKind::Batch
            && let Some(reason) = self.poison.take()
        {
            self.poisoned = Some((sealed.bytes().to_vec(), reason));
        }
        let poisoned = self.poisoned.as_ref().filter(|(bytes, _)| bytes == sealed.bytes()).map(|(_, reason)| *reason);
        let refused = self.refused_topic.as_ref().filter(|(ending, _)| topic.name.ends_with(ending));
        poisoned.or(refused.map(|(_, reason)| *reason))
    }

    pub(crate) fn connect(&mut self, limits: LinkLimits) {
        self.limits = Some(limits);
        self.smallest_limit = self.smallest_limit.min(limits.packet_bytes);
    }

    /// Forgets everything that it did not answer.
    pub(crate) fn disconnect(&mut self) {
        self.is_cut = false;
        self.limits = None;
        self.sent.clear();
    }

    /// Ids that were sent on this connection and not answered.
    pub fn unanswered(&self) -> Vec<PublishId> {
        self.sent.iter().map(|message| message.id).collect()
    }

    /// Whether it takes the message; of a refusal its sender hears only if the connection lives long enough.
    pub(crate) fn send(
        &mut self,
        at: Duration,
        id: PublishId,
        topic: &Topic,
        sealed: &Sealed,
        chance: &mut Chance,
    ) -> Taken {
        let arrival = || Some(Arrival { topic: topic.name.clone(), payload: sealed.bytes().to_vec() });
        self.is_cut |= self.mood == Mood::Deaf;
        let dislike = self.dislikes(topic, sealed);
        let message = match self.mood {
            _ if self.is_cut => Message { id, arrival: None, answer: None },
            _ if dislike.is_some() => {
                Message { id, arrival: None, answer: dislike.map(|reason| (at, Answer::Refuse(reason))) }
            }
            Mood::AtOnce => Message { id, arrival: arrival(), answer: Some((at, Answer::Ack)) },
            Mood::Late(by) => Message { id, arrival: arrival(), answer: Some((at + by, Answer::Ack)) },
            Mood::Silent | Mood::Deaf => Message { id, arrival: arrival(), answer: None },
            Mood::Refusing { reason, one_in } if chance.once_in(one_in) => {
                Message { id, arrival: None, answer: Some((at, Answer::Refuse(reason))) }
            }
            Mood::Refusing { .. } => Message { id, arrival: arrival(), answer: Some((at, Answer::Ack)) },
        };
        let is_refused = matches!(message.answer, Some((_, Answer::Refuse(_))));
        self.sent.push_back(message);
        if is_refused { Taken::Refused } else { Taken::Yes }
    }

    /// What reached the broker and was not handed on yet, in order.
    pub(crate) fn arrivals(&mut self) -> Vec<Arrival> {
        self.sent.iter_mut().filter_map(|message| message.arrival.take()).collect()
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.sent.iter().filter_map(|message| message.answer.map(|(at, _)| at)).min()
    }

    /// One answer that is due.
    pub(crate) fn due(&mut self, at: Duration) -> Option<(PublishId, Answer)> {
        let place = self.sent.iter().position(|message| message.answer.is_some_and(|(due, _)| due <= at))?;
        let message = self.sent.remove(place)?;
        Some((message.id, message.answer?.1))
    }
}
