//! What is said to UDP services so that they answer: a short question of the protocol that lives at the port. All are plain questions that
//! change nothing. Where the protocol lets the answer repeat a number, it must repeat ours: then nobody can forge it who did not see it.

/// Where an answer repeats the token.
enum Repeats {
    /// Nowhere, or not always.
    No,
    /// Its first two bytes are the token's.
    Two,
    /// Its first four bytes are the token's.
    Four,
    /// Its eight bytes stand somewhere.
    Eight,
    /// Its sixteen hexadecimal digits stand somewhere.
    Digits,
}

/// The question for a port. `attempt` counts from 0: where a service has two dialects, they take turns.
pub fn payload(port: u16, token: u64, attempt: u32) -> Vec<u8> {
    question(port, token, attempt).0
}

/// Whether an answer is one to [`payload`] with the same port and token.
pub fn is_answer(port: u16, token: u64, answer: &[u8]) -> bool {
    let t = token.to_be_bytes();
    match question(port, token, 0).1 {
        Repeats::No => true,
        Repeats::Two => answer.get(..2) == Some(&t[..2]),
        Repeats::Four => answer.get(..4) == Some(&t[..4]),
        Repeats::Eight => answer.windows(8).any(|w| w == t),
        Repeats::Digits => answer.windows(16).any(|w| w == digits(token).as_bytes()),
    }
}

fn digits(token: u64) -> String {
    format!("{token:016x}")
}

