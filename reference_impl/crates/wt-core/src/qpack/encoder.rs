//! Our field sections (RFC 9204 §2.1): the static table, and the dynamic one as far as the peer allows.
//!
//! A field enters the dynamic table when it is sent for the second time: most connections carry one request and
//! would only pay for it. Entries are referred to before the peer has them only on as many streams as it allows
//! to be blocked, and nothing is evicted that it may still need. What waits for the peer's acknowledgment is at
//! most the capacity of the table, so that little is ever held up by the flow control of the encoder stream.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
};

use bytes::{Bytes, BytesMut};
use rustc_hash::{FxHashMap, FxHasher};

use super::{
    FIELD_OVERHEAD,
    dynamic_table::DynamicTable,
    field_size,
    instructions::{DecoderInstruction, EncoderInstruction, InstructionError, NameOf, Unread},
    primitives::{put_integer, put_string},
    static_table,
};
use crate::{Field, StreamId};

/// Fields that are remembered to see which come again
const REMEMBERED_FIELDS: usize = 64;
/// Sections with references that a peer may leave unacknowledged before the table is not used any more
const MAX_OUTSTANDING: usize = 256;
/// Values that may be guessed piece by piece if they are in a table (RFC 9204 §7.1)
const NEVER_INDEXED: [&[u8]; 4] = [b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"];

/// A section with references that the peer has not acknowledged.
#[derive(Debug)]
struct Section {
    /// Its Required Insert Count
    required: u64,
    /// Lowest absolute index that it refers to
    oldest: u64,
}

/// A field line of a section.
enum Line<'a> {
    Static(u64),
    /// Absolute index
    Dynamic(u64),
    Literal {
        name: LineName<'a>,
        value: &'a Bytes,
        never_indexed: bool,
    },
}

enum LineName<'a> {
    Static(u64),
    /// Absolute index
    Dynamic(u64),
    Literal(&'a Bytes),
}

/// References of the section that is being encoded.
#[derive(Debug, Default)]
struct References {
    /// Lowest and highest absolute index
    range: Option<(u64, u64)>,
}

impl References {
    fn add(&mut self, index: u64) {
        let (low, high) = self.range.unwrap_or((index, index));
        self.range = Some((low.min(index), high.max(index)));
    }
}

/// The encoder of one connection.
#[derive(Debug, Default)]
pub struct Encoder {
    /// The peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY
    max_capacity: u64,
    /// The peer's SETTINGS_QPACK_BLOCKED_STREAMS
    max_blocked: u64,
    table: DynamicTable,
    /// The peer was told of our capacity
    announced: bool,
    /// Insert Count that the peer is known to have (RFC 9204 §2.1.4)
    received: u64,
    outstanding: FxHashMap<StreamId, VecDeque<Section>>,
    /// Hashes of the fields that were sent last
    recent: VecDeque<u64>,
    unread: Unread,
    out: BytesMut,
}

impl Encoder {
    /// The peer's SETTINGS are in: up to `max_capacity` bytes are allowed, of which `capacity` at most are used, and
    /// `max_blocked` streams may have to wait for the encoder stream (RFC 9204 §5). Before, the dynamic table is
    /// not used.
    pub fn allow(&mut self, max_capacity: u64, capacity: u64, max_blocked: u64) {
        self.max_capacity = max_capacity;
        self.max_blocked = max_blocked;
        // Below one entry there is nothing to gain, and no Required Insert Count could be written
        let capacity = capacity.min(max_capacity);
        self.table.set_capacity(if capacity < FIELD_OVERHEAD { 0 } else { capacity });
    }

