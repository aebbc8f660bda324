use lingate_drivers::settings::{Key, Table};

/// The value of `key`; if it is absent, the problem says what to write.
pub(crate) fn require<'t, 'a>(table: &'t mut Table<'a>, key: &'static str, example: &str) -> Key<'t, 'a> {
    table.note_required(key);
    if !table.has(key) {
        missing(table, key, format!("write {key} = {example}"));
    }
    table.take(key)
}

/// `[key]`; if it is absent, the problem names what belongs into it.
pub(crate) fn require_table<'a>(root: &mut Table<'a>, key: &'static str, content: &str) -> Option<Table<'a>> {
    root.note_required(key);
    if !root.has(key) {
        missing(root, key, format!("add a table [{key}] with {content}"));
    }
    root.take(key).table()
}

fn missing(table: &mut Table<'_>, key: &'static str, hint: String) {
    table.problem(key, format!("{key:?} is missing"), Some(hint));
}

/// What `read` makes of the value of `key`; `default` if it is absent, `None` if it is wrong.
pub(crate) fn optional<'a, T>(
    table: &mut Table<'a>,
    key: &'static str,
    default: T,
    read: impl for<'t> FnOnce(Key<'t, 'a>) -> Option<T>,
) -> Option<T> {
    let is_present = table.has(key);
    let value = read(table.take(key));
    if is_present { value } else { Some(default) }
}
