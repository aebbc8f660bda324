use super::{Sight, advice};
use crate::headline::{Light, headline};
use crate::sheet::escape;

/// Is data arriving at the sandbox, and if not, what stands in the way and what to do.
pub(super) fn answer(sight: &Sight) -> String {
    let (light, words) = headline(&sight.report, sight.language);
    let class = match light {
        Light::Green => "good",
        Light::Amber => "wait",
        Light::Red => "bad",
    };
    let advice = advice::advice(&sight.report, sight.language);
    let items: String = advice.iter().map(|advice| format!("<li>{}</li>", escape(advice))).collect();
    let list = if items.is_empty() { items } else { format!("<ul class=do>{items}</ul>") };
    format!("<h1 class={class}>{}</h1>{list}", escape(&words))
}
