//! Integers and strings of field sections and instructions (RFC 9204 §4.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::huffman;

/// Bits of the largest integer that is read: up to 62 have to be (RFC 9204 §4.1.1), nine bytes hold 63
const LAST_SHIFT: u32 = 56;

/// Why something cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadError {
    /// It is cut off: an error in a field section, a reason to wait on a stream
    Incomplete,
    Invalid(&'static str),
}

/// A string as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RawString<'a> {
    is_huffman: bool,
    bytes: &'a [u8],
}

impl RawString<'_> {
    pub(super) fn decode(self) -> Result<Bytes, ReadError> {
        match self.is_huffman {
            true => {
                huffman::decode(self.bytes).map(Bytes::from).ok_or(ReadError::Invalid("not a Huffman code"))
            }
            false => Ok(Bytes::copy_from_slice(self.bytes)),
        }
    }
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte, which is not taken.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The first byte and the integer of its last `bits` bits (RFC 9204 §4.1.1).
    pub(super) fn integer(&mut self, bits: u32) -> Result<(u8, u64), ReadError> {
        let (&first, mut rest) = self.0.split_first().ok_or(ReadError::Incomplete)?;
        let mask = (1u64 << bits) - 1;
        let mut value = u64::from(first) & mask;
        if value == mask {
            let mut shift = 0;
            loop {
                if shift > LAST_SHIFT {
                    return Err(ReadError::Invalid("an integer is too large"));
                }
                let (&byte, tail) = rest.split_first().ok_or(ReadError::Incomplete)?;
                rest = tail;
                value += u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        self.0 = rest;
        Ok((first, value))
    }

    /// A string of at most `max` bytes, whose length has a prefix of `bits` bits below the bit that says Huffman
    /// (RFC 9204 §4.1.2).
    pub(super) fn string(&mut self, bits: u32, max: usize) -> Result<RawString<'a>, ReadError> {
        let (first, length) = self.integer(bits)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= max);
        let length = length.ok_or(ReadError::Invalid("a string is too long"))?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(ReadError::Incomplete)?;
        self.0 = rest;
        Ok(RawString { is_huffman: first >> bits & 1 == 1, bytes })
    }
}

/// Appends an integer with a prefix of `bits` bits; `flags` are the bits above it (RFC 9204 §4.1.1).
pub(super) fn put_integer(flags: u8, bits: u32, value: u64, out: &mut BytesMut) {
    let max = (1u64 << bits) - 1;
    if value < max {
        out.put_u8(flags | value as u8);
        return;
    }
    out.put_u8(flags | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Appends a string without Huffman coding, which -16 §2.1 leaves to the sender.
pub(super) fn put_string(flags: u8, bits: u32, text: &[u8], out: &mut BytesMut) {
    put_integer(flags, bits, text.len() as u64, out);
    out.put_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7541 §C.1
    #[test]
    fn examples_of_the_text() {
        for (bits, value, encoded) in
            [(5, 10, &[0b01010][..]), (5, 1337, &[0b11111, 0b1001_1010, 0b1010]), (8, 42, &[0b0010_1010])]
        {
            let mut out = BytesMut::new();
            put_integer(0, bits, value, &mut out);
            assert_eq!(out, encoded);
            assert_eq!(Input(encoded).integer(bits).map(|(_, value)| value), Ok(value));
        }
    }

    #[test]
    fn bounds() {
        let ten = [&[0x7f][..], &[0xff; 10]].concat();
        assert!(matches!(Input(&ten).integer(7), Err(ReadError::Invalid(_))));
        assert!(matches!(Input(&ten[..9]).integer(7), Err(ReadError::Incomplete)));
        assert!(matches!(Input(&[5, b'a']).string(7, 5), Err(ReadError::Incomplete)));
        assert!(matches!(Input(&[5, b'a']).string(7, 4), Err(ReadError::Invalid(_))));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in 0..=crate::varint::MAX, bits in 3u32..=8) {
            let mut out = BytesMut::new();
            put_integer(0, bits, value, &mut out);
            let mut input = Input(&out);
            prop_assert_eq!(input.integer(bits).map(|(_, value)| value), Ok(value));
            prop_assert!(input.0.is_empty());
            for cut in 0..out.len() {
                prop_assert_eq!(Input(&out[..cut]).integer(bits), Err(ReadError::Incomplete));
            }
        }
    }
}
