//! Bytes to text.

/// What a file's bytes were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// UTF-8 (ASCII included), with or without a byte-order mark.
    Utf8,
    /// UTF-16.
    Utf16,
    /// A code page of the Windows console, told from its letters.
    CodePage,
    /// A binary policy of Windows, shown as text.
    Policy,
    /// Some bytes were not text and were replaced by U+FFFD.
    Damaged,
    /// Mostly control bytes: not a text file at all.
    Binary,
}

/// Text and how it was come by.
#[derive(Debug)]
pub struct Decoded {
    /// The text, without byte-order mark.
    pub text: String,
    /// How it was come by.
    pub encoding: Encoding,
}

/// Decodes a file: byte-order marks decide (UTF-8, UTF-16LE, UTF-16BE), else UTF-8 with replacement. Listings of the Windows console, UTF-16LE
/// without a mark, and `Registry.pol` are recognised by what they look like.
pub fn decode(bytes: &[u8]) -> Decoded {
    if let Some(text) = super::preg::text(bytes) {
        return Decoded { text, encoding: Encoding::Policy };
    }
    let (text, used, damaged) = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, skip)) => {
            let (text, damaged) = encoding.decode_without_bom_handling(&bytes[skip..]);
            (text.into_owned(), encoding, damaged)
        }
        None if is_wide(bytes) => {
            let (text, damaged) = encoding_rs::UTF_16LE.decode_without_bom_handling(bytes);
            (text.into_owned(), encoding_rs::UTF_16LE, damaged)
        }
        None => {
            let (text, damaged) = encoding_rs::UTF_8.decode_without_bom_handling(bytes);
            (text.into_owned(), encoding_rs::UTF_8, damaged)
        }
    };
    let control = text.bytes().filter(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count();
    let replaced = text.chars().filter(|c| *c == '\u{fffd}').count();
    if damaged
        && used == encoding_rs::UTF_8
        && let Some(text) = super::codepage::text(bytes)
    {
        return Decoded { text, encoding: Encoding::CodePage };
    }
    let encoding = if (control + replaced) * 10 > text.len() {
        Encoding::Binary
    } else if damaged {
        Encoding::Damaged
    } else if used == encoding_rs::UTF_8 {
        Encoding::Utf8
    } else {
        Encoding::Utf16
    };
    Decoded { text, encoding }
}

/// Whether bytes are characters of two bytes, the lower one first: the beginning is ASCII so.
fn is_wide(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(32)).unwrap_or(&[]);
    head.len() >= 8 && head.chunks_exact(2).all(|c| c[1] == 0 && (c[0].is_ascii_graphic() || c[0].is_ascii_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_decide_and_damage_is_said() {
        assert_eq!(decode(b"\xef\xbb\xbfab").text, "ab");
        let utf16 = decode(b"\xff\xfea\0b\0");
        assert_eq!((utf16.text.as_str(), utf16.encoding), ("ab", Encoding::Utf16));
        let damaged = decode(b"abcdefghijklmnopqrstuvwxyz\xff");
        assert_eq!(damaged.encoding, Encoding::Damaged);
        assert_eq!(decode(&[0u8, 1, 2, 3, 255]).encoding, Encoding::Binary);
    }
}