/// Two or more parts as one.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn question(port: u16, token: u64, attempt: u32) -> (Vec<u8>, Repeats) {
    let t = token.to_be_bytes();
    match port {
        // DNS (RFC 1035), LLMNR (RFC 4795): the name servers of the root.
        53 | 5355 => (joined(&[&t[..2], &[if port == 53 { 1 } else { 0 }, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]]), Repeats::Two),
        // mDNS (RFC 6762): which services there are, answered to us alone.
        5353 => {
            let name = b"\x09_services\x07_dns-sd\x04_udp\x05local\x00";
            (joined(&[&t[..2], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 12, 0x80, 1]]), Repeats::No)
        }
        // NetBIOS name service (RFC 1002): node status of "*".
        137 => {
            let name = joined(&[b"\x20CK", &[b'A'; 30], &[0]]);
            (joined(&[&t[..2], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], &name, &[0, 0x21, 0, 1]]), Repeats::Two)
        }
        // NTP (RFC 5905): a client's packet; the answer repeats its transmit time as the origin.
        123 => (joined(&[&[0x23, 0, 6, 0xec], &[0; 36], &t]), Repeats::Eight),
        // SNMP: who are you, in version 3 (RFC 3414, discovery of the engine) and with the community of version 1.
        161 if attempt.is_multiple_of(2) => {
            let id = [t[0] & 0x7f, t[1], t[2], t[3]];
            let header = joined(&[&[0x30, 14, 2, 4], &id, &[2, 2, 5, 0xdc, 4, 1, 4, 2, 1, 3]]);
            let security = [4, 16, 0x30, 14, 4, 0, 2, 1, 0, 2, 1, 0, 4, 0, 4, 0, 4, 0];
            let get = joined(&[&[0xa0, 14, 2, 4], &id, &[2, 1, 0, 2, 1, 0, 0x30, 0]]);
            let scoped = joined(&[&[0x30, 20, 4, 0, 4, 0], &get]);
            let header = joined(&[&[0x30, 16], &header[2..]]);
            let body = joined(&[&[2, 1, 3], &header, &security, &scoped]);
            (joined(&[&[0x30, body.len() as u8], &body]), Repeats::No)
        }
        161 => {
            let name = [0x30, 12, 6, 8, 0x2b, 6, 1, 2, 1, 1, 1, 0, 5, 0];
            let get = joined(&[&[0xa0, 28, 2, 4, t[0] & 0x7f, t[1], t[2], t[3], 2, 1, 0, 2, 1, 0, 0x30, 14], &name]);
            let body = joined(&[&[2, 1, 0, 4, 6], b"public", &get]);
            (joined(&[&[0x30, body.len() as u8], &body]), Repeats::No)
        }
        // IKEv2 (RFC 7296), behind four zeros where NAT is traversed (RFC 3948).
        500 => (ike(token), Repeats::Eight),
        4500 => (joined(&[&[0; 4], &ike(token)]), Repeats::Eight),
        // OpenVPN: a client's hard reset.
        1194 => (joined(&[&[0x38], &t, &[0, 0, 0, 0, 0]]), Repeats::No),
        // WireGuard: in the shape of a handshake initiation; who has no key of it stays silent, and so does it.
        51820 | 41641 => (joined(&[&[1, 0, 0, 0], &t, &[0x55; 136]]), Repeats::No),
        // STUN (RFC 8489): a binding request.
        3478 | 19302 => (joined(&[&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], &t, &[0; 4]]), Repeats::Eight),
        // SIP (RFC 3261): what can you do?
        5060 | 5061 => {
            let d = digits(token);
            let text = format!(
                "OPTIONS sip:probe@invalid SIP/2.0\r\nVia: SIP/2.0/UDP invalid;branch=z9hG4bK{d};rport\r\nMax-Forwards: 70\r\nFrom: <sip:probe@invalid>;tag={d}\r\n\
                 To: <sip:probe@invalid>\r\nCall-ID: {d}\r\nCSeq: 1 OPTIONS\r\nContact: <sip:probe@invalid>\r\nContent-Length: 0\r\n\r\n"
            );
            (text.into_bytes(), Repeats::Digits)
        }
        // SSDP (UPnP device architecture): everything there is, asked of one host.
        1900 => {
            let text = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
            (text.as_bytes().to_vec(), Repeats::No)
        }
        // QUIC (RFC 9000): a version that nobody has; the answer names those that there are, and repeats the connection id.
        80 | 443 | 784 | 853 | 4433 | 8443 => {
            let mut packet = joined(&[&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8], &t, &[8], &[0x11; 8]]);
            packet.resize(1200, 0);
            (packet, Repeats::Eight)
        }
        // TFTP (RFC 1350): a file that is not there.
        69 => (joined(&[&[0, 1], digits(token).as_bytes(), b"\0octet\0"]), Repeats::No),
        // RADIUS (RFC 5997): a server's status.
        1812 | 1813 | 1645 | 1646 => (joined(&[&[12, t[0], 0, 38], &t, &t, &[80, 18], &[0; 16]]), Repeats::No),
        // memcached: its version, in the frame of UDP.
        11211 => (joined(&[&t[..2], &[0, 0, 0, 1, 0, 0], b"version\r\n"]), Repeats::Two),
        // Sun RPC (RFC 5531): the null procedure of the port mapper, and of NFS.
        111 | 2049 => {
            let program: [u8; 8] = if port == 111 { [0, 1, 0x86, 0xa0, 0, 0, 0, 2] } else { [0, 1, 0x86, 0xa3, 0, 0, 0, 3] };
            (joined(&[&t[..4], &[0, 0, 0, 0, 0, 0, 0, 2], &program, &[0; 20]]), Repeats::Four)
        }
        // LDAP without connection (MS-ADTS): the root's attributes.
        389 => {
            let search = joined(&[
                &[0x63, 35, 4, 0, 10, 1, 0, 10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0, 0x87, 11],
                b"objectclass",
                &[0x30, 3, 4, 1, b'*'],
            ]);
            (joined(&[&[0x30, search.len() as u8 + 3, 2, 1, 7], &search]), Repeats::No)
        }
        // SQL Server's browser (MC-SQLR): which instances?
        1434 => (vec![2], Repeats::No),
        // RMCP (ASF 2.0): a presence ping.
        623 => (vec![6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 1, 0, 0], Repeats::No),
        // RIP version 2 (RFC 2453): the whole table.
        520 => (joined(&[&[1, 2, 0, 0, 0, 0, 0, 0], &[0; 15], &[16]]), Repeats::No),
        // CoAP (RFC 7252): GET /.well-known/core.
        5683 => (joined(&[&[0x48, 1, t[0], t[1]], &t, b"\xbb.well-known\x04core"]), Repeats::Eight),
        // XDMCP: query.
        177 => (vec![0, 2, 0, 2, 0, 1, 0], Repeats::No),
        // L2TP (RFC 2661): a start of a control connection.
        1701 => {
            let avps: &[u8] =
                &[0x80, 8, 0, 0, 0, 0, 0, 1, 0x80, 8, 0, 0, 0, 2, 1, 0, 0x80, 10, 0, 0, 0, 3, 0, 0, 0, 3, 0x80, 11, 0, 0, 0, 7];
            let rest = joined(&[avps, b"probe", &[0x80, 8, 0, 0, 0, 9, 0, 1]]);
            (joined(&[&[0xc8, 2, 0, 12 + rest.len() as u8, 0, 0, 0, 0, 0, 0, 0, 0], &rest]), Repeats::No)
        }
        // What simple services send back.
        7 => (joined(&[&t]), Repeats::Eight),
        // Servers of games: their name.
        27015 => (joined(&[&[0xff; 4], b"TSource Engine Query\0"]), Repeats::No),
        _ => (b"\r\n\r\n".to_vec(), Repeats::No),
    }
}

