use super::ROUTEROS;
use crate::diag::LineState;
use crate::source::{FileId, SourceFile};
use crate::vendors::{Confidence, Reading};

const OFFICE: &str = include_str!("../../../tests/fixtures/routeros/office-7.rsc");
const VERBOSE: &str = include_str!("../../../tests/fixtures/routeros/verbose-6.rsc");

fn read(text: &str) -> (SourceFile, Reading) {
    ROUTEROS.read_text("r.rsc", text)
}

fn lines(text: &str, state: LineState) -> Vec<usize> {
    let (file, reading) = read(text);
    reading.lines[&file.id].iter().enumerate().filter(|(_, s)| **s == state).map(|(i, _)| i + 1).collect()
}

#[test]
fn every_line_of_the_fixtures_is_known() {
    for text in [OFFICE, VERBOSE] {
        let (_, reading) = read(text);
        assert!(reading.notes.is_empty(), "{:?}", reading.notes);
        assert_eq!(lines(text, LineState::Unrecognised), [0; 0]);
        assert!(reading.device.names.undefined().is_empty(), "{:?}", reading.device.names.undefined());
    }
}

#[test]
fn exports_and_parts_of_them_are_detected_and_others_are_not() {
    let detect = |text: &str| (ROUTEROS.detect)(&SourceFile::from_text(FileId(0), "x", text)).map(|d| d.confidence);
    for text in [OFFICE, VERBOSE, "/ip firewall filter\nadd chain=input action=drop\n", "/ip/service/set telnet disabled=yes\n"] {
        assert_eq!(detect(text), Some(Confidence::Certain));
    }
    for text in [
        "",
        "/etc/pf.conf\n",
        "set interfaces ethernet eth0 address 10.0.0.1/24\n",
        "*filter\nCOMMIT\n",
        "/ip is a path\nof\nsome\nprose\n",
    ] {
        assert_eq!(detect(text), None, "{text}");
    }
}

#[test]
fn a_quote_that_is_not_closed_loses_one_command() {
    let text = "/ip firewall filter\nadd action=drop chain=input comment=\"lost\nadd action=accept chain=input\n/ip service\nset telnet disabled=yes\n";
    let (_, reading) = read(text);
    assert_eq!(reading.device.chains[0].rules.iter().filter(|r| r.implied.is_none()).count(), 1);
    assert_eq!(lines(text, LineState::Unrecognised), [2]);
    // What was lost may have been any rule.
    assert!(reading.device.chains[0].rules[0].implied.is_some());
}

#[test]
fn lists_in_lists_without_end_are_bounded() {
    let mut text = String::from("/interface list\nadd name=l0 include=l1\nadd name=l1 include=l0\n");
    for i in 2..200 {
        text += &format!("add name=l{i} include=l{},l{}\n", i - 1, i - 2);
    }
    text += "/ip firewall filter\nadd action=accept chain=input in-interface-list=l199\n";
    read(&text);
    read(&format!("/ip firewall filter\nadd chain=input {}", "[".repeat(100_000)));
    read(&"{\n".repeat(20_000));
    read(&format!("/ip firewall filter\n{}", "add action=jump chain=a jump-target=a\n".repeat(1000)));
    // What is opened and never closed is not looked through from each opening.
    for line in ["{ \"\n", "[\n", "( {\n", "/ip firewall {\n", "add x=\"\n", ":if ($a) do={\n", "}\n", "set [ find\n", "\\\n"] {
        read(&format!("{}\nadd chain=input \"", line.repeat(20_000)));
    }
    let many: String = (0..3000).map(|i| format!("add list=l{i} address=10.0.0.{}\n", i % 256)).collect();
    let used: String = (0..3000)
        .map(|i| format!("add chain=input src-address-list=l{i} in-interface-list=static\nset [find list=x] disabled=yes\n"))
        .collect();
    read(&format!("/ip firewall address-list\n{many}/ip firewall filter\n{used}"));
}

#[test]
fn every_prefix_and_flipped_byte_is_read() {
    for text in [OFFICE, VERBOSE] {
        for end in (0..text.len()).step_by(7).filter(|e| text.is_char_boundary(*e)) {
            read(&text[..end]);
        }
        let bytes = text.as_bytes();
        for at in (0..bytes.len()).step_by(11) {
            for with in [b'"', b'\\', b'[', b'{', b'\n', 0xff, b'='] {
                let mut changed = bytes.to_vec();
                changed[at] = with;
                ROUTEROS.read_file(&SourceFile::new(FileId(0), "r.rsc", &changed));
            }
        }
    }
}
