//! Instructions on the encoder and the decoder stream (RFC 9204 §4.3, §4.4): what is read and what is sent.

use bytes::{Bytes, BytesMut};

use super::primitives::{Input, RawString, ReadError, put_integer, put_string};
use crate::StreamId;

/// A connection error on a QPACK stream: QPACK_ENCODER_STREAM_ERROR or QPACK_DECODER_STREAM_ERROR (RFC 9204 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionError(pub &'static str);

/// The name of an entry to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameOf {
    Static(u64),
    /// Relative index (RFC 9204 §3.2.5)
    Dynamic(u64),
    Literal(Bytes),
}

/// Instructions of an encoder (RFC 9204 §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EncoderInstruction {
    SetCapacity(u64),
    Insert(NameOf, Bytes),
    /// Relative index
    Duplicate(u64),
}

impl EncoderInstruction {
    /// Reads one whose strings have at most `max_string` bytes on the wire.
    fn read(input: &mut Input, max_string: usize) -> Result<Self, ReadError> {
        // The strings are decoded only when all of the instruction has come, so that this happens once
        let with_value =
            |input: &mut Input, name: NameOf| Ok(Self::Insert(name, input.string(7, max_string)?.decode()?));
        match input.peek().ok_or(ReadError::Incomplete)? {
            0x80.. => {
                let (flags, index) = input.integer(6)?;
                let is_static = flags & 0x40 != 0;
                with_value(input, if is_static { NameOf::Static(index) } else { NameOf::Dynamic(index) })
            }
            0x40..0x80 => {
                let name: RawString = input.string(5, max_string)?;
                let value = input.string(7, max_string)?;
                Ok(Self::Insert(NameOf::Literal(name.decode()?), value.decode()?))
            }
            0x20..0x40 => Ok(Self::SetCapacity(input.integer(5)?.1)),
            _ => Ok(Self::Duplicate(input.integer(5)?.1)),
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::SetCapacity(capacity) => put_integer(0b0010_0000, 5, *capacity, out),
            Self::Insert(name, value) => {
                match name {
                    NameOf::Static(index) => put_integer(0b1100_0000, 6, *index, out),
                    NameOf::Dynamic(index) => put_integer(0b1000_0000, 6, *index, out),
                    NameOf::Literal(name) => put_string(0b0100_0000, 5, name, out),
                }
                put_string(0, 7, value, out);
            }
            Self::Duplicate(index) => put_integer(0, 5, *index, out),
        }
    }
}

/// Instructions of a decoder (RFC 9204 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecoderInstruction {
    SectionAcknowledgment(StreamId),
    StreamCancellation(StreamId),
    InsertCountIncrement(u64),
}

impl DecoderInstruction {
    fn read(input: &mut Input) -> Result<Self, ReadError> {
        Ok(match input.peek().ok_or(ReadError::Incomplete)? {
            0x80.. => Self::SectionAcknowledgment(StreamId(input.integer(7)?.1)),
            0x40..0x80 => Self::StreamCancellation(StreamId(input.integer(6)?.1)),
            _ => Self::InsertCountIncrement(input.integer(6)?.1),
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::SectionAcknowledgment(stream) => put_integer(0b1000_0000, 7, stream.0, out),
            Self::StreamCancellation(stream) => put_integer(0b0100_0000, 6, stream.0, out),
            Self::InsertCountIncrement(increment) => put_integer(0, 6, increment, out),
        }
    }
}

/// Bytes of an instruction that is not complete. At most its two strings and a few bytes.
#[derive(Debug, Default)]
pub(super) struct Unread(BytesMut);

impl Unread {
    /// Every instruction of an encoder that is complete now, `each` at a time.
    pub(super) fn encoder_instructions(
        &mut self,
        data: &[u8],
        max_string: usize,
        each: impl FnMut(EncoderInstruction) -> Result<(), InstructionError>,
    ) -> Result<(), InstructionError> {
        self.instructions(data, |input| EncoderInstruction::read(input, max_string), each)
    }

