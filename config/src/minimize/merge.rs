//! Where a dataset's steps and a point's meet: the stricter of each kind holds.
//!
//! | step | stricter is |
//! |---|---|
//! | only_when | both together |
//! | quality | good |
//! | aggregate | the longer window; of two functions neither |
//! | deadband, swinging_door | the larger amount, the longer max_interval (none is the longest) |
//! | round, coarsen | the coarser |
//! | clip | what both allow |
//! | pseudonym | the same |
//! | mask | both patterns |

use lingate_drivers::settings::Problem;
use lingate_model::Decimal;
use lingate_refine::{Band, Mask, Step};

use super::{Placed, Shape};

/// A point's steps with the defaults of its dataset, for values of this shape. A default that is for other types - a
/// deadband for a text - does not concern the point.
pub(crate) fn with_defaults(own: &[Placed], defaults: &[Placed], shape: Shape) -> (Vec<Step>, Vec<Problem>) {
    let (mut steps, mut problems): (Vec<Step>, Vec<Problem>) = Default::default();
    let mut shape = shape;
    for id in lingate_refine::StepId::ALL {
        let of = |placed: &&Placed| placed.wish.id() == id;
        let own = own.iter().find(of).map(|placed| (placed, placed.fit(shape)));
        let default = defaults.iter().find(of).filter(|placed| placed.concerns(shape));
        let default = default.map(|placed| (placed, placed.fit(shape)));
        let step = match (own, default) {
            (Some((placed, Ok(own))), Some((_, Ok(default)))) => {
                stricter(own, default).map(Some).map_err(|(what, hint)| placed.problem(what, hint))
            }
            (Some((_, step)), None) | (None, Some((_, step))) => step.map(Some),
            (Some((_, Err(problem))), _) | (_, Some((_, Err(problem)))) => Err(problem),
            (None, None) => Ok(None),
        };
        match step {
            Ok(step) => {
                step.iter().for_each(|step| shape = shape.after(step));
                steps.extend(step);
            }
            Err(problem) => problems.push(problem),
        }
    }
    (steps, problems)
}

/// What is wrong with the two, and what to do.
type Contradiction = (String, String);

fn stricter(own: Step, default: Step) -> Result<Step, Contradiction> {
    let contradicts = |what: String| (what, "let the point and its dataset ask for the same".to_owned());
    Ok(match (own, default) {
        (Step::OnlyWhen(own), Step::OnlyWhen(default)) => Step::OnlyWhen(own.into_iter().chain(default).collect()),
        (Step::Quality { keeps: own }, Step::Quality { keeps: default }) => Step::Quality { keeps: own.max(default) },
        (Step::Aggregate { function, interval }, Step::Aggregate { function: other, interval: longer }) => {
            if function != other {
                return Err(contradicts(format!("is {function}, and the dataset asks for {other}")));
            }
            Step::Aggregate { function, interval: interval.max(longer) }
        }
        (Step::Deadband(own), Step::Deadband(default)) => {
            let max_interval = own.max_interval.zip(default.max_interval).map(|(own, default)| own.max(default));
            let band = if is_larger(default.by, own.by) { default } else { own };
            Step::Deadband(Band { max_interval, ..band })
        }
        (
            Step::SwingingDoor { deviation: own, max_interval: one },
            Step::SwingingDoor { deviation: default, max_interval: other },
        ) => {
            let max_interval = one.zip(other).map(|(one, other)| one.max(other));
            Step::SwingingDoor { deviation: larger(own, default), max_interval }
        }
        (Step::Round { to: own }, Step::Round { to: default }) => Step::Round { to: larger(own, default) },
        (Step::Clip { low: a, high: b }, Step::Clip { low: c, high: d }) => {
            let low = a.map_or(c, |a| Some(c.map_or(a, |c| larger(a, c))));
            let high = b.map_or(d, |b| Some(d.map_or(b, |d| if is_larger(b, d) { d } else { b })));
            if low.zip(high).is_some_and(|(low, high)| !is_larger(high, low)) {
                return Err(contradicts("leaves nothing of what the dataset's clip allows".to_owned()));
            }
            Step::Clip { low, high }
        }
        (Step::Coarsen { to: own }, Step::Coarsen { to: default }) => Step::Coarsen { to: own.max(default) },
        (Step::Mask(own), Step::Mask(default)) if own != default => {
            let both = format!("(?:{})|(?:{})", own.pattern(), default.pattern());
            Step::Mask(Mask::new(&both, own.with()).map_err(|what| contradicts(format!("with the dataset's {what}")))?)
        }
        (own, _) => own,
    })
}

fn is_larger(one: Decimal, other: Decimal) -> bool {
    one.to_f64() > other.to_f64()
}

fn larger(one: Decimal, other: Decimal) -> Decimal {
    if is_larger(other, one) { other } else { one }
}
