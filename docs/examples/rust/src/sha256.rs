//! SHA-256 (FIPS 180-4) and HMAC (RFC 2104). The constants are computed by the compiler from what they are defined as, so that
//! there is no table to mistype.

/// The first 32 bits of the fractional part of the square root of n: the last 32 bits of the root of n * 2^64.
const fn square_root(n: u128) -> u32 {
    let (mut root, mut bit) = (0u128, 1u128 << 37);
    while bit > 0 {
        if (root + bit) * (root + bit) <= n << 64 {
            root += bit;
        }
        bit >>= 1;
    }
    root as u32
}

/// The same of the cube root.
const fn cube_root(n: u128) -> u32 {
    let (mut root, mut bit) = (0u128, 1u128 << 35);
    while bit > 0 {
        if (root + bit) * (root + bit) * (root + bit) <= n << 96 {
            root += bit;
        }
        bit >>= 1;
    }
    root as u32
}

const fn primes() -> [u128; 64] {
    let mut all = [0; 64];
    let (mut count, mut n) = (0, 2);
    while count < 64 {
        let (mut i, mut prime) = (0, true);
        while i < count {
            if n % all[i] == 0 {
                prime = false;
            }
            i += 1;
        }
        if prime {
            all[count] = n;
            count += 1;
        }
        n += 1;
    }
    all
}

const fn initial() -> [u32; 8] {
    let (p, mut h, mut i) = (primes(), [0; 8], 0);
    while i < 8 {
        h[i] = square_root(p[i]);
        i += 1;
    }
    h
}

const fn rounds() -> [u32; 64] {
    let (p, mut k, mut i) = (primes(), [0; 64], 0);
    while i < 64 {
        k[i] = cube_root(p[i]);
        i += 1;
    }
    k
}

const H: [u32; 8] = initial();
const K: [u32; 64] = rounds();

/// The SHA-256 of a message.
pub fn digest(message: &[u8]) -> [u8; 32] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());

    let mut h = H;
    for block in padded.chunks(64) {
        compress(&mut h, block);
    }
    let mut out = [0; 32];
    for (i, word) in h.iter().enumerate() {
        out[4 * i..4 * i + 4].copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn compress(h: &mut [u32; 8], block: &[u8]) {
    let mut w = [0u32; 64];
    for (i, word) in block.chunks(4).enumerate() {
        w[i] = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
    }
    for i in 16..64 {
        let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
        let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
    }
    let mut v = *h; // a to h of the standard
    for i in 0..64 {
        let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
        let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
        let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(K[i]).wrapping_add(w[i]);
        let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
        let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v.rotate_right(1);
        v[4] = v[4].wrapping_add(t1);
        v[0] = t1.wrapping_add(s0).wrapping_add(majority);
    }
    for (sum, word) in h.iter_mut().zip(v) {
        *sum = sum.wrapping_add(word);
    }
}

/// HMAC-SHA256 of a message with a key.
pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = [&block.map(|b| b ^ 0x36), message].concat();
    digest(&[&block.map(|b| b ^ 0x5c)[..], &digest(&inner)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{:02x}", b)).collect()
    }

    #[test]
    fn digests_of_the_standard() {
        for (message, want) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ] {
            assert_eq!(hex(&digest(message.as_bytes())), want, "{}", message);
        }
        let million = vec![b'a'; 1_000_000];
        assert_eq!(hex(&digest(&million)), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }

    #[test]
    fn hmacs_of_rfc_4231() {
        for (key, message, want) in [
            (vec![0x0b; 20], "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe".to_vec(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(&key, message.as_bytes())), want, "{}", message);
        }
    }
}
