use serde_json::Value;

/// The outcome of a command: words for people, or one object for programs.
#[expect(clippy::needless_pass_by_value, reason = "it is made for the call")]
pub(crate) fn tell(json: bool, words: &str, value: Value) {
    match json {
        true => println!("{value:#}"),
        false => println!("{}", words.trim_end_matches('\n')),
    }
}