/// The first packet of IKEv2, with one proposal (AES-CBC 256, HMAC-SHA2-256, MODP 2048) and a public value that is none.
fn ike(token: u64) -> Vec<u8> {
    let transforms: [&[u8]; 4] =
        [&[3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 1, 0], &[3, 0, 0, 8, 2, 0, 0, 5], &[3, 0, 0, 8, 3, 0, 0, 12], &[0, 0, 0, 8, 4, 0, 0, 14]];
    let transforms = transforms.concat();
    let proposal = joined(&[&[0, 0, 0, 8 + transforms.len() as u8, 1, 1, 0, 4], &transforms]);
    let sa = joined(&[&[34, 0, 0, 4 + proposal.len() as u8], &proposal]);
    let ke = joined(&[&[40, 0, 1, 8, 0, 14, 0, 0], &[0x5a; 256]]);
    let nonce = joined(&[&[0, 0, 0, 36], &[0xa5; 32]]);
    let length = (28 + sa.len() + ke.len() + nonce.len()) as u32;
    joined(&[&token.to_be_bytes(), &[0; 8], &[33, 0x20, 34, 8, 0, 0, 0, 0], &length.to_be_bytes(), &sa, &ke, &nonce])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_repeat_what_was_asked_where_the_protocol_does() {
        let token = 0x0123_4567_89ab_cdef;
        assert!(is_answer(53, token, &[0x01, 0x23, 0x81, 0x80]));
        assert!(!is_answer(53, token, &[0x01, 0x24, 0x81, 0x80]) && !is_answer(53, token, &[1]) && !is_answer(53, token, &[]));
        assert!(is_answer(5060, token, b"SIP/2.0 200 OK\r\nCall-ID: 0123456789abcdef\r\n") && !is_answer(5060, token, b"SIP/2.0 200 OK"));
        assert!(is_answer(443, token, &[&[0x80, 0, 0, 0, 0][..], &token.to_be_bytes()].concat()));
        assert!(is_answer(9, token, b""));
    }

    #[test]
    fn every_port_has_a_question_that_fits_a_packet() {
        for port in 0..=u16::MAX {
            for attempt in 0..2 {
                assert!((1..=1232).contains(&payload(port, u64::from(port), attempt).len()), "{port}");
            }
        }
    }

    #[test]
    fn lengths_within_questions_are_right() {
        for attempt in 0..2 {
            let snmp = payload(161, 7, attempt);
            assert_eq!(usize::from(snmp[1]) + 2, snmp.len());
        }
        let ldap = payload(389, 7, 0);
        assert_eq!((usize::from(ldap[1]) + 2, usize::from(ldap[6]) + 7), (ldap.len(), ldap.len()));
        let ike = payload(500, 7, 0);
        assert_eq!(u32::from_be_bytes(ike[24..28].try_into().unwrap()) as usize, ike.len());
        let l2tp = payload(1701, 7, 0);
        assert_eq!(usize::from(l2tp[3]), l2tp.len());
    }
}
