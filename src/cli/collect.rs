//! `fwproof collect`: prints the script that exports a computer's firewall, VPN and network settings into one folder.
//!
//! fwproof itself runs nothing of it: whoever is asked for an export reads the script first.

use clap::ValueEnum;

use super::Outcome;
use super::output::Output;

/// Prints a script that collects what a computer's firewall and VPN are set to, for people who hand that in.
#[derive(clap::Args, Debug)]
#[command(after_help = HOW)]
pub(crate) struct Args {
    /// Of which system
    #[arg(long, value_enum, value_name = "SYSTEM")]
    print: System,
}

const HOW: &str = "\
The script writes one folder with a manifest, changes nothing, sends nothing, and takes no keys or passwords. Put the folder into the one that
`fwproof check` reads: the device is named after the host in the manifest.
  fwproof collect --print linux > collect.sh      sh collect.sh      (with sudo it sees the packet filter)
  fwproof collect --print macos > collect.sh      sh collect.sh      (with sudo it sees pf and profiles)
  fwproof collect --print windows > collect.ps1   powershell -ExecutionPolicy Bypass -File collect.ps1";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum System {
    /// PowerShell 5.1 or later
    Windows,
    /// sh
    Macos,
    /// sh
    Linux,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Outcome {
    out.write(match args.print {
        System::Windows => include_str!("collect/windows.ps1"),
        System::Macos => include_str!("collect/macos.sh"),
        System::Linux => include_str!("collect/linux.sh"),
    });
    Ok(0)
}