    /// The same of a decoder.
    pub(super) fn decoder_instructions(
        &mut self,
        data: &[u8],
        each: impl FnMut(DecoderInstruction) -> Result<(), InstructionError>,
    ) -> Result<(), InstructionError> {
        self.instructions(data, DecoderInstruction::read, each)
    }

    fn instructions<T>(
        &mut self,
        data: &[u8],
        read: impl Fn(&mut Input) -> Result<T, ReadError>,
        mut each: impl FnMut(T) -> Result<(), InstructionError>,
    ) -> Result<(), InstructionError> {
        let mut before = std::mem::take(&mut self.0);
        let whole = if before.is_empty() {
            data
        } else {
            before.extend_from_slice(data);
            &before[..]
        };
        let mut input = Input(whole);
        loop {
            let mut next = input;
            match read(&mut next) {
                Ok(instruction) => {
                    input = next;
                    each(instruction)?;
                }
                Err(ReadError::Incomplete) => break,
                Err(ReadError::Invalid(reason)) => return Err(InstructionError(reason)),
            }
        }
        self.0 = BytesMut::from(input.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn encoder_instruction() -> impl Strategy<Value = EncoderInstruction> {
        let text = || vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let index = || 0u64..5000;
        let name = prop_oneof![
            index().prop_map(NameOf::Static),
            index().prop_map(NameOf::Dynamic),
            text().prop_map(NameOf::Literal)
        ];
        prop_oneof![
            index().prop_map(EncoderInstruction::SetCapacity),
            index().prop_map(EncoderInstruction::Duplicate),
            (name, text()).prop_map(|(name, value)| EncoderInstruction::Insert(name, value)),
        ]
    }

    fn decoder_instruction() -> impl Strategy<Value = DecoderInstruction> {
        use DecoderInstruction::*;
        (0..=crate::varint::MAX, 0..3).prop_map(|(value, kind)| match kind {
            0 => SectionAcknowledgment(StreamId(value)),
            1 => StreamCancellation(StreamId(value)),
            _ => InsertCountIncrement(value),
        })
    }

    proptest! {
        #[test]
        fn the_cut_does_not_matter(
            sent in vec(encoder_instruction(), 0..8),
            answers in vec(decoder_instruction(), 0..8),
            step in 1usize..50,
        ) {
            let mut bytes = BytesMut::new();
            sent.iter().for_each(|instruction| instruction.write(&mut bytes));
            let (mut unread, mut read) = (Unread::default(), Vec::new());
            for chunk in bytes.chunks(step) {
                let each = |instruction| { read.push(instruction); Ok(()) };
                prop_assert_eq!(unread.encoder_instructions(chunk, 40, each), Ok(()));
            }
            prop_assert_eq!(read, sent);
            prop_assert!(unread.0.is_empty());

            let mut bytes = BytesMut::new();
            answers.iter().for_each(|instruction| instruction.write(&mut bytes));
            let mut read = Vec::new();
            for chunk in bytes.chunks(step) {
                let each = |instruction| { read.push(instruction); Ok(()) };
                prop_assert_eq!(unread.decoder_instructions(chunk, each), Ok(()));
            }
            prop_assert_eq!(read, answers);
        }

        #[test]
        fn takes_anything(chunks in vec(vec(any::<u8>(), 0..40), 0..8)) {
            let mut unread = Unread::default();
            for chunk in &chunks {
                if unread.encoder_instructions(chunk, 100, |_| Ok(())).is_err() {
                    break;
                }
                prop_assert!(unread.0.len() <= 2 * 100 + 20, "{}", unread.0.len());
            }
            let mut unread = Unread::default();
            for chunk in &chunks {
                if unread.decoder_instructions(chunk, |_| Ok(())).is_err() {
                    break;
                }
                prop_assert!(unread.0.len() <= 10);
            }
        }
    }
}
