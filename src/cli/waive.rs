//! `fwproof waive`: accepts a finding.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::input::{self, Reading};
use super::output::{self, Output};
use super::{Failure, Outcome, baseline};
use crate::checks::dates::days_between;
use crate::diag::Finding;
use crate::pipeline;
use crate::report::Untrusted;
use crate::rulesets::{NewWaiver, add_waiver, is_fingerprint};

/// Accepts a finding until a day: writes a waiver into the file of waivers that the baseline names, and leaves everything else in it as it is.
#[derive(clap::Args, Debug)]
#[command(after_help = "The configurations are checked first: what is waived must be there.")]
pub(crate) struct Args {
    /// The finding, as reports name it: 16 hexadecimal digits
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
    /// Files or folders of configurations [default: the folder of the baseline]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Why it is accepted
    #[arg(long)]
    reason: String,
    /// Who accepts it
    #[arg(long)]
    owner: String,
    /// The last day on which it is accepted
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: String,
    /// Where it was decided
    #[arg(long)]
    ticket: Option<String>,
    /// The baseline whose waivers these are
    #[arg(short, long, value_name = "BASELINE")]
    baseline: Option<PathBuf>,
    /// Judge as of this day [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    // Reports add `-2` to what looks the same a second time.
    let fingerprint = args.fingerprint.split('-').next().unwrap_or("");
    if !is_fingerprint(fingerprint) {
        return Err(Failure::usage(format!("{}: is no fingerprint: 16 hexadecimal digits, as reports have them", args.fingerprint)));
    }
    let as_of = input::as_of(args.as_of.as_deref())?;
    let expires = crate::checks::dates::date(&args.expires)
        .ok_or_else(|| Failure::usage(format!("--expires {}: write a day as YYYY-MM-DD", args.expires)))?;
    if expires < as_of {
        return Err(Failure::usage(format!("--expires {expires}: that day is over")));
    }
    for (what, text) in [("--reason", &args.reason), ("--owner", &args.owner)] {
        if text.trim().is_empty() {
            return Err(Failure::usage(format!("{what}: is empty")));
        }
    }
    let paths = baseline::paths(&args.paths, args.baseline.as_deref());
    let origin = baseline::find(args.baseline.as_deref(), &paths, true)?;
    let baseline::Origin::File(path) = &origin else {
        return Err(Failure::usage("a waiver stands beside a baseline, and there is none: `fwproof init` writes one, -b names it"));
    };
    let mut inventory = args.reading.read_with_estate(&paths, || origin.estate(), origin.beside())?;
    let redactor = inventory.redactor();
    let baseline = origin.load(&mut inventory.sources, true)?;
    let Some(file) = &baseline.waivers.file else {
        return Err(Failure::usage(format!(
            "{}: names no file of waivers: write `waivers: waivers.yaml` in it, and beside it a file waivers.yaml with `fwproof: 1` and `waivers: []`",
            path.display()
        )));
    };
    let report = pipeline::check(&inventory, &baseline, &redactor, as_of, args.reading.jobs);
    let code = args.reading.tell(&report.incomplete, &inventory.sources, &redactor);
    let found: Vec<&Finding> = report.checks.iter().flat_map(|c| &c.findings).filter(|f| f.fingerprint() == fingerprint).collect();
    let Some(first) = found.first() else {
        return Err(Failure::usage(format!("{fingerprint}: there is no such finding now")));
    };
    if let Some(waived) = &first.waived {
        return Err(Failure::usage(format!("{fingerprint}: is waived already: {}", Untrusted(waived))));
    }
    if baseline.waivers.refused.contains(&first.check) || first.check.starts_with("waiver-") {
        return Err(Failure::usage(format!("findings of {} cannot be waived", first.check)));
    }
    if let Some(most) = baseline.waivers.at_most_days.filter(|m| days_between(as_of, expires) > i64::from(*m)) {
        return Err(Failure::usage(format!("--expires {expires}: the baseline lets no waiver end more than {most} days ahead")));
    }
    let new = NewWaiver {
        check: first.check.clone(),
        fingerprint: fingerprint.to_owned(),
        device: first.device.clone(),
        reason: args.reason.clone(),
        owner: args.owner.clone(),
        ticket: args.ticket.clone(),
        expires,
        about: first.message.clone(),
    };
    let target = path.parent().unwrap_or(Path::new("")).join(&file.name);
    let failed = |e: &dyn std::fmt::Display| Failure::usage(format!("{}: {e}", target.display()));
    let text = fs::read_to_string(&target).map_err(|e| failed(&e))?;
    let text = add_waiver(&text, &new).map_err(|e| failed(&e))?;
    replace(&target, &text).map_err(|e| failed(&e))?;
    out.write(&format!(
        "{}: accepts {} of {} until {expires}: {}\n",
        Untrusted(&target.to_string_lossy()),
        crate::report::counted(found.len(), "finding", "findings"),
        new.check,
        Untrusted(&first.message)
    ));
    if !args.reading.quiet && code != 0 {
        output::warning("not everything could be read");
    }
    Ok(0)
}

/// The whole file, or what was there.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays one.
    let real = fs::canonicalize(path)?;
    let folder = real.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    fs::set_permissions(file.path(), fs::metadata(&real)?.permissions())?;
    file.persist(&real).map(drop).map_err(|e| e.error)
}
