//! `fwproof trace`: what becomes of single packets.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use super::input::Reading;
use super::output::Output;
use super::{Failure, Outcome};
use crate::eval::{Analysis, Way, trace, words};
use crate::model::Device;
use crate::net::{Family, to_number};
use crate::packets::Packet;
use crate::report::Untrusted;
use crate::source::{Limits, Redactor, Sources};

/// Says what becomes of single packets, and which rules they pass.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Files or folders of configurations of one device, - for standard input
    #[arg(value_name = "CONFIG", required = true)]
    pub paths: Vec<PathBuf>,
    /// Packets, one JSON object a line; the answers are in the same order
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["hook", "iif", "oif", "from", "to", "proto", "sport", "dport", "icmp_type", "icmp_code", "tcp_flags", "ct"])]
    pub packets: Option<PathBuf>,
    /// Where the packet meets the device: input (to it), forward (through it), output (from it)
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(["input", "forward", "output"]))]
    pub hook: Option<String>,
    /// Interface on which it arrives
    #[arg(long, value_name = "NAME")]
    pub iif: Option<String>,
    /// Interface through which it leaves
    #[arg(long, value_name = "NAME")]
    pub oif: Option<String>,
    /// Source address
    #[arg(long, value_name = "ADDR")]
    pub from: Option<std::net::IpAddr>,
    /// Destination address
    #[arg(long, value_name = "ADDR")]
    pub to: Option<std::net::IpAddr>,
    /// Protocol: tcp, udp, icmp, icmpv6, sctp, esp, gre, or a number
    #[arg(long)]
    pub proto: Option<String>,
    /// Source port
    #[arg(long, value_name = "PORT")]
    pub sport: Option<u16>,
    /// Destination port
    #[arg(long, value_name = "PORT")]
    pub dport: Option<u16>,
    /// ICMP type
    #[arg(long, value_name = "N")]
    pub icmp_type: Option<u8>,
    /// ICMP code
    #[arg(long, value_name = "N")]
    pub icmp_code: Option<u8>,
    /// TCP flags as letters: FSRPAUEC
    #[arg(long, value_name = "FLAGS")]
    pub tcp_flags: Option<String>,
    /// State of its connection
    #[arg(long, value_name = "STATE", value_parser = clap::builder::PossibleValuesParser::new(["new", "established", "related", "invalid", "untracked"]))]
    pub ct: Option<String>,
    #[command(flatten)]
    pub reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    let inventory = args.reading.read(&args.paths)?;
    let redactor = inventory.redactor();
    let code = args.reading.tell(&inventory.incomplete, &inventory.sources, &redactor);
    let device = one_device(&inventory.devices)?;
    let analysis = Analysis::new(device, &[], &Limits::default());
    match &args.packets {
        Some(path) => many(path, &analysis, &inventory.sources, &redactor, out).map(|c| c.max(code)),
        None => one(args, &analysis, &inventory.sources, &redactor, out).map(|()| code),
    }
}

/// The one device with a packet filter among those that were read.
fn one_device(devices: &[Device]) -> Result<&Device, Failure> {
    let filters: Vec<&Device> = devices.iter().filter(|d| d.has_filter()).collect();
    match filters.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::Incomplete(vec!["no packet filter was read".into()])),
        many => {
            let names: Vec<&str> = many.iter().map(|d| d.name.as_str()).collect();
            Err(Failure::usage(format!("trace is about one device, but {} were read: name the files of one", names.join(", "))))
        }
    }
}

fn many(path: &Path, analysis: &Analysis<'_>, sources: &Sources, redactor: &Redactor, out: &mut Output) -> Outcome {
    let text = if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let lines: Vec<(usize, &str)> = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()).collect();
    let answers: Vec<(String, Option<String>)> = lines
        .par_iter()
        .map(|(_, line)| match read(line, analysis) {
            Ok((way, family, packet)) => (answer(analysis, sources, redactor, way, family, &packet).to_string(), None),
            Err(why) => (serde_json::json!({ "verdict": "unknown", "rules": [], "because": why }).to_string(), Some(why)),
        })
        .collect();
    let mut bad = Vec::new();
    let mut shown = String::new();
    for ((number, _), (text, why)) in lines.iter().zip(answers) {
        shown.push_str(&text);
        shown.push('\n');
        bad.extend(why.map(|w| format!("{}:{}: {w}", path.display(), number + 1)));
    }
    out.write(&shown);
    if bad.is_empty() { Ok(0) } else { Err(Failure::Usage(bad)) }
}

