//! `fwproof trace`: what becomes of single packets.

use std::path::PathBuf;

use super::input::Reading;
use super::output::Output;
use super::{Failure, Outcome};

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

pub(crate) fn run(_: &Args, _: &mut Output) -> Outcome {
    Err(Failure::usage("trace: not yet"))
}
