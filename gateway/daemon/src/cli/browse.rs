use std::process::ExitCode;

use clap::Args;
use lingate_drivers::opcua::browse::{Limits, Tree, browse};
use lingate_drivers::opcua::preset::{PRESETS, Preset};
use serde_json::{Value, json};

use crate::cli::exit::{Code, Failed};
use crate::cli::opcua::{Reach, wait_for};

#[derive(Args)]
pub(crate) struct Browse {
    #[command(flatten)]
    reach: Reach,
    /// Device tables to paste and to label
    #[arg(long, conflicts_with = "json")]
    toml: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Only what this companion specification makes worth reading: extruder, laboratory, bioreactor
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Levels below Objects
    #[arg(long, default_value_t = Limits::default().depth)]
    depth: usize,
    /// Nodes at most
    #[arg(long, default_value_t = Limits::default().nodes)]
    nodes: usize,
}

impl Browse {
    pub(crate) fn run(self) -> Result<ExitCode, Failed> {
        let preset = self.preset.as_deref().map(named).transpose()?;
        let (tool, place) = self.reach.tool()?;
        if self.reach.config.is_none() && !self.reach.anonymous_none {
            let what =
                "a session is needed: give --config and --device, or --anonymous-none if the network may read along";
            return Err(Failed::new(Code::Usage, what));
        }
        let limits = Limits { depth: self.depth, nodes: self.nodes, ..Limits::default() };
        let tree = wait_for(browse(&tool, &place.site, limits, preset))?;
        match self.toml {
            false if self.json => println!("{:#}", in_json(&tree)),
            true => print!("{}", tree.to_toml(&tool, preset)),
            false => print!("{}", drawn(&tree)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn named(name: &str) -> Result<&'static Preset, Failed> {
    Preset::named(name).ok_or_else(|| {
        let known: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        Failed::new(Code::Usage, format!("there is no preset {name:?}; known: {}", known.join(", ")))
    })
}

fn in_json(tree: &Tree) -> Value {
    let mut order: Vec<_> = tree.nodes.iter().collect();
    order.sort_by_key(|found| found.sort_key());
    let nodes = order.into_iter().map(|found| {
        json!({"name": found.name(), "node": found.node(), "depth": found.depth(), "is_variable": found.is_variable,
            "is_property": found.is_property, "type": found.value_type, "unit": found.unit,
            "unit_text": found.unit_text, "range": found.range})
    });
    json!({"nodes": nodes.collect::<Vec<_>>(), "left_out_because_of_people": tree.people, "ended_at": tree.cut})
}

fn drawn(tree: &Tree) -> String {
    let mut text = String::new();
    let mut order: Vec<_> = tree.nodes.iter().collect();
    order.sort_by_key(|found| found.sort_key());
    for found in order {
        text.push_str(&"  ".repeat(found.depth().saturating_sub(2)));
        text.push_str(&found.name());
        if found.is_variable {
            let unit = found.unit.map(str::to_owned).or_else(|| found.unit_text.clone()).unwrap_or_default();
            let value_type = found.value_type.as_deref().unwrap_or("?");
            text.push_str(&format!("  {value_type} {unit}  {}", found.node()));
        }
        text.push('\n');
    }
    for people in &tree.people {
        text.push_str(&format!("left out, because it tells of people: {people}\n"));
    }
    if let Some(cut) = tree.cut {
        text.push_str(&format!("not everything is here: browsing ended at {cut}\n"));
    }
    text
}
