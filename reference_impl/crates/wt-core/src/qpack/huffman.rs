//! The Huffman code of HPACK, which QPACK uses (RFC 7541 §5.2 and Appendix B, RFC 9204 §4.1.2).
//!
//! The code is canonical: symbols of equal length have consecutive codes, in the order of their values, so
//! that the lengths alone define it.

/// Length in bits of the code of each byte, and of EOS at the end.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6,
    6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6,
    6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Longest code in bits
const LONGEST: usize = 30;

/// The code, by length.
struct Canonical {
    /// Symbols in the order of their codes
    symbols: [u16; 257],
    /// First code of each length
    first: [u32; LONGEST + 1],
    /// Number of codes of each length
    count: [u32; LONGEST + 1],
    /// Index in `symbols` of the first symbol of each length
    start: [u32; LONGEST + 1],
}

const CANONICAL: Canonical = build();

#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it, and an index beyond ends the build")]
const fn build() -> Canonical {
    let mut table = Canonical {
        symbols: [0; 257],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
    };
    let mut next_symbol = 0;
    let mut code = 0u32;
    let mut length = 1;
    while length <= LONGEST {
        code <<= 1;
        table.first[length] = code;
        table.start[length] = next_symbol as u32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                table.symbols[next_symbol] = symbol as u16;
                next_symbol += 1;
                code += 1;
            }
            symbol += 1;
        }
        table.count[length] = next_symbol as u32 - table.start[length];
        length += 1;
    }
    table
}

impl Canonical {
    /// The symbol with this code of `length` bits, if it is complete. `None` if no code is that long: of 30 bits
    /// each is in the table.
    fn symbol(&self, code: u32, length: usize) -> Option<Option<u16>> {
        let (first, count) = (self.first.get(length)?, self.count.get(length)?);
        let index = code.checked_sub(*first).filter(|index| index < count);
        Some(match index {
            Some(index) => Some(*self.symbols.get((self.start.get(length)? + index) as usize)?),
            None => None,
        })
    }
}

/// Decodes a string. `None` if it holds EOS or ends with anything but up to seven ones (RFC 7541 §5.2).
pub(super) fn decode(input: &[u8]) -> Option<Vec<u8>> {
    let table = &CANONICAL;
    let mut out = Vec::with_capacity(input.len() * 8 / 5);
    let (mut code, mut length) = (0u32, 0usize);
    for byte in input {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            length += 1;
            if let Some(symbol) = table.symbol(code, length)? {
                // EOS has no byte
                out.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
        }
    }
    let padding_is_ones = code == (1 << length) - 1;
    (length < 8 && padding_is_ones).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7541 §C.4.1
    #[test]
    fn example_of_the_text() {
        let encoded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decode(&encoded).as_deref(), Some(&b"www.example.com"[..]));
    }

    #[test]
    fn bad_ends() {
        assert_eq!(decode(&[]), Some(vec![]));
        assert_eq!(decode(&[0b0001_1111]), Some(b"a".to_vec()));
        assert_eq!(decode(&[0b0001_1110]), None, "padding is not ones");
        assert_eq!(decode(&[0b0001_1111, 0xff]), None, "more than seven bits of padding");
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "EOS");
    }

    proptest! {
        #[test]
        fn decodes_what_another_implementation_encodes(text: Vec<u8>) {
            let mut encoded = Vec::new();
            httlib_huffman::encode(&text, &mut encoded).unwrap();
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn takes_anything(input: Vec<u8>) {
            let _ = decode(&input);
        }
    }
}
