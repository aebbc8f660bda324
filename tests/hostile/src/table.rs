use std::fmt::Write;

use crate::{Catalogue, State};

pub const START: &str = "<!-- made by `hostile --table` -->\n";
pub const END: &str = "<!-- until here -->";

/// Rows by group, and what was left out, in Markdown.
pub fn table(catalogue: &Catalogue) -> String {
    let mut text = String::from(
        "\n| group | rows | played by the run | held by named tests | left out |\n|---|---|---|---|---|\n",
    );
    let mut line = |name: &str, group| {
        let [played, held, left] = [State::Played, State::Held, State::Left].map(|it| catalogue.count(group, it));
        let all = played + held + left;
        writeln!(text, "| {name} | {all} | {played} | {held} | {left} |").expect("a string takes every line");
    };
    for group in Catalogue::groups() {
        line(&format!("{group}: {}", name(group)), Some(group));
    }
    line("**all**", None);
    text += "\n| row | shown by |\n|---|---|\n";
    for row in catalogue.0.iter().filter(|row| row.state() != State::Left) {
        let played = (row.state() == State::Played).then(|| format!("`hostile {}`", row.id));
        let held = row.held.iter().map(|name| format!("`test: {name}`"));
        let step = row.step.iter().map(|step| format!("`.ci/run`: `{step}`"));
        let shown: Vec<String> = played.into_iter().chain(held).chain(step).collect();
        let without = row.without.as_ref().map(|it| format!("; not shown: {it}")).unwrap_or_default();
        writeln!(text, "| {} {} | {}{without} |", row.id, row.title, shown.join(", "))
            .expect("a string takes every line");
    }
    text += "\n| left out | why |\n|---|---|\n";
    for row in &catalogue.0 {
        if let Some(reason) = &row.left {
            writeln!(text, "| {} {} | {reason} |", row.id, row.title).expect("a string takes every line");
        }
    }
    text += "\n";
    text
}

fn name(group: char) -> &'static str {
    match group {
        'B' => "buffer and disk",
        'C' => "clock",
        'M' => "Modbus device",
        'O' => "OPC UA server",
        'Q' => "broker and TLS",
        'N' => "network and DNS",
        'K' => "keys and bundles",
        'G' => "configuration",
        'H' => "health endpoint, local user, sandbox",
        'R' => "resources",
        'S' => "static, fuzzing, supply chain",
        _ => "checking the checker",
    }
}
