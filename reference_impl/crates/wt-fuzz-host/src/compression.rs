//! QPACK with the dynamic table: both ends, step by step.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wt_core::{
    Field, StreamId,
    qpack::{DecodeError, Decoded, Decoder, Encoder},
};

use crate::codecs::{Failure, hex};

/// Largest field section that is accepted here, in bytes of RFC 9114 §4.2.2
const MAX_SIZE: u64 = 1 << 20;

/// Operation 15: a JSON object with the table's `capacity`, the number of `blocked` streams allowed, and `steps`. The
/// result has one value for each step that could be taken; the last says `error` where one was refused:
///
/// - `["encode", stream, [[name, value], ...]]`: bytes for the encoder stream, and the section
/// - `["feed_decoder", bytes]`: bytes of the peer's decoder stream
/// - `["feed_encoder", bytes]`: bytes of the peer's encoder stream; the streams that are not blocked any more
/// - `["decode", stream, section]`: the fields, or nothing if the stream is blocked
/// - `["cancel", stream]`: the stream is given up
/// - `["answer"]`: bytes for the decoder stream
///
/// Bytes are hexadecimal strings.
pub(crate) fn run(payload: &[u8]) -> Result<Value, Failure> {
    let script: Value = serde_json::from_slice(payload).map_err(|_| Failure::BadItem)?;
    let number = |name: &str| script.get(name).and_then(Value::as_u64).ok_or(Failure::BadItem);
    let (capacity, blocked) = (number("capacity")?, number("blocked")?);
    let mut ends = Ends { encoder: Encoder::default(), decoder: Decoder::new(capacity, blocked) };
    ends.encoder.allow(capacity, capacity, blocked);
    let steps = script.get("steps").and_then(Value::as_array).ok_or(Failure::BadItem)?;
    let mut results = Vec::with_capacity(steps.len());
    for step in steps {
        match ends.step(step).ok_or(Failure::BadItem)? {
            Ok(value) => results.push(value),
            Err(reason) => {
                results.push(json!({ "error": reason }));
                break;
            }
        }
    }
    Ok(results.into())
}

/// Plays what peers can do to both ends, for fuzzing. An encoder and a decoder are connected as they should be, and
/// what is sent has to arrive; another pair reads nothing but the input.
pub fn play(input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let (capacity, blocked) = (u64::from(first >> 4) * 40, u64::from(first & 3));
    let ends = || {
        let mut ends = Ends { encoder: Encoder::default(), decoder: Decoder::new(capacity, blocked) };
        ends.encoder.allow(capacity, capacity, blocked);
        ends
    };
    let (mut honest, mut hostile) = (ends(), ends());
    let mut waiting = BTreeMap::new();
    for chunk in rest.chunks(16) {
        let (&first, bytes) = chunk.split_first().unwrap_or((&0, &[]));
        let stream = StreamId(u64::from(first % 8) * 4);
        let fields: Vec<Field> =
            bytes.chunks(3).map(|line| (vec![b'n'; 1 + line.len()].into(), line.to_vec().into())).collect();
        let section = honest.encoder.encode(stream, &fields);
        if first & 0x80 != 0 && !waiting.contains_key(&stream) {
            // The section overtakes its instructions
            match honest.decoder.decode(stream, &section, MAX_SIZE) {
                Ok(Decoded::Blocked) => drop(waiting.insert(stream, (section.clone(), fields.clone()))),
                decoded => assert_eq!(decoded, Ok(Decoded::Fields(fields.clone()))),
            }
            assert_eq!(honest.decoder.encoder_stream(&honest.encoder.take_instructions()), Ok(()));
        } else {
            assert_eq!(honest.decoder.encoder_stream(&honest.encoder.take_instructions()), Ok(()));
            let decoded = honest.decoder.decode(stream, &section, MAX_SIZE);
            assert_eq!(decoded, Ok(Decoded::Fields(fields.clone())));
        }
        while let Some(stream) = honest.decoder.unblocked() {
            let Some((section, fields)) = waiting.remove(&stream) else { continue };
            let decoded = honest.decoder.decode(stream, &section, MAX_SIZE);
            assert_eq!(decoded, Ok(Decoded::Fields(fields)));
        }
        assert_eq!(honest.encoder.decoder_stream(&honest.decoder.take_instructions()), Ok(()));

        hostile.encoder.encode(stream, &fields);
        let taken = match first >> 3 & 3 {
            0 => hostile.decoder.encoder_stream(bytes).is_ok(),
            1 => hostile.encoder.decoder_stream(bytes).is_ok(),
            2 => !matches!(hostile.decoder.decode(stream, bytes, MAX_SIZE), Err(DecodeError::Failed(_))),
            _ => {
                hostile.decoder.cancel(stream);
                true
            }
        };
        if !taken {
            // A connection error
            hostile = ends();
        }
    }
}

struct Ends {
    encoder: Encoder,
    decoder: Decoder,
}

impl Ends {
    /// One step; `None` where it is not one.
    fn step(&mut self, step: &Value) -> Option<Result<Value, &'static str>> {
        let argument = |index: usize| step.get(index);
        let stream = || argument(1)?.as_u64().map(StreamId);
        Some(match argument(0)?.as_str()? {
            "encode" => {
                let lines = argument(2)?.as_array()?.iter();
                let fields: Vec<Field> = lines
                    .map(|line| Some((bytes(line.get(0)?)?.into(), bytes(line.get(1)?)?.into())))
                    .collect::<Option<_>>()?;
                let section = self.encoder.encode(stream()?, &fields);
                Ok(json!([hex(&self.encoder.take_instructions()), hex(&section)]))
            }
            "feed_decoder" => self
                .encoder
                .decoder_stream(&bytes(argument(1)?)?)
                .map(|()| Value::Null)
                .map_err(|error| error.0),
            "feed_encoder" => match self.decoder.encoder_stream(&bytes(argument(1)?)?) {
                Ok(()) => {
                    Ok(std::iter::from_fn(|| self.decoder.unblocked()).map(|stream| stream.0).collect())
                }
                Err(error) => Err(error.0),
            },
            "decode" => match self.decoder.decode(stream()?, &bytes(argument(2)?)?, MAX_SIZE) {
                Ok(Decoded::Fields(fields)) => {
                    Ok(fields.iter().map(|(name, value)| json!([hex(name), hex(value)])).collect())
                }
                Ok(Decoded::Blocked) => Ok(Value::Null),
                Err(DecodeError::Failed(reason)) => Err(reason),
                Err(DecodeError::TooLarge) => Err("too large"),
            },
            "cancel" => {
                self.decoder.cancel(stream()?);
                Ok(Value::Null)
            }
            "answer" => Ok(hex(&self.decoder.take_instructions())),
            _ => return None,
        })
    }
}

/// The bytes of a hexadecimal string
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}
