//! The layout of batches and answers.

use std::io::{self, Read, Write};

use crate::codecs;

/// Largest batch in bytes
const MAX_BATCH: u32 = 64 << 20;

/// Reads batches and writes answers until the input ends.
pub fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut length = [0; 4];
    loop {
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let length = u32::from_be_bytes(length);
        if length > MAX_BATCH {
            return Err(io::Error::other("the batch is too large"));
        }
        let mut batch = vec![0; length as usize];
        input.read_exact(&mut batch)?;
        let answer = answer(&batch).ok_or_else(|| io::Error::other("the batch breaks its layout"))?;
        output.write_all(&(answer.len() as u32).to_be_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
}

/// The answer to a batch, both without their length.
pub fn answer(mut batch: &[u8]) -> Option<Vec<u8>> {
    let count = take_u32(&mut batch)?;
    let mut answer = count.to_be_bytes().to_vec();
    for _ in 0..count {
        let (op, rest) = batch.split_first()?;
        batch = rest;
        let size = take_u32(&mut batch)? as usize;
        let (payload, rest) = batch.split_at_checked(size)?;
        batch = rest;
        let result = codecs::run(*op, payload).to_string();
        answer.extend_from_slice(&(result.len() as u32).to_be_bytes());
        answer.extend_from_slice(result.as_bytes());
    }
    batch.is_empty().then_some(answer)
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn batches_are_answered_in_order() {
        let mut batch = 2u32.to_be_bytes().to_vec();
        for payload in [&[0x25][..], &[0x40]] {
            batch.push(1);
            batch.extend((payload.len() as u32).to_be_bytes());
            batch.extend(payload);
        }
        let mut input = (batch.len() as u32).to_be_bytes().to_vec();
        input.extend(&batch);
        let mut output = Vec::new();
        serve(&mut input.repeat(2).as_slice(), &mut output).unwrap();
        let (first, second) = output.split_at(output.len() / 2);
        assert_eq!(first, second);
        let mut rest = &first[8..];
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let size = take_u32(&mut rest).unwrap() as usize;
            // The order of the members is not part of the layout
            answers.push(serde_json::from_slice::<serde_json::Value>(&rest[..size]).unwrap());
            rest = &rest[size..];
        }
        assert_eq!(answers, [json!({"ok": {"length": 1, "value": 37}}), json!({"incomplete": true})]);
    }

    #[test]
    fn broken_batches_end_the_service() {
        for batch in [
            &[0, 0, 0, 4, 0, 0, 0, 1][..],
            &[0xff; 4],
            &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 1],
        ] {
            assert!(serve(&mut &batch[..], &mut Vec::new()).is_err());
        }
    }
}
