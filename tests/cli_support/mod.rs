//! Running the program as a user does, in an environment without surprises.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A folder of its own.
pub struct Place(pub tempfile::TempDir);

/// What a run left behind.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for (path, text) in files {
            place.write(path, text.as_bytes());
        }
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Runs `fwproof` in the folder.
    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, &[], None)
    }

    pub fn run_with(&self, args: &[&str], vars: &[(&str, &str)], stdin: Option<&[u8]>) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fwproof"));
        command.args(args).current_dir(self.path()).env_clear().envs(vars.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        {
            let mut pipe = child.stdin.take().unwrap();
            // The program may end without reading.
            let _ = pipe.write_all(stdin.unwrap_or(b""));
        }
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).expect("output is UTF-8");
        Run { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }
}

/// A small firewall that denies by default and opens one port.
pub const EDGE: &str = "\
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname \"eth0\" tcp dport 22 accept comment \"admins\"
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
";

/// A baseline with one check that holds on [`EDGE`] in a folder `edge`.
#[allow(dead_code, reason = "not every test that uses this module needs it")]
pub const BASELINE: &str = "\
fwproof: 1
title: Tiny Ltd
zones:
  internet: { addresses: public }
estate:
  sites: { hq: { firewalls: 1, devices: [edge] } }
checks:
  - id: all-firewalls-there
    title: Every office has its firewalls
    severity: high
    coverage: firewalls-per-site
    why: A firewall that nobody exports is one that nobody checks.
    fix: Export it.
";
