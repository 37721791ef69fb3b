//! From the arguments to what will be sent, and whether that is allowed.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Failure, input};
use super::Args;
use crate::probe::authority::{Authority, USUAL_RATE};
use crate::probe::plan::{MOST_QUESTIONS, Plan, PlanTarget};
use crate::probe::ports::Ports;
use crate::probe::targets::{self, Expanded, Target, expand};
use crate::probe::{Protocol, Settings};
use crate::report::{Untrusted, counted};
use crate::source::{FileId, SourceFile};

/// Where an authorisation is looked for.
const AUTHORITY: &str = "probe.yaml";
/// Bytes of a file of targets, or of an authorisation.
const FILE: u64 = 16 << 20;

/// What is to be asked.
pub(super) struct Asked {
    pub plan: Plan,
    pub settings: Settings,
    /// Names that could not be looked up, and why.
    pub unresolved: Vec<(String, String)>,
    /// The plan in words, for whoever starts it.
    pub words: String,
    /// Whether it may be sent.
    pub permitted: Result<(), Failure>,
}

/// Reads targets, ports and the authorisation.
pub(super) fn make(args: &Args) -> Result<Asked, Failure> {
    let ports = if args.echo_only {
        Ports::default()
    } else {
        let usual = if args.udp { Protocol::Udp } else { Protocol::Tcp };
        let text = args.ports.as_deref().unwrap_or(if args.udp { "top-100" } else { "top-1000" });
        Ports::read(text, usual).map_err(|e| Failure::usage(format!("-p {text}: {e}")))?
    };
    let (authority, expanded) = addresses(args)?;
    let ports = Arc::new(ports);
    let all =
        expanded.addresses.iter().map(|(address, name)| PlanTarget { address: *address, name: name.clone(), ports: Arc::clone(&ports) });
    let plan = Plan { targets: all.collect() };
    finish(args, plan, authority.as_ref(), expanded.unresolved, &expanded.left_out)
}

/// The authorisation, and the addresses that the arguments name.
pub(super) fn addresses(args: &Args) -> Result<(Option<Authority>, Expanded), Failure> {
    let authority = authority(args)?;
    let mut words: Vec<String> = args.targets.clone();
    for path in &args.targets_from {
        words.extend(targets::words(&file(path)?).map(str::to_owned));
    }
    if words.is_empty() {
        return Err(Failure::usage("no target is named: write addresses, prefixes, ranges or names, or --targets FILE"));
    }
    let mut without: Vec<String> = args.exclude.clone();
    for path in &args.exclude_from {
        without.extend(targets::words(&file(path)?).map(str::to_owned));
    }
    let read = |list: &[String]| list.iter().map(|w| Target::read(w)).collect::<Result<Vec<_>, _>>().map_err(Failure::usage);
    let wanted = read(&words)?;
    let mut excluded = read(&without)?;
    excluded.extend(authority.iter().flat_map(|a| a.exclude.iter().cloned()));
    let broadcasts: HashSet<Ipv4Addr> = broadcasts().into_iter().collect();
    let expanded = expand(&wanted, &excluded, &broadcasts, &resolve).map_err(Failure::usage)?;
    Ok((authority, expanded))
}

