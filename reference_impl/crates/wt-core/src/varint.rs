//! Variable-length integers (RFC 9000 §16).

use bytes::{Buf, BufMut, Bytes};

/// The largest value, 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Bytes that the shortest encoding of `value` takes; values above [`MAX`] have none and count as 8.
pub const fn size(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends the shortest encoding. Values above [`MAX`] have none; their two highest bits are lost.
pub fn encode(value: u64, out: &mut impl BufMut) {
    debug_assert!(value <= MAX);
    match size(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 0x4000),
        4 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// Value and length of the integer at the start of `input`; `None` if it is cut off.
pub fn decode(input: &[u8]) -> Option<(u64, usize)> {
    let first = *input.first()?;
    let length = 1usize << (first >> 6);
    let rest = input.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// The whole of `input` as one integer: `None` if bytes are missing or left over.
pub fn decode_exact(input: &[u8]) -> Option<u64> {
    decode(input).filter(|(_, length)| *length == input.len()).map(|(value, _)| value)
}

/// An integer that arrives in pieces.
#[derive(Debug, Default, Clone)]
pub(crate) struct Partial {
    bytes: [u8; 8],
    have: u8,
}

impl Partial {
    /// Takes bytes from `input` until the integer is complete.
    pub(crate) fn read(&mut self, input: &mut Bytes) -> Option<u64> {
        while input.has_remaining() {
            let byte = input.get_u8();
            // An integer has at most 8 bytes, so there is always room
            if let Some(next) = self.bytes.get_mut(usize::from(self.have)) {
                *next = byte;
                self.have += 1;
            }
            if let Some((value, _)) = self.bytes.get(..usize::from(self.have)).and_then(decode) {
                self.have = 0;
                return Some(value);
            }
        }
        None
    }

    /// Whether an integer has begun and is not complete.
    pub(crate) fn is_partial(&self) -> bool {
        self.have != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9000 §A.1
    #[test]
    fn examples_of_the_text() {
        assert_eq!(
            decode(&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c]),
            Some((151_288_809_941_952_652, 8))
        );
        assert_eq!(decode(&[0x9d, 0x7f, 0x3e, 0x7d]), Some((494_878_333, 4)));
        assert_eq!(decode(&[0x7b, 0xbd]), Some((15_293, 2)));
        assert_eq!(decode(&[0x25]), Some((37, 1)));
        assert_eq!(decode(&[0x40, 0x25]), Some((37, 2)));
        assert_eq!(decode(&[0x40]), None);
        assert_eq!(decode(&[]), None);
        assert_eq!(decode_exact(&[0x25, 0]), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in 0..=MAX, cut in 0usize..8) {
            let mut out = Vec::new();
            encode(value, &mut out);
            prop_assert_eq!(out.len(), size(value));
            prop_assert_eq!(decode_exact(&out), Some(value));
            let mut partial = Partial::default();
            let mut head = Bytes::from(out);
            let mut tail = head.split_off(cut.min(head.len()));
            let value_read = partial.read(&mut head).or_else(|| partial.read(&mut tail));
            prop_assert_eq!(value_read, Some(value));
            prop_assert!(!partial.is_partial());
        }
    }
}
