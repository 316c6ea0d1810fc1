//! The peer's field sections (RFC 9204 §2.2, §4.5), with the table that its encoder stream fills.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{
    FIELD_OVERHEAD,
    dynamic_table::DynamicTable,
    field_size,
    instructions::{DecoderInstruction, EncoderInstruction, InstructionError, NameOf, Unread},
    primitives::{Input, ReadError},
    static_table,
};
use crate::{Field, StreamId};

/// A Huffman code has at most 30 bits for each byte, so that a string shrinks to no less than 8/30 of itself
const HUFFMAN_GROWTH: u64 = 4;

/// Why a field section cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// QPACK_DECOMPRESSION_FAILED (RFC 9204 §6)
    Failed(&'static str),
    /// Larger than SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2)
    TooLarge,
}

impl From<ReadError> for DecodeError {
    fn from(error: ReadError) -> Self {
        Self::Failed(match error {
            ReadError::Incomplete => "the field section is cut off",
            ReadError::Invalid(reason) => reason,
        })
    }
}

/// What a field section is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// Its field lines
    Fields(Vec<Field>),
    /// It refers to entries that have not arrived: decode it again when [`Decoder::unblocked`] names the stream.
    Blocked,
}

/// The prefix of a field section (RFC 9204 §4.5.1).
struct Prefix {
    required: u64,
    base: u64,
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    max_capacity: u64,
    max_blocked: usize,
    table: DynamicTable,
    unread: Unread,
    /// Insert Count that the peer knows of (RFC 9204 §2.1.4)
    reported: u64,
    /// Streams that wait, and the Insert Count that each waits for
    blocked: BTreeMap<StreamId, u64>,
    out: BytesMut,
}

impl Decoder {
    /// A decoder with what SETTINGS say: SETTINGS_QPACK_MAX_TABLE_CAPACITY in bytes and
    /// SETTINGS_QPACK_BLOCKED_STREAMS (RFC 9204 §5).
    pub fn new(max_capacity: u64, max_blocked: u64) -> Self {
        let max_blocked = usize::try_from(max_blocked).unwrap_or(usize::MAX);
        Self { max_capacity, max_blocked, ..Self::default() }
    }

    /// Reads the next bytes of the peer's encoder stream.
    pub fn encoder_stream(&mut self, data: &[u8]) -> Result<(), InstructionError> {
        let max_string = usize::try_from(self.max_capacity * HUFFMAN_GROWTH).unwrap_or(usize::MAX);
        let mut unread = std::mem::take(&mut self.unread);
        unread.encoder_instructions(data, max_string, |instruction| self.instruction(instruction))?;
        self.unread = unread;
        Ok(())
    }

    fn instruction(&mut self, instruction: EncoderInstruction) -> Result<(), InstructionError> {
        let field = match instruction {
            EncoderInstruction::SetCapacity(capacity) if capacity > self.max_capacity => {
                return Err(InstructionError("a table capacity above SETTINGS_QPACK_MAX_TABLE_CAPACITY"));
            }
            EncoderInstruction::SetCapacity(capacity) => {
                self.table.set_capacity(capacity);
                return Ok(());
            }
            EncoderInstruction::Insert(NameOf::Literal(name), value) => (name, value),
            EncoderInstruction::Insert(NameOf::Static(index), value) => {
                let (name, _) =
                    static_table::get(index).ok_or(InstructionError("an index beyond the static table"))?;
                (Bytes::from_static(name.as_bytes()), value)
            }
            EncoderInstruction::Insert(NameOf::Dynamic(index), value) => {
                (self.relative(index)?.0.clone(), value)
            }
            EncoderInstruction::Duplicate(index) => self.relative(index)?.clone(),
        };
        self.table
            .insert(field)
            .map_err(|_| InstructionError("an entry that is larger than the capacity of the table"))
    }

    /// The entry with an index relative to the insertion point (RFC 9204 §3.2.5).
    fn relative(&self, index: u64) -> Result<&Field, InstructionError> {
        let absolute = self.table.inserted().checked_sub(1).and_then(|newest| newest.checked_sub(index));
        absolute
            .and_then(|absolute| self.table.get(absolute))
            .ok_or(InstructionError("a reference to an entry that is not in the table"))
    }

    /// A stream whose section was blocked and is not any more, the lowest first.
    pub fn unblocked(&mut self) -> Option<StreamId> {
        let inserted = self.table.inserted();
        let stream = self.blocked.iter().find(|(_, required)| **required <= inserted).map(|(id, _)| *id)?;
        self.blocked.remove(&stream);
        Some(stream)
    }

