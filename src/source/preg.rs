//! `Registry.pol`, the binary form of a policy (MS-GPREG 2.2.1, "Registry Policy Message Syntax"), as text in the form of the registry editor, so
//! that what is in it has lines and places.

/// The first line of such a text.
pub const HEADING: &str = "PReg";

/// The line at which such a text ends where the rest of the file could not be read.
pub const DAMAGED: &str = "; the rest is damaged";

/// Most bytes of one name or value that are looked at.
const MOST: usize = 1 << 20;

/// The text of a file that begins with the signature and the version of a policy; `None`: it is none.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.strip_prefix(b"PReg\x01\0\0\0")?;
    let mut out = format!("{HEADING}\n");
    let mut key = String::new();
    while !rest.is_empty() {
        let Some((entry, after)) = entry(rest) else {
            out.push_str(DAMAGED);
            out.push('\n');
            break;
        };
        rest = after;
        if entry.key != key {
            out.push_str(&format!("\n[{}]\n", plain(&entry.key)));
            key = entry.key;
        }
        let data = match (entry.kind, entry.data) {
            (4, [a, b, c, d]) => format!("dword:{:08x}", u32::from_le_bytes([*a, *b, *c, *d])),
            (1 | 2, data) => format!("\"{}\"", escaped(wide(data).trim_end_matches('\0'))),
            (kind, data) => format!("hex({kind:x}):{}", data.iter().take(64).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(",")),
        };
        out.push_str(&format!("\"{}\"={data}\n", escaped(&entry.name)));
    }
    Some(out)
}

struct Entry<'b> {
    key: String,
    name: String,
    kind: u32,
    data: &'b [u8],
}

/// `[key;value;type;size;data]`, characters of two bytes.
fn entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let rest = bytes.strip_prefix(b"[\0")?;
    let (key, rest) = string(rest)?;
    let (name, rest) = string(rest.strip_prefix(b";\0")?)?;
    let (kind, rest) = number(rest.strip_prefix(b";\0")?)?;
    let (size, rest) = number(rest.strip_prefix(b";\0")?)?;
    let rest = rest.strip_prefix(b";\0")?;
    let (data, rest) = rest.split_at_checked(size as usize)?;
    Some((Entry { key, name, kind, data }, rest.strip_prefix(b"]\0")?))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Characters up to a zero.
fn string(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.chunks_exact(2).take(MOST).position(|c| c == [0, 0])?;
    let (text, rest) = bytes.split_at_checked(end * 2)?;
    Some((wide(text), rest.get(2..)?))
}

fn wide(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
}

/// Without what would end a line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(entries: &[(&str, &str, u32, &[u8])]) -> Vec<u8> {
        let wide = |s: &str| s.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let mut out = b"PReg\x01\0\0\0".to_vec();
        for (key, name, kind, data) in entries {
            out.extend(wide("["));
            out.extend(wide(&format!("{key}\0;{name}\0;")));
            out.extend(kind.to_le_bytes());
            out.extend(wide(";"));
            out.extend((data.len() as u32).to_le_bytes());
            out.extend(wide(";"));
            out.extend(*data);
            out.extend(wide("]"));
        }
        out
    }

    #[test]
    fn a_policy_becomes_text_and_its_prefixes_say_that_they_are_damaged() {
        let bytes =
            policy(&[("Software\\A", "One", 4, &[1, 0, 0, 0]), ("Software\\A", "Two \"x\"", 1, b"a\0\\\0\0\0"), ("B", "c", 3, &[0xff])]);
        let whole = text(&bytes).unwrap();
        assert_eq!(whole, "PReg\n\n[Software\\A]\n\"One\"=dword:00000001\n\"Two \\\"x\\\"\"=\"a\\\\\"\n\n[B]\n\"c\"=hex(3):ff\n");
        for end in 8..bytes.len() {
            let cut = text(&bytes[..end]).unwrap();
            assert!(cut == "PReg\n" || cut.contains(DAMAGED) || whole.starts_with(&cut), "{end}");
        }
        assert_eq!(text(b"PReg"), None);
    }
}
