//! `lingate status | head -1`: who reads has seen enough. The standard library's `print!` panics then (rust-lang/rust#46016).

use std::panic::{self, PanicHookInfo};
use std::process;

/// What a shell shows for a program that SIGPIPE ended: 128 + 13.
const BROKEN_PIPE: i32 = 141;

/// Every other panic is told as before.
pub(crate) fn end_quietly() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if is_broken_pipe(panic) {
            process::exit(BROKEN_PIPE);
        }
        tell(panic);
    }));
}

fn is_broken_pipe(panic: &PanicHookInfo<'_>) -> bool {
    panic
        .payload_as_str()
        .is_some_and(|text| text.starts_with("failed printing to std") && text.contains("Broken pipe"))
}