    /// Reads an encoded field section whose fields may sum up to `max_size`.
    pub fn decode(
        &mut self,
        stream: StreamId,
        section: &[u8],
        max_size: u64,
    ) -> Result<Decoded, DecodeError> {
        let mut input = Input(section);
        let prefix = self.prefix(&mut input)?;
        if prefix.required > self.table.inserted() {
            if self.blocked.len() >= self.max_blocked {
                return Err(DecodeError::Failed("more streams are blocked than was allowed"));
            }
            self.blocked.insert(stream, prefix.required);
            return Ok(Decoded::Blocked);
        }
        let fields = self.field_lines(&prefix, input, max_size);
        if prefix.required > 0 && matches!(fields, Ok(_) | Err(DecodeError::TooLarge)) {
            // Nothing of the section is needed any more, read to its end or not
            self.reported = self.reported.max(prefix.required);
            DecoderInstruction::SectionAcknowledgment(stream).write(&mut self.out);
        }
        fields.map(Decoded::Fields)
    }

    /// RFC 9204 §4.5.1.1 and §4.5.1.2
    fn prefix(&self, input: &mut Input) -> Result<Prefix, DecodeError> {
        let (_, encoded) = input.integer(8)?;
        let max_entries = self.max_capacity / FIELD_OVERHEAD;
        let full_range = 2 * max_entries;
        let required = match encoded {
            0 => 0,
            1.. if encoded > full_range => {
                return Err(DecodeError::Failed("a Required Insert Count that the table cannot reach"));
            }
            _ => {
                let max_value = self.table.inserted() + max_entries;
                let wrapped = max_value / full_range * full_range + encoded - 1;
                let required =
                    if wrapped > max_value { wrapped.checked_sub(full_range) } else { Some(wrapped) };
                required
                    .filter(|required| *required > 0)
                    .ok_or(DecodeError::Failed("a Required Insert Count that cannot be"))?
            }
        };
        let (sign, delta) = input.integer(7)?;
        let base = match sign & 0x80 {
            0 => required.checked_add(delta),
            _ => required.checked_sub(delta).and_then(|base| base.checked_sub(1)),
        };
        Ok(Prefix { required, base: base.ok_or(DecodeError::Failed("the Base is negative"))? })
    }

    /// RFC 9204 §4.5.2 to §4.5.6
    fn field_lines(
        &self,
        prefix: &Prefix,
        mut input: Input,
        max_size: u64,
    ) -> Result<Vec<Field>, DecodeError> {
        let max_string = input.0.len();
        let before_base = |index: u64| {
            self.referenced(prefix, prefix.base.checked_sub(index).and_then(|end| end.checked_sub(1)))
        };
        let after_base = |index: u64| self.referenced(prefix, prefix.base.checked_add(index));
        let mut fields = Vec::new();
        let mut left = max_size;
        while let Some(first) = input.peek() {
            let (bits, is_post_base) = match first {
                0x80.. => (6, false),
                0x40..0x80 => (4, false),
                0x20..0x40 => (3, false),
                0x10..0x20 => (4, true),
                _ => (3, true),
            };
            let field = match first {
                0x20..0x40 => {
                    (input.string(bits, max_string)?.decode()?, input.string(7, max_string)?.decode()?)
                }
                _ => {
                    let (flags, index) = input.integer(bits)?;
                    // The bit T of both kinds of references is the one above the prefix
                    let is_static = !is_post_base && flags >> bits & 1 == 1;
                    let (name, value) = match (is_post_base, is_static) {
                        (true, _) => after_base(index)?,
                        (false, true) => static_entry(index)?,
                        (false, false) => before_base(index)?,
                    };
                    match first {
                        0x80.. | 0x10..0x20 => (name, value),
                        _ => (name, input.string(7, max_string)?.decode()?),
                    }
                }
            };
            left = left.checked_sub(field_size(&field.0, &field.1)).ok_or(DecodeError::TooLarge)?;
            fields.push(field);
        }
        Ok(fields)
    }

    /// RFC 9204 §2.2.3
    fn referenced(&self, prefix: &Prefix, absolute: Option<u64>) -> Result<Field, DecodeError> {
        let absolute = absolute.filter(|absolute| *absolute < prefix.required);
        absolute
            .and_then(|absolute| self.table.get(absolute))
            .cloned()
            .ok_or(DecodeError::Failed("a reference to an entry that is not in the table"))
    }

    /// Reading of the stream was given up, or the peer reset it: nothing on it will be acknowledged any more
    /// (RFC 9204 §2.2.2.2).
    pub fn cancel(&mut self, stream: StreamId) {
        self.blocked.remove(&stream);
        if self.max_capacity > 0 {
            DecoderInstruction::StreamCancellation(stream).write(&mut self.out);
        }
    }

    /// What is to be sent on the decoder stream now; often nothing.
    pub fn take_instructions(&mut self) -> Bytes {
        let inserted = self.table.inserted();
        if inserted > self.reported {
            DecoderInstruction::InsertCountIncrement(inserted - self.reported).write(&mut self.out);
            self.reported = inserted;
        }
        self.out.split().freeze()
    }
}

fn static_entry(index: u64) -> Result<Field, DecodeError> {
    let (name, value) =
        static_table::get(index).ok_or(DecodeError::Failed("an index beyond the static table"))?;
    Ok((Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())))
}
