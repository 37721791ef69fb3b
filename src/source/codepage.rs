//! Texts of the Windows console: the code pages 437 and 850 of DOS, and 1252 of Windows.

/// The upper half of code page 850 (IBM CDRA, "Latin 1 multilingual"). Letters of German, French and Spanish stand at the same places in code page
/// 437, but for some capitals.
const OEM850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// Hyphens in a row that a listing of netsh has below its headings.
const RULER: &[u8] = b"----------------------------------------";

/// The text of bytes that are no UTF-8, if they look like a listing of the Windows console. Which code page it is, is told from the letters: those with
/// accents lie below 0xB0 in the code pages of DOS, and above in that of Windows.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..bytes.len().min(4096))?;
    if !head.windows(RULER.len()).any(|w| w == RULER) || bytes.contains(&0) {
        return None;
    }
    let of_dos = bytes.iter().filter(|b| (0x80..0xb0).contains(*b)).count();
    let of_windows = bytes.iter().filter(|b| **b >= 0xc0).count();
    if of_windows > of_dos {
        let (text, damaged) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes);
        return (!damaged).then(|| text.into_owned());
    }
    let upper: Vec<char> = OEM850.chars().collect();
    let decode = |b: &u8| if *b < 0x80 { char::from(*b) } else { upper.get(usize::from(*b) - 0x80).copied().unwrap_or('\u{fffd}') };
    Some(bytes.iter().map(decode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_in_the_code_pages_of_german_french_and_spanish_consoles_are_read() {
        assert_eq!(OEM850.chars().count(), 128);
        let ruler = String::from_utf8(RULER.to_vec()).unwrap() + "\n";
        let with = |bytes: &[u8]| [bytes, b"\n", ruler.as_bytes()].concat();
        assert_eq!(text(&with(b"Dom\x84ne \x99ffentlich")).unwrap().lines().next(), Some("Domäne Öffentlich"));
        assert_eq!(text(&with(b"r\x8agle Activ\x82")).unwrap().lines().next(), Some("règle Activé"));
        assert_eq!(text(&with(b"S\xa1 Acci\xa2n")).unwrap().lines().next(), Some("Sí Acción"));
        assert_eq!(text(&with(b"Dom\xe4ne")).unwrap().lines().next(), Some("Domäne"));
        assert_eq!(text(b"Dom\x84ne"), None);
    }
}
