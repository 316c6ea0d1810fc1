//! QPACK without the dynamic table (RFC 9204).
//!
//! SETTINGS_QPACK_MAX_TABLE_CAPACITY is left at 0, which draft-ietf-webtrans-http3-16 §2.1.1 suggests for
//! WebTransport: one request for each session has nothing to gain from a table, and without it no field
//! section is ever blocked. The registry's crates do not serve: `ls-qpack-rs` needs CMake and libclang to
//! build, `qpack` (and `h3`) take a Required Insert Count where the capacity is 0 and accept Huffman padding
//! of a whole byte, both of which the RFCs call errors.

mod huffman;
mod instructions;
mod static_table;

use bytes::{BufMut, Bytes, BytesMut};

pub use instructions::{DecoderInstructions, EncoderInstructions, InstructionError};
use static_table::STATIC_TABLE;

use crate::Field;

/// Added to the size of each field (RFC 9114 §4.2.2)
const FIELD_OVERHEAD: u64 = 32;

/// Why a field section cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// QPACK_DECOMPRESSION_FAILED (RFC 9204 §8.3)
    Failed(&'static str),
    /// Larger than SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2)
    TooLarge,
}

/// Size of a field in the sense of RFC 9114 §4.2.2.
fn field_size(name: &[u8], value: &[u8]) -> u64 {
    name.len() as u64 + value.len() as u64 + FIELD_OVERHEAD
}

/// Size of a field section in the sense of RFC 9114 §4.2.2.
pub fn section_size(fields: &[Field]) -> u64 {
    fields.iter().map(|(name, value)| field_size(name, value)).sum()
}

/// Appends an integer with a prefix of `bits` bits; `flags` are the bits above it (RFC 9204 §4.1.1).
fn encode_integer(flags: u8, bits: u32, value: usize, out: &mut BytesMut) {
    let max = (1usize << bits) - 1;
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

/// The encoded field section: static references where there are any, else plain literals.
pub fn encode(fields: &[Field]) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    // Required Insert Count 0, Base 0 (RFC 9204 §4.5.1)
    out.put_slice(&[0, 0]);
    for (name, value) in fields {
        let same_name = |(entry, _): &(&str, &str)| entry.as_bytes() == &name[..];
        let whole =
            STATIC_TABLE.iter().position(|entry| same_name(entry) && entry.1.as_bytes() == &value[..]);
        if let Some(index) = whole {
            encode_integer(0b1100_0000, 6, index, &mut out);
            continue;
        }
        match STATIC_TABLE.iter().position(same_name) {
            Some(index) => encode_integer(0b0101_0000, 4, index, &mut out),
            None => {
                encode_integer(0b0010_0000, 3, name.len(), &mut out);
                out.put_slice(name);
            }
        }
        encode_integer(0, 7, value.len(), &mut out);
        out.put_slice(value);
    }
    out.freeze()
}

/// Reads an encoded field section whose fields may sum up to `max_size`.
pub fn decode(section: &[u8], max_size: u64) -> Result<Vec<Field>, DecodeError> {
    let mut input = Input(section);
    // With capacity 0 every other Required Insert Count is impossible (RFC 9204 §4.5.1.1)
    if input.integer(8)?.1 != 0 {
        return Err(DecodeError::Failed("Required Insert Count is not 0"));
    }
    // Sign bit and Delta Base: with Sign = 1 the Base would be negative (RFC 9204 §4.5.1.2)
    if input.integer(7)?.0 & 0x80 != 0 {
        return Err(DecodeError::Failed("the Base is negative"));
    }
    let mut fields = Vec::new();
    let mut left = max_size;
    while let Some(first) = input.0.first() {
        let field = match first {
            0x80.. => {
                let (flags, index) = input.integer(6)?;
                let (name, value) = static_entry(flags & 0x40 != 0, index)?;
                (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
            }
            0x40..0x80 => {
                let (flags, index) = input.integer(4)?;
                let (name, _) = static_entry(flags & 0x10 != 0, index)?;
                (Bytes::from_static(name.as_bytes()), input.string(7)?)
            }
            0x20..0x40 => (input.string(3)?, input.string(7)?),
            _ => return Err(DecodeError::Failed("a reference past the Base")),
        };
        left = left.checked_sub(field_size(&field.0, &field.1)).ok_or(DecodeError::TooLarge)?;
        fields.push(field);
    }
    Ok(fields)
}

fn static_entry(is_static: bool, index: u64) -> Result<&'static (&'static str, &'static str), DecodeError> {
    if !is_static {
        return Err(DecodeError::Failed("a reference to the dynamic table"));
    }
    let entry = usize::try_from(index).ok().and_then(|index| STATIC_TABLE.get(index));
    entry.ok_or(DecodeError::Failed("an index beyond the static table"))
}

/// The rest of a field section.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// The first byte and the integer of its last `bits` bits (RFC 9204 §4.1.1).
    fn integer(&mut self, bits: u32) -> Result<(u8, u64), DecodeError> {
        let (&first, mut rest) = self.0.split_first().ok_or(DecodeError::Failed("an integer is missing"))?;
        let mask = (1u64 << bits) - 1;
        let mut value = u64::from(first) & mask;
        if value == mask {
            let mut shift = 0;
            loop {
                let (&byte, tail) = rest.split_first().ok_or(DecodeError::Failed("an integer is cut off"))?;
                rest = tail;
                // Up to 62 bits have to be read (RFC 9204 §4.1.1): nine bytes hold 63
                if shift > 56 {
                    return Err(DecodeError::Failed("an integer is too large"));
                }
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

    /// A string whose length has a prefix of `bits` bits, below the bit that says Huffman (RFC 9204 §4.1.2).
    fn string(&mut self, bits: u32) -> Result<Bytes, DecodeError> {
        let (first, length) = self.integer(bits)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or(DecodeError::Failed("a string is cut off"))?;
        self.0 = rest;
        if first >> bits & 1 == 1 {
            huffman::decode(bytes).map(Bytes::from).ok_or(DecodeError::Failed("not a Huffman code"))
        } else {
            Ok(Bytes::copy_from_slice(bytes))
        }
    }
}

#[cfg(test)]
mod tests;
