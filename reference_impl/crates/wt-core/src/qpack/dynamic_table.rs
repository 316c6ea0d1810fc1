//! The dynamic table (RFC 9204 §3.2), which both sides of a direction keep.

use std::collections::VecDeque;

use super::field_size;
use crate::Field;

/// Entries in the order of their insertion, bounded in the sum of their sizes.
#[derive(Debug, Default)]
pub(super) struct DynamicTable {
    /// The oldest first
    entries: VecDeque<Field>,
    /// Entries ever inserted: the absolute index of the next one (RFC 9204 §3.2.4)
    inserted: u64,
    size: u64,
    capacity: u64,
}

/// The entry is larger than the capacity of the table (RFC 9204 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl DynamicTable {
    /// The Insert Count.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Absolute index of the oldest entry that is there.
    fn dropped(&self) -> u64 {
        self.inserted - self.entries.len() as u64
    }

    /// The entry with an absolute index.
    pub(super) fn get(&self, index: u64) -> Option<&Field> {
        self.entries.get(usize::try_from(index.checked_sub(self.dropped())?).ok()?)
    }

    /// Changes the capacity; entries that have no more room are evicted.
    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
        self.shrink(capacity);
    }

    /// Adds an entry; old ones make room for it.
    pub(super) fn insert(&mut self, field: Field) -> Result<(), TooLarge> {
        let size = field_size(&field.0, &field.1);
        let room = self.capacity.checked_sub(size).ok_or(TooLarge)?;
        self.shrink(room);
        self.size += size;
        self.inserted += 1;
        self.entries.push_back(field);
        Ok(())
    }

    fn shrink(&mut self, room: u64) {
        while self.size > room {
            let Some((name, value)) = self.entries.pop_front() else { return };
            self.size -= field_size(&name, &value);
        }
    }

    /// Whether an entry of this size fits if only entries with an absolute index below `bound` are evicted.
    pub(super) fn fits(&self, size: u64, bound: u64) -> bool {
        let Some(room) = self.capacity.checked_sub(size) else { return false };
        let evictable = usize::try_from(bound.saturating_sub(self.dropped())).unwrap_or(usize::MAX);
        let mut left = self.size;
        for (name, value) in self.entries.iter().take(evictable) {
            if left <= room {
                break;
            }
            left -= field_size(name, value);
        }
        left <= room
    }

    /// Entries with their absolute indices, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, &Field)> {
        (self.dropped()..self.inserted).rev().zip(self.entries.iter().rev())
    }

    /// Absolute index below which entries are soon to be evicted: they are what is behind the newest three
    /// quarters of the capacity (RFC 9204 §2.1.1.1).
    pub(super) fn draining(&self) -> u64 {
        let mut room = self.capacity / 4 * 3;
        for (index, (name, value)) in self.newest_first() {
            match room.checked_sub(field_size(name, value)) {
                Some(rest) => room = rest,
                None => return index + 1,
            }
        }
        self.dropped()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// An entry of 40 bytes
    fn entry(letter: char) -> Field {
        (Bytes::from(letter.to_string()), Bytes::from_static(b"1234567"))
    }

    fn table(letters: &str, capacity: u64) -> DynamicTable {
        let mut table = DynamicTable::default();
        table.set_capacity(capacity);
        letters.chars().for_each(|letter| table.insert(entry(letter)).unwrap());
        table
    }

    #[test]
    fn the_oldest_make_room() {
        let mut table = table("abcd", 120);
        assert_eq!(table.inserted(), 4);
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(1), Some(&entry('b')));
        assert_eq!(table.get(3), Some(&entry('d')));
        assert_eq!(table.get(4), None);
        table.set_capacity(79);
        assert_eq!((table.get(2), table.get(3)), (None, Some(&entry('d'))));
        table.set_capacity(0);
        assert_eq!((table.get(3), table.size), (None, 0));
        assert_eq!(table.insert(entry('e')), Err(TooLarge));
        assert_eq!(table.inserted(), 4);
    }

    #[test]
    fn what_may_be_evicted_bounds_what_fits() {
        let table = table("abc", 120);
        for (size, bound, fits) in
            [(0, 0, true), (40, 0, false), (40, 1, true), (41, 1, false), (120, 3, true), (121, 9, false)]
        {
            assert_eq!(table.fits(size, bound), fits, "{size} {bound}");
        }
    }

    #[test]
    fn entries_drain_before_they_are_evicted() {
        assert_eq!(table("", 160).draining(), 0);
        assert_eq!(table("abc", 160).draining(), 0);
        assert_eq!(table("abcd", 160).draining(), 1);
        assert_eq!(table("abcdef", 160).draining(), 3);
    }
}
