use std::time::{Duration, Instant};

use super::{WINDOWS_FIREWALL, words};
use crate::diag::LineState;
use crate::source::{FileId, SourceFile};
use crate::vendors;

macro_rules! fixture {
    ($($path:literal),*) => { &[$(($path, include_bytes!(concat!("../../../tests/fixtures/windows-firewall/", $path)).as_slice())),*] };
}

const FIXTURES: &[(&str, &[u8])] = fixture![
    "json/firewall.json",
    "joined/rules.json",
    "joined/profiles.json",
    "csv/rules.csv",
    "csv/profiles.csv",
    "clixml/rules.xml",
    "clixml/profiles.xml",
    "netsh-en/rules.txt",
    "netsh-en/profiles.txt",
    "netsh-de/rules.txt",
    "netsh-de/profiles.txt",
    "netsh-fr/rules.txt",
    "netsh-fr/profiles.txt",
    "netsh-es/rules.txt",
    "netsh-es/profiles.txt",
    "reg/local.reg",
    "reg/policy.reg"
];

fn file(path: &str, bytes: &[u8]) -> SourceFile {
    SourceFile::new(FileId(0), path, bytes)
}

#[test]
fn every_fixture_is_claimed_by_this_format_alone_and_no_line_is_lost() {
    for (path, bytes) in FIXTURES {
        let file = file(path, bytes);
        let found = vendors::detect(&file);
        assert_eq!(found.len(), 1, "{path}: {:?}", found.iter().map(|f| f.0.id).collect::<Vec<_>>());
        let reading = WINDOWS_FIREWALL.read_file(&file);
        let lines = &reading.lines[&file.id];
        assert!(!lines.contains(&LineState::Unrecognised), "{path}: {:?}", reading.notes);
        assert!(lines.contains(&LineState::Understood), "{path}");
    }
}

#[test]
fn files_of_others_are_not_claimed() {
    for text in [
        "",
        "{}",
        "[]",
        "{\"nftables\": []}",
        "[Interface]\nPrivateKey = x\n",
        "<opnsense></opnsense>",
        "name,email\nanna,anna@example.org\n",
        "Windows Registry Editor Version 5.00\n\n[HKEY_CURRENT_USER\\Software\\A]\n\"x\"=dword:00000001\n",
        "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><S>a</S></Objs>",
        "[{\"Name\": \"a\", \"Enabled\": true}]",
        "Heading\n----------------------------------------------------------------------\ntext\n",
    ] {
        let file = SourceFile::from_text(FileId(0), "x", text);
        assert!((WINDOWS_FIREWALL.detect)(&file).is_none(), "{text}");
    }
}

#[test]
fn prefixes_and_flipped_bytes_are_read_without_a_panic() {
    for (path, bytes) in FIXTURES {
        let step = (bytes.len() / 25).max(1);
        for end in (0..bytes.len()).step_by(step) {
            let file = file(path, &bytes[..end]);
            vendors::detect(&file);
            WINDOWS_FIREWALL.read_file(&file);
        }
        for at in (0..bytes.len()).step_by(step) {
            for flip in [0xff, b'"'] {
                let mut changed = bytes.to_vec();
                changed[at] ^= flip;
                let file = file(path, &changed);
                vendors::detect(&file);
                WINDOWS_FIREWALL.read_file(&file);
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_off_is_incomplete_and_what_is_whole_is_read() {
    let (_, bytes) = FIXTURES[1];
    let text = std::str::from_utf8(bytes).unwrap();
    let (_, reading) = WINDOWS_FIREWALL.read_text("rules.json", &text[..text.len() * 2 / 3]);
    assert!(reading.notes.iter().any(|n| n.incomplete && n.text.contains("cut off")));
    let rules = reading.device.chains.iter().flat_map(|c| &c.rules).filter(|r| r.implied.is_none()).count();
    assert!(rules > 3, "{rules}");
}

#[test]
fn deep_and_long_input_is_bounded() {
    let started = Instant::now();
    let deep = |open: &str, close: &str, n: usize| open.repeat(n) + &close.repeat(n);
    let head = "<Objs xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><Obj><MS><S N=\"Direction\">In</S></MS></Obj>";
    let texts = [
        head.to_owned() + &deep("<Obj><MS><Obj N=\"LocalPort\"><LST>", "</LST></Obj></MS></Obj>", 20_000) + "</Objs>",
        "[{\"Direction\":1,\"Action\":2,\"Enabled\":1,\"LocalPort\":".to_owned() + &deep("[", "]", 200_000) + "}]",
        "{\"Direction\":1,\"Action\":2,\"Enabled\":1,\"a\":".to_owned() + &"{\"a\":".repeat(100_000),
        "Direction,Action,Enabled\n".to_owned() + &"\"".repeat(1_000_000),
        "Rule Name:  x\n".to_owned() + &"-".repeat(70) + "\n" + &format!("RemoteIP:  {}\n", "10.0.0.1,".repeat(200_000)),
        format!("[{{\"Direction\":1,\"Action\":2,\"Enabled\":1,\"LocalPort\":\"{}\"}}]", "80,".repeat(300_000)),
        "Windows Registry Editor Version 5.00\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\FirewallRules]\n".to_owned()
            + &"\"a\"=\"v2.0|Action=Allow|RA4=10.0.0.0/8|\"\n".repeat(20_000),
    ];
    for text in &texts {
        let file = SourceFile::from_text(FileId(0), "x", text);
        vendors::detect(&file);
        WINDOWS_FIREWALL.read_file(&file);
    }
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn words_of_four_languages_mean_the_same() {
    use super::props::Key;
    for label in ["Edge traversal:", "Edgeausnahme:", "Traversée latérale :", "Cruce seguro del perímetro:"] {
        assert_eq!(words::label(label), Some(Key::Edge), "{label}");
    }
    assert_eq!(words::label("Regelnaam:"), None);
    assert_eq!(words::value(Key::Direction, "Aus"), ["Outbound"]);
    assert_eq!(words::switch("AUS"), Some(false));
    assert_eq!(words::switch("AAN"), None);
}

#[test]
fn a_rule_of_the_registry_that_is_not_understood_never_becomes_any_or_none() {
    let read = |rule: &str| {
        let text = format!(
            "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\WindowsFirewall\\FirewallRules]\n\"a\"=\"{rule}\"\n"
        );
        WINDOWS_FIREWALL.read_text("policy.reg", &text).1
    };
    // A word that nobody knows is a condition, and said.
    let reading = read("v2.32|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|NewThing=Yes|Name=x|");
    assert!(reading.notes.iter().any(|n| n.text.contains("NewThing")));
    let opaque = |r: &vendors::Reading| {
        (0..r.device.conditions.len() as u32).any(|i| r.device.conditions.get(crate::model::ConditionId(i)).0.contains("newthing"))
    };
    assert!(opaque(&reading));
    // A rule without a state, and one that is none.
    let reading = read("v2.32|Action=Allow|Dir=In|Name=x|");
    assert!(reading.notes.iter().any(|n| n.text.contains("state")));
    let reading = read("nothing of the kind");
    assert!(reading.notes.iter().any(|n| n.state == LineState::Unrecognised) && !reading.device.exhaustive);
}
