use lingate_drivers::settings::Key;
use lingate_model::Class;

pub(crate) const EXAMPLE: &str = "\"general\", or \"important\"";

/// What to do with core data.
pub(crate) const OF_DATASET: &str = "core data never leaves the plant, so that it needs no dataset";
pub(crate) const OF_POINT: &str = "core data never leaves the plant: take dataset, class and minimize out of such a \
    point, and it is read but never exported";

/// Core data has no value inside, so that it cannot leave by a mistake further on.
pub(crate) fn read(key: Key<'_, '_>, if_core: &str) -> Option<Class> {
    key.one_of(&["general", "important"]).parsed_with(|text| match text.parse() {
        Ok(class) => Ok(class),
        Err(()) if text == "core" => Err(("is refused".to_owned(), Some(if_core.to_owned()))),
        Err(()) => {
            let hint = "did you mean \"general\" or \"important\" (GB/T 43697-2024)?";
            Err(("is no class".to_owned(), Some(hint.to_owned())))
        }
    })
}
