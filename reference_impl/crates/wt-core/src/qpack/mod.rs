//! QPACK (RFC 9204): how field sections are compressed.
//!
//! [`Encoder`] and [`Decoder`] are one direction each; neither knows of streams but by their IDs, and both hand out
//! what is to be sent on our encoder and decoder stream.
//!
//! The registry's crates do not serve: `ls-qpack-rs` needs CMake and libclang to build, `qpack` (and `h3`) take a
//! Required Insert Count where the capacity is 0 and accept Huffman padding of a whole byte, both of which the RFCs
//! call errors; the others that there are have one author and one version.

mod decoder;
mod dynamic_table;
mod encoder;
mod huffman;
mod instructions;
mod primitives;
mod static_table;

use bytes::Bytes;

pub use decoder::{DecodeError, Decoded, Decoder};
pub use encoder::Encoder;
pub use instructions::InstructionError;

use crate::{Field, StreamId};

/// Added to the size of each field, in a section and in the dynamic table (RFC 9114 §4.2.2, RFC 9204 §3.2.1)
const FIELD_OVERHEAD: u64 = 32;

/// Size of a field in the sense of RFC 9114 §4.2.2 and RFC 9204 §3.2.1.
fn field_size(name: &[u8], value: &[u8]) -> u64 {
    name.len() as u64 + value.len() as u64 + FIELD_OVERHEAD
}

/// Size of a field section in the sense of RFC 9114 §4.2.2.
pub fn section_size(fields: &[Field]) -> u64 {
    fields.iter().map(|(name, value)| field_size(name, value)).sum()
}

/// The field section that an encoder without dynamic table writes.
pub fn encode(fields: &[Field]) -> Bytes {
    Encoder::default().encode(StreamId(0), fields)
}

/// Reads an encoded field section whose fields may sum up to `max_size` where the capacity of the table is 0.
pub fn decode(section: &[u8], max_size: u64) -> Result<Vec<Field>, DecodeError> {
    match Decoder::new(0, 0).decode(StreamId(0), section, max_size)? {
        Decoded::Fields(fields) => Ok(fields),
        Decoded::Blocked => Err(DecodeError::Failed("a Required Insert Count that the table cannot reach")),
    }
}

#[cfg(test)]
mod tests;
