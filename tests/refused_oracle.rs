//! Rule sets that the real tools refuse, and what fwproof says of them: the same, at the line. Loads into network namespaces of its own.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::print_stderr)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use fwproof::source::{FileId, SourceFile};
use fwproof::vendors;

/// Whether a tool takes a rule set; `None`: it cannot be asked here.
fn takes(tool: &[&str], text: &str) -> Option<bool> {
    let mut command = Command::new("unshare");
    command.args(["--net"]);
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    if !root {
        command.arg("--map-root-user");
    }
    let mut child = command.args(tool).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 127: no such program; no permission: not a judgement about the rules.
    if output.status.code() == Some(127) || said.contains("unshare:") || said.contains("not permitted") {
        return None;
    }
    Some(output.status.success())
}

/// The lines (from 1) at which fwproof says that the rules would be refused.
fn said(name: &str, text: &str) -> Vec<u32> {
    let file = SourceFile::new(FileId(0), name, text.as_bytes());
    let (format, _) = vendors::detect(&file).into_iter().next().expect("a format");
    let reading = format.read_file(&file);
    let mut lines: Vec<u32> = reading.device.refused.iter().map(|(span, _)| file.place(span.start).line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn iptables(table: &str, rules: &str) -> String {
    format!("*{table}\n:mine - [0:0]\n:yours - [0:0]\n{rules}\nCOMMIT\n")
}

fn nft(rules: &str) -> String {
    format!(
        "table inet filter {{\n\tchain mine {{\n\t\taccept\n\t}}\n\tchain input {{\n\t\ttype filter hook input priority 0;\n\t\t{rules}\n\t}}\n}}\n"
    )
}

/// Name of the file, text, the line that is refused (0: none).
fn cases() -> Vec<(&'static str, String, u32)> {
    let v4 = |table, rules, line| ("rules.v4", iptables(table, rules), line);
    let n = |rules, line| ("rules.nft", nft(rules), line);
    vec![
        v4("filter", "-A INPUT -j mine", 0),
        v4("filter", "-A INPUT -j nowhere", 4),
        v4("filter", "-A INPUT -g nowhere", 4),
        v4("filter", "-A INPUT -j FORWARD", 4),
        v4("filter", "-A nowhere -j ACCEPT", 4),
        v4("filter", "-A INPUT -j mine\n-A mine -j yours\n-A yours -j mine", 6),
        v4("filter", "-A INPUT -p tcp -m tcp --dport 70000 -j ACCEPT", 4),
        v4("filter", "-A INPUT -p tcp -m tcp --dport 90:80 -j ACCEPT", 4),
        v4("filter", "-A INPUT -p tcp -m multiport --dports 22,70000 -j ACCEPT", 4),
        v4("filter", "-A FORWARD -j MASQUERADE", 4),
        v4("filter", "-A INPUT -j DNAT --to-destination 192.0.2.1", 4),
        v4("nat", "-A PREROUTING -j DNAT --to-destination 192.0.2.1", 0),
        v4("nat", "-A POSTROUTING -j DNAT --to-destination 192.0.2.1", 4),
        v4("nat", "-A PREROUTING -j MASQUERADE", 4),
        n("jump mine", 0),
        n("jump nowhere", 7),
        n("goto nowhere", 7),
        n("ip saddr @nowhere accept", 7),
        n("ip saddr vmap @nowhere", 7),
        n("tcp dport 70000 accept", 7),
        n("tcp dport 22 accept drop", 7),
    ]
}

#[test]
fn what_the_tools_refuse_is_said_at_its_line() {
    for (name, text, line) in cases() {
        let wanted: Vec<u32> = if line == 0 { Vec::new() } else { vec![line] };
        assert_eq!(said(name, &text), wanted, "{text}");
    }
}

#[test]
fn the_tools_refuse_what_fwproof_says_they_do() {
    let mut asked = 0;
    for (name, text, line) in cases() {
        let tools: &[&[&str]] = match name {
            "rules.nft" => &[&["nft", "-f", "-"]],
            _ => &[&["iptables-legacy-restore"], &["iptables-nft-restore"]],
        };
        for tool in tools {
            let Some(taken) = takes(tool, &text) else {
                assert!(std::env::var_os("CI").is_none(), "skipped under CI: {} cannot be asked", tool[0]);
                eprintln!("skipped: {} cannot be asked", tool[0]);
                continue;
            };
            assert_eq!(taken, line == 0, "{}:\n{text}", tool[0]);
            asked += 1;
        }
    }
    eprintln!("{asked} judgements of the tools");
}
