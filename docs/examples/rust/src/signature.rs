//! Checks the two signatures that every webhook delivery carries. One of them would do: take the one that suits you.

use crate::sha256::hmac;

/// Seconds that a delivery may be old, or ahead of our clock.
const TOLERANCE: i64 = 300;

/// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` (the list). The key is what the secret holds
/// behind `whsec_`, in base64; a secret of your own choice that is no such thing is the key itself. The time is signed as well, so
/// that nobody can send an old delivery again.
pub fn verify_standard(secret: &str, id: &str, timestamp: &str, list: &str, body: &[u8], now: i64) -> bool {
    let recent = match timestamp.parse::<i64>() {
        Ok(sent) => sent >= now - TOLERANCE && sent <= now + TOLERANCE,
        Err(_) => false,
    };
    if !recent || id.is_empty() {
        return false;
    }
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => match base64(encoded) {
            Some(key) => key,
            None => return false,
        },
        None => secret.as_bytes().to_vec(),
    };
    let want = hmac(&key, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat());
    let signatures = list.split(' ').filter_map(|one| base64(one.strip_prefix("v1,")?));
    signatures.fold(false, |good, got| same(&got, &want) | good)
}

/// `X-Matric-Signature`, of the family of X-Hub-Signature-256: the secret's text is the key, the body alone is signed.
pub fn verify_body(secret: &str, header: &str, body: &[u8]) -> bool {
    match header.strip_prefix("sha256=").and_then(hex) {
        Some(got) => same(&got, &hmac(secret.as_bytes(), body)),
        None => false,
    }
}

/// Takes as long for a near miss as for nonsense.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if text.len() % 4 != 0 || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for c in digits.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (text, want) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(base64(text), Some(want.as_bytes().to_vec()));
        }
        for text in ["Zg", "Z===", "Zm9*", "Zm=v"] {
            assert_eq!(base64(text), None, "{}", text);
        }
    }

    // The example of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SENT: i64 = 1614265330;

    #[test]
    fn standard_webhooks() {
        let body = br#"{"test": 2432232314}"#;
        let check = verify_standard;
        let at = SENT.to_string();
        assert!(check(SECRET, ID, &at, SIGNATURE, body, SENT + 300));
        assert!(check(SECRET, ID, &at, &format!("v1,AAAA v2,x {}", SIGNATURE), body, SENT - 300), "one of several");
        assert!(!check(SECRET, ID, &at, SIGNATURE, body, SENT + 301), "too old");
        assert!(!check(SECRET, ID, &at, SIGNATURE, body, SENT - 301), "too new");
        assert!(!check(SECRET, "msg_other", &at, SIGNATURE, body, SENT), "another ID");
        assert!(!check(SECRET, ID, "1614265331", SIGNATURE, body, SENT), "another time");
        assert!(!check(SECRET, ID, &at, SIGNATURE, b"{}", SENT), "another body");
        assert!(!check("whsec_AAAA", ID, &at, SIGNATURE, body, SENT), "another secret");
        for nonsense in ["", "v1", "v1,", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            assert!(!check(SECRET, ID, &at, nonsense, body, SENT), "{}", nonsense);
        }
    }

    #[test]
    fn body() {
        let good = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"; // RFC 4231, case 2
        assert!(verify_body("Jefe", good, b"what do ya want for nothing?"));
        assert!(!verify_body("Jeff", good, b"what do ya want for nothing?"));
        assert!(!verify_body("Jefe", good, b"what do ya want for nothing!"));
        for nonsense in ["", "sha256=", "sha256=5", "sha256=5bdc", "sha256=zz", "5bdcc146"] {
            assert!(!verify_body("Jefe", nonsense, b""), "{}", nonsense);
        }
    }
}