    /// The encoded field section that goes on `stream`. What [`Self::take_instructions`] has then is to be sent
    /// before or with it.
    pub fn encode(&mut self, stream: StreamId, fields: &[Field]) -> Bytes {
        let may_refer = self.table.capacity() > 0 && self.outstanding_sections() < MAX_OUTSTANDING;
        // Absolute index below which entries may be referred to
        let usable = match may_refer {
            false => 0,
            true if self.may_block(stream) => u64::MAX,
            true => self.received,
        };
        let mut references = References::default();
        let lines: Vec<Line> =
            fields.iter().map(|field| self.line(field, may_refer, usable, &mut references)).collect();
        let required = references.range.map_or(0, |(_, newest)| newest + 1);
        if let Some((oldest, _)) = references.range {
            self.outstanding.entry(stream).or_default().push_back(Section { required, oldest });
        }
        self.write_section(required, &lines)
    }

    /// Chooses a representation, and inserts the field where that pays.
    fn line<'a>(
        &mut self,
        field: &'a Field,
        may_refer: bool,
        usable: u64,
        references: &mut References,
    ) -> Line<'a> {
        let (name, value) = field;
        let static_match = static_table::find(name, value);
        if let Some((index, true)) = static_match {
            return Line::Static(index);
        }
        let never_indexed = NEVER_INDEXED.contains(&&name[..]);
        if may_refer
            && !never_indexed
            && let Some(index) = self.find_or_insert(field, static_match, references)
            && index < usable
        {
            references.add(index);
            return Line::Dynamic(index);
        }
        let name = match static_match {
            Some((index, _)) => LineName::Static(index),
            None => match self.find_name(name, usable) {
                Some(index) => {
                    references.add(index);
                    LineName::Dynamic(index)
                }
                None => LineName::Literal(name),
            },
        };
        Line::Literal { name, value, never_indexed }
    }

    /// Absolute index of an entry that is this field, if there is one or room for it.
    fn find_or_insert(
        &mut self,
        field: &Field,
        static_match: Option<(u64, bool)>,
        references: &References,
    ) -> Option<u64> {
        let draining = self.table.draining();
        let known = self.table.newest_first().find(|(_, entry)| *entry == field).map(|(index, _)| index);
        match known {
            // An entry that is about to be evicted is not referred to, so that it can be (RFC 9204 §2.1.1.1)
            Some(index) if index < draining => {
                let relative = self.table.inserted() - 1 - index;
                self.insert(field, EncoderInstruction::Duplicate(relative), references)
            }
            Some(index) => Some(index),
            None if !self.comes_again(field) => None,
            None => {
                let by_name = self.table.newest_first().find(|(_, entry)| entry.0 == field.0);
                let name = match (static_match, by_name) {
                    (Some((index, _)), _) => NameOf::Static(index),
                    (None, Some((index, _))) => NameOf::Dynamic(self.table.inserted() - 1 - index),
                    (None, None) => NameOf::Literal(field.0.clone()),
                };
                self.insert(field, EncoderInstruction::Insert(name, field.1.clone()), references)
            }
        }
    }

    /// Inserts an entry if nothing has to be evicted for it that is still needed (RFC 9204 §2.1.1).
    fn insert(
        &mut self,
        field: &Field,
        instruction: EncoderInstruction,
        references: &References,
    ) -> Option<u64> {
        let size = field_size(&field.0, &field.1);
        let sections = self.outstanding.values().flatten().map(|section| section.oldest);
        let oldest = sections.chain(references.range.map(|(oldest, _)| oldest)).min();
        let evictable = oldest.unwrap_or(u64::MAX).min(self.received);
        if size > self.table.capacity() / 2 || !self.table.fits(size, evictable) {
            return None;
        }
        if !std::mem::replace(&mut self.announced, true) {
            EncoderInstruction::SetCapacity(self.table.capacity()).write(&mut self.out);
        }
        instruction.write(&mut self.out);
        let index = self.table.inserted();
        self.table.insert(field.clone()).ok().map(|()| index)
    }

    /// Whether the field was sent lately; it is remembered.
    fn comes_again(&mut self, field: &Field) -> bool {
        let mut hasher = FxHasher::default();
        field.hash(&mut hasher);
        let hash = hasher.finish();
        if self.recent.contains(&hash) {
            return true;
        }
        if self.recent.len() >= REMEMBERED_FIELDS {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        false
    }

    /// Absolute index of an entry with this name that may be referred to.
    fn find_name(&self, name: &Bytes, usable: u64) -> Option<u64> {
        let range = self.table.draining()..usable;
        let mut entries = self.table.newest_first().filter(|(index, _)| range.contains(index));
        entries.find(|(_, entry)| entry.0 == name).map(|(index, _)| index)
    }

    /// Whether references on this stream may be ahead of what the peer has acknowledged (RFC 9204 §2.1.2).
    fn may_block(&self, stream: StreamId) -> bool {
        let at_risk =
            |sections: &VecDeque<Section>| sections.iter().any(|section| section.required > self.received);
        let others = self.outstanding.iter().filter(|(id, sections)| **id != stream && at_risk(sections));
        (others.count() as u64) < self.max_blocked
    }

    fn outstanding_sections(&self) -> usize {
        self.outstanding.values().map(VecDeque::len).sum()
    }

    /// RFC 9204 §4.5. The Base is the Required Insert Count, so that no reference is behind it.
    fn write_section(&self, required: u64, lines: &[Line]) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        let full_range = 2 * (self.max_capacity / FIELD_OVERHEAD);
        let encoded = required.checked_rem(full_range).filter(|_| required > 0).map_or(0, |rest| rest + 1);
        put_integer(0, 8, encoded, &mut out);
        put_integer(0, 7, 0, &mut out);
        let relative = |index: u64| required - 1 - index;
        for line in lines {
            match line {
                Line::Static(index) => put_integer(0b1100_0000, 6, *index, &mut out),
                Line::Dynamic(index) => put_integer(0b1000_0000, 6, relative(*index), &mut out),
                Line::Literal { name, value, never_indexed } => {
                    let never = |bit: u8| if *never_indexed { bit } else { 0 };
                    match name {
                        LineName::Static(index) => {
                            put_integer(0b0101_0000 | never(0b10_0000), 4, *index, &mut out)
                        }
                        LineName::Dynamic(index) => {
                            put_integer(0b0100_0000 | never(0b10_0000), 4, relative(*index), &mut out)
                        }
                        LineName::Literal(name) => {
                            put_string(0b0010_0000 | never(0b1_0000), 3, name, &mut out)
                        }
                    }
                    put_string(0, 7, value, &mut out);
                }
            }
        }
        out.freeze()
    }

    /// What is to be sent on the encoder stream now; often nothing.
    pub fn take_instructions(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// Reads the next bytes of the peer's decoder stream.
    pub fn decoder_stream(&mut self, data: &[u8]) -> Result<(), InstructionError> {
        let mut unread = std::mem::take(&mut self.unread);
        unread.decoder_instructions(data, |instruction| self.instruction(instruction))?;
        self.unread = unread;
        Ok(())
    }

    /// RFC 9204 §4.4
    fn instruction(&mut self, instruction: DecoderInstruction) -> Result<(), InstructionError> {
        match instruction {
            DecoderInstruction::SectionAcknowledgment(stream) => {
                let sections = self.outstanding.get_mut(&stream);
                let (section, is_last) = sections
                    .and_then(|sections| Some((sections.pop_front()?, sections.is_empty())))
                    .ok_or(InstructionError("an acknowledgment of a section without references"))?;
                if is_last {
                    self.outstanding.remove(&stream);
                }
                self.received = self.received.max(section.required);
            }
            DecoderInstruction::StreamCancellation(stream) => {
                self.outstanding.remove(&stream);
            }
            DecoderInstruction::InsertCountIncrement(increment) => {
                let unreported = self.table.inserted() - self.received;
                if !(1..=unreported).contains(&increment) {
                    return Err(InstructionError("an increment of nothing or beyond what was inserted"));
                }
                self.received += increment;
            }
        }
        Ok(())
    }
}