fn read(line: &str, analysis: &Analysis<'_>) -> Result<(Way, Family, Packet), String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("no JSON: {e}"))?;
    trace::read_packet(&value, &analysis.space).map_err(|e| e.to_string())
}

fn answer(analysis: &Analysis<'_>, sources: &Sources, redactor: &Redactor, way: Way, family: Family, packet: &Packet) -> Value {
    let walked = trace::walked(analysis, way, family, packet);
    let mut value = trace::answer(analysis, &walked, |span| {
        let file = sources.get(span.file);
        (file.path.clone(), file.place(span.start).line)
    });
    if let Some(text) = value["because"].as_str() {
        value["because"] = redactor.scrub(text).into();
    }
    value
}

fn one(args: &Args, analysis: &Analysis<'_>, sources: &Sources, redactor: &Redactor, out: &mut Output) -> Result<(), Failure> {
    let (Some(from), Some(to)) = (args.from, args.to) else {
        return Err(Failure::usage("trace needs --packets FILE, or --from ADDR --to ADDR and --proto"));
    };
    let mut object = serde_json::Map::new();
    let own = analysis.space.local(Family::of(to)).is_some_and(|l| l.contains(to_number(to).1));
    let forwards = analysis.used_ways().iter().any(|(w, _)| *w == Way::Forward);
    let hook = args.hook.as_deref().unwrap_or(if own || !forwards { "input" } else { "forward" });
    object.insert("hook".into(), hook.into());
    object.insert("src".into(), from.to_string().into());
    object.insert("dst".into(), to.to_string().into());
    let proto = args.proto.clone().unwrap_or_else(|| "tcp".into());
    object.insert("proto".into(), proto.parse::<u8>().map_or_else(|_| proto.clone().into(), Value::from));
    let mut text = |key: &str, value: &Option<String>| {
        if let Some(v) = value {
            object.insert(key.into(), v.as_str().into());
        }
    };
    for (key, value) in [("iif", &args.iif), ("oif", &args.oif), ("tcp_flags", &args.tcp_flags), ("ct", &args.ct)] {
        text(key, value);
    }
    for (key, value) in [
        ("sport", args.sport),
        ("dport", args.dport),
        ("icmp_type", args.icmp_type.map(u16::from)),
        ("icmp_code", args.icmp_code.map(u16::from)),
    ] {
        if let Some(v) = value {
            object.insert(key.into(), v.into());
        }
    }
    let value = Value::Object(object);
    let (way, family, packet) = trace::read_packet(&value, &analysis.space).map_err(|e| Failure::usage(e.to_string()))?;
    let walked = trace::walked(analysis, way, family, &packet);
    let mut shown = format!("{}\n", words::packet_words(&packet, way, family, &analysis.space));
    for line in &walked.path {
        let Some(span) = analysis.span(*line) else { continue };
        let file = sources.get(span.file);
        let quoted = redactor.show(file, file.line_span(file.line_index(span.start)));
        shown.push_str(&format!("  {} ({}): {}\n", Untrusted(&sources.locate(span)), analysis.line_words(*line), Untrusted(quoted.trim())));
    }
    shown.push_str(walked.verdict.name());
    if let Some(line) = walked.decided {
        shown.push_str(&format!(", by {}", Untrusted(&analysis.line_words(line))));
    }
    shown.push('\n');
    for condition in &walked.conditions {
        let (what, span) = analysis.space.condition(*condition);
        shown.push_str(&format!("  it depends on: {} ({})\n", Untrusted(what), Untrusted(&sources.locate(span))));
    }
    if let Some(why) = &walked.because {
        shown.push_str(&format!("  {}\n", Untrusted(why)));
    }
    out.write(&redactor.scrub(&shown));
    Ok(())
}