/// Settings, permission and words for a plan.
pub(super) fn finish(
    args: &Args,
    plan: Plan,
    authority: Option<&Authority>,
    unresolved: Vec<(String, String)>,
    left_out: &[(IpAddr, &'static str)],
) -> Result<Asked, Failure> {
    if plan.questions() > MOST_QUESTIONS {
        let n = plan.questions();
        return Err(Failure::usage(format!("that are {n} ports to ask, more than {MOST_QUESTIONS}: take a part of them at a time")));
    }
    let mut settings = Settings {
        rate: args.rate.unwrap_or(USUAL_RATE),
        target_rate: args.target_rate,
        retries: args.retries,
        patient: !args.impatient,
        echo: !args.no_echo || args.echo_only,
        ..Settings::default()
    };
    settings.timeout.1 = Duration::from_millis(args.timeout);
    settings.timeout.0 = settings.timeout.0.min(settings.timeout.1);
    let (permitted, by) = permission(args, &plan, authority, &mut settings)?;
    let words = in_words(&plan, &settings, &by, left_out);
    Ok(Asked { plan, settings, unresolved, words, permitted })
}

/// Whether the plan may be sent, and in words by whose leave. The rate is brought down to what is allowed.
fn permission(
    args: &Args,
    plan: &Plan,
    authority: Option<&Authority>,
    settings: &mut Settings,
) -> Result<(Result<(), Failure>, String), Failure> {
    let foreign: Vec<&PlanTarget> = plan.targets.iter().filter(|t| !is_loopback(t.address)).collect();
    if foreign.is_empty() {
        return Ok((Ok(()), "the loopback needs nobody's leave".into()));
    }
    let path = args.authority.as_deref().unwrap_or(Path::new(AUTHORITY)).display().to_string();
    let today = input::as_of(None)?;
    let refused = |why: String| Ok((Err(Failure::usage(why.clone())), format!("NOT ALLOWED: {why}")));
    match authority {
        Some(a) if a.until >= today && foreign.iter().all(|t| a.allows(t.address, t.name.as_deref())) => {
            if settings.rate > a.rate {
                if args.rate.is_some() {
                    return refused(format!("{path} allows at most {} packets a second, not {}", a.rate, settings.rate));
                }
                settings.rate = a.rate;
            }
            Ok((Ok(()), format!("allowed by {} until {} ({path})", Untrusted(&a.by), a.until)))
        }
        _ if args.i_am_authorised => Ok((Ok(()), "you say that you are allowed to (--i-am-authorised)".into())),
        Some(a) if a.until < today => refused(format!("{path}: the authorisation ended on {}", a.until)),
        Some(a) => {
            let outside = foreign.iter().find(|t| !a.allows(t.address, t.name.as_deref())).map(|t| t.address.to_string());
            refused(format!("{path} does not allow {}; say --i-am-authorised if you are", outside.unwrap_or_default()))
        }
        None => refused(format!(
            "nobody has said that you may ask {}: write who allowed it into {AUTHORITY} (fwproof, authorised_by, until, targets), or say \
             --i-am-authorised if you are",
            if foreign.len() == 1 { "this target".to_owned() } else { format!("these {} targets", foreign.len()) }
        )),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_loopback(),
        IpAddr::V6(a) => a.is_loopback() || a.to_ipv4_mapped().is_some_and(|a| a.is_loopback()),
    }
}

/// The named authorisation, or the one that lies about.
fn authority(args: &Args) -> Result<Option<Authority>, Failure> {
    let path = match &args.authority {
        Some(path) => path.clone(),
        None if Path::new(AUTHORITY).is_file() => PathBuf::from(AUTHORITY),
        None => return Ok(None),
    };
    let file = SourceFile::new(FileId(0), path.display().to_string(), file(&path)?.as_bytes());
    let read = Authority::read(&file);
    read.map(Some).map_err(|errors| Failure::Usage(errors.iter().map(ToString::to_string).collect()))
}

fn file(path: &Path) -> Result<String, Failure> {
    let trouble = |e: std::io::Error| Failure::usage(format!("{}: {e}", path.display()));
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(FILE).read_to_string(&mut text).map_err(trouble)?;
    } else {
        fs::File::open(path).map_err(trouble)?.take(FILE).read_to_string(&mut text).map_err(trouble)?;
    }
    Ok(text)
}

/// Looks a name up. All its addresses are asked.
fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found: Vec<IpAddr> = (name, 0).to_socket_addrs().map_err(|e| format!("cannot be looked up: {e}"))?.map(|a| a.ip()).collect();
    if found.is_empty() { Err("has no address".into()) } else { Ok(found) }
}

#[cfg(target_os = "linux")]
fn broadcasts() -> Vec<Ipv4Addr> {
    crate::probe::raw::broadcasts()
}

#[cfg(not(target_os = "linux"))]
fn broadcasts() -> Vec<Ipv4Addr> {
    Vec::new()
}

fn in_words(plan: &Plan, settings: &Settings, by: &str, left_out: &[(IpAddr, &'static str)]) -> String {
    let mut out = String::new();
    let ((least, most), (soon, late)) = plan.cost(settings);
    let _ = writeln!(out, "plan: {}, {}", counted(plan.targets.len(), "target", "targets"), ports(plan));
    const SHOWN: usize = 10;
    for target in plan.targets.iter().take(SHOWN) {
        let name = target.name.as_deref().map(|n| format!(" ({})", Untrusted(n))).unwrap_or_default();
        let _ = writeln!(out, "  {}{name}", target.address);
    }
    if plan.targets.len() > SHOWN {
        let _ = writeln!(out, "  and {} more", plan.targets.len() - SHOWN);
    }
    for (address, why) in left_out.iter().take(SHOWN) {
        let _ = writeln!(out, "  left out: {address} ({why})");
    }
    let _ = writeln!(out, "  {least} to {most} packets, at most {} a second, {} to {}", settings.rate, time(soon), time(late));
    let _ = writeln!(out, "  {by}");
    out
}

fn ports(plan: &Plan) -> String {
    let tcp: u64 = plan.targets.iter().map(|t| t.ports.tcp.len() as u64).sum();
    let udp: u64 = plan.targets.iter().map(|t| t.ports.udp.len() as u64).sum();
    match (tcp, udp) {
        (0, 0) => "ICMP echo only".into(),
        (n, 0) => format!("{n} TCP ports in all"),
        (0, n) => format!("{n} UDP ports in all"),
        (t, u) => format!("{t} TCP and {u} UDP ports in all"),
    }
}

fn time(duration: Duration) -> String {
    let s = duration.as_secs_f64();
    match s {
        _ if s < 10.0 => format!("{s:.1} s"),
        _ if s < 120.0 => format!("{s:.0} s"),
        _ if s < 7200.0 => format!("{:.0} min", s / 60.0),
        _ => format!("{:.1} h", s / 3600.0),
    }
}
