//! `fwproof formats`: what is read, how to export it, what is covered.

use std::fmt::Write as _;

use colored::Colorize as _;
use serde_json::json;

use super::Outcome;
use super::output::Output;
use crate::vendors::{FORMATS, Role};

/// Lists the formats that are read.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let role = |r: Role| match r {
        Role::Firewall => "firewall",
        Role::Vpn => "vpn",
        Role::Companion => "companion",
    };
    if args.json {
        let list: Vec<_> = FORMATS
            .iter()
            .map(|f| json!({ "id": f.id, "title": f.title, "role": role(f.role), "export": f.export, "covers": f.covers, "leaves": f.leaves }))
            .collect();
        out.write(&(serde_json::to_string_pretty(&list).unwrap_or_default() + "\n"));
        return Ok(0);
    }
    let mut text = String::new();
    for format in FORMATS {
        let _ = writeln!(text, "{}  {} ({})", format.id.bold(), format.title, role(format.role));
        for (name, part) in
            [("export", format.export.to_owned()), ("covers", format.covers.join(", ")), ("not modelled", format.leaves.join(", "))]
        {
            if !part.is_empty() {
                let _ = writeln!(text, "    {name}: {part}");
            }
        }
    }
    text.push_str("\nA file's format is told by its content; --format-of PATH=ID says it where it cannot be told.\n");
    out.write(&text);
    Ok(0)
}
