//! One function for each operation of the host.

use bytes::Bytes;
use serde_json::{Value, json};
use wt_core::{
    Dir, Draft, Field, Role,
    capsule::{Capsule, CapsuleReader, Known},
    code, datagram,
    fields::{RequestHead, ResponseHead},
    frame, protocols,
    qpack::{self, DecodeError},
    settings::Settings,
    tlv::{Piece, Reader},
    varint,
};

use crate::{compression, reaction, scenario};

/// Why an operation has no value
pub(crate) enum Failure {
    /// An HTTP/3 error code
    Code(u64),
    Incomplete,
    BadItem,
}

type Outcome = Result<Value, Failure>;

/// The result of one item.
pub fn run(op: u8, payload: &[u8]) -> Value {
    let outcome = match op {
        1 => varint_at_start(payload),
        2 => Ok(frames(payload)),
        3 => settings(payload),
        4 => capsules(payload),
        5 => take::<8>(payload).and_then(|(max, section)| field_section(section, u64::from_be_bytes(max))),
        6 => request(payload),
        7 => response(payload),
        8 => datagram_payload(payload),
        9 => reaction::of(payload),
        10 => take::<8>(payload).map(|(wire, _)| json!(code::to_application(u64::from_be_bytes(wire)))),
        11 => wire_code(payload),
        12 => Ok(json!(protocols::available(&lines(protocols::AVAILABLE, payload)))),
        13 => Ok(json!(protocols::chosen(&lines(protocols::CHOSEN, payload)))),
        14 => {
            scenario::run(payload);
            Ok(Value::Null)
        }
        15 => compression::run(payload),
        16 => {
            compression::play(payload);
            Ok(Value::Null)
        }
        _ => Err(Failure::BadItem),
    };
    match outcome {
        Ok(value) => json!({ "ok": value }),
        Err(Failure::Code(code)) => json!({ "error": code::name(code) }),
        Err(Failure::Incomplete) => json!({ "incomplete": true }),
        Err(Failure::BadItem) => json!({ "error": "BAD_ITEM" }),
    }
}

/// Splits a fixed number of bytes off.
pub(crate) fn take<const N: usize>(payload: &[u8]) -> Result<([u8; N], &[u8]), Failure> {
    payload.split_first_chunk::<N>().map(|(head, rest)| (*head, rest)).ok_or(Failure::BadItem)
}

pub(crate) fn role(byte: u8) -> Result<Role, Failure> {
    match byte {
        0 => Ok(Role::Client),
        1 => Ok(Role::Server),
        _ => Err(Failure::BadItem),
    }
}

/// Bytes as a hexadecimal string
pub(crate) fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn header_list(headers: &[Field]) -> Value {
    headers.iter().map(|(name, value)| json!([hex(name), hex(value)])).collect()
}

fn varint_at_start(payload: &[u8]) -> Outcome {
    let (value, length) = varint::decode(payload).ok_or(Failure::Incomplete)?;
    Ok(json!({ "value": value, "length": length }))
}

fn frames(payload: &[u8]) -> Value {
    let mut reader = Reader::new(Some(frame::WT_STREAM));
    let mut input = Bytes::copy_from_slice(payload);
    let mut frames: Vec<(u64, Option<u64>, Vec<u8>)> = Vec::new();
    while let Some(piece) = reader.next(&mut input) {
        match piece {
            Piece::Start { kind, length } => frames.push((kind, Some(length), Vec::new())),
            Piece::Value(bytes) => {
                if let Some((_, _, value)) = frames.last_mut() {
                    value.extend_from_slice(&bytes);
                }
            }
            Piece::End => {}
            Piece::Signal => frames.push((frame::WT_STREAM, None, std::mem::take(&mut input).to_vec())),
        }
    }
    let frames: Vec<Value> = frames
        .iter()
        .map(|(kind, length, value)| json!({ "type": kind, "length": length, "payload": hex(value) }))
        .collect();
    json!({ "frames": frames, "boundary": reader.at_boundary() })
}

/// The value has the settings by name, 0 and `false` for what is absent; `max_field_section_size` is `null`
/// without the setting, `webtransport` maps the drafts to the values of their settings.
fn settings(payload: &[u8]) -> Outcome {
    let ([receiver], payload) = take::<1>(payload)?;
    let settings =
        Settings::decode(payload, role(receiver)?, &Draft::ALL).map_err(|(code, _)| Failure::Code(code))?;
    let webtransport: serde_json::Map<String, Value> = Draft::ALL
        .into_iter()
        .map(|draft| (draft.facts().name.to_owned(), settings.webtransport[draft as usize].into()))
        .collect();
    let max_size = settings.max_field_section_size;
    Ok(json!({
        "max_field_section_size": (max_size != u64::MAX).then_some(max_size),
        "connect_protocol": settings.connect_protocol,
        "h3_datagram": settings.h3_datagram,
        "initial_max_data": settings.limits.data,
        "initial_max_streams_bidi": settings.limits.bidi,
        "initial_max_streams_uni": settings.limits.uni,
        "webtransport": webtransport,
    }))
}

/// What the flags of operation 4 stand for
pub(crate) fn known(flags: u8) -> Known {
    Known {
        drain: flags & 1 != 0,
        flow_control: flags & 2 != 0,
        prohibits: flags & 4 != 0,
        max_datagram: u64::from(u16::MAX),
    }
}

fn capsules(payload: &[u8]) -> Outcome {
    let ([flags], payload) = take::<1>(payload)?;
    let mut reader = CapsuleReader::new(known(flags));
    let mut input = Bytes::copy_from_slice(payload);
    let mut capsules = Vec::new();
    loop {
        match reader.next(&mut input) {
            Ok(Some(Capsule::Prohibited)) => return Err(Failure::Code(code::WT_FLOW_CONTROL_ERROR)),
            Ok(Some(capsule)) => capsules.push(capsule_value(&capsule)),
            Ok(None) => return Ok(json!({ "capsules": capsules, "boundary": reader.at_boundary() })),
            Err(_) => return Err(Failure::Code(code::H3_MESSAGE_ERROR)),
        }
    }
}

fn capsule_value(capsule: &Capsule) -> Value {
    let dir = |dir: &Dir| if *dir == Dir::Bidi { "bidi" } else { "uni" };
    match capsule {
        Capsule::Close { code, reason } => json!({ "name": "CLOSE_SESSION", "code": code, "reason": reason }),
        Capsule::Drain => json!({ "name": "DRAIN_SESSION" }),
        Capsule::MaxData(value) => json!({ "name": "MAX_DATA", "value": value }),
        Capsule::MaxStreams(of, value) => json!({ "name": "MAX_STREAMS", "dir": dir(of), "value": value }),
        Capsule::DataBlocked(value) => json!({ "name": "DATA_BLOCKED", "value": value }),
        Capsule::StreamsBlocked(of, value) => {
            json!({ "name": "STREAMS_BLOCKED", "dir": dir(of), "value": value })
        }
        Capsule::Datagram(payload) => json!({ "name": "DATAGRAM", "payload": hex(payload) }),
        Capsule::Prohibited => Value::Null,
    }
}

fn decode_section(section: &[u8], max: u64) -> Result<Vec<Field>, Failure> {
    qpack::decode(section, max).map_err(|error| match error {
        DecodeError::Failed(_) => Failure::Code(code::QPACK_DECOMPRESSION_FAILED),
        DecodeError::TooLarge => Failure::Code(code::H3_EXCESSIVE_LOAD),
    })
}

fn field_section(section: &[u8], max: u64) -> Outcome {
    decode_section(section, max).map(|fields| header_list(&fields))
}

fn request(section: &[u8]) -> Outcome {
    let malformed = |_| Failure::Code(code::H3_MESSAGE_ERROR);
    let head = RequestHead::parse(decode_section(section, u64::MAX)?).map_err(malformed)?;
    Ok(json!({
        "method": head.method,
        "scheme": head.scheme,
        "authority": head.authority,
        "path": head.path,
        "protocol": head.protocol,
        "headers": header_list(&head.headers),
    }))
}

fn response(section: &[u8]) -> Outcome {
    let malformed = |_| Failure::Code(code::H3_MESSAGE_ERROR);
    let head = ResponseHead::parse(decode_section(section, u64::MAX)?).map_err(malformed)?;
    Ok(json!({ "status": head.status, "headers": header_list(&head.headers) }))
}

fn datagram_payload(payload: &[u8]) -> Outcome {
    let (session, length) = datagram::decode(payload).map_err(|_| Failure::Code(code::H3_DATAGRAM_ERROR))?;
    Ok(json!({ "session": session.0.0, "payload": hex(&payload[length..]) }))
}

fn wire_code(payload: &[u8]) -> Outcome {
    let ([draft], payload) = take::<1>(payload)?;
    let (code, _) = take::<4>(payload)?;
    let draft = Draft::from_name(&draft.to_string()).ok_or(Failure::BadItem)?;
    Ok(json!(code::from_application(draft, u32::from_be_bytes(code))))
}

/// The lines of a field; an empty payload is one empty line.
fn lines(name: &'static str, payload: &[u8]) -> Vec<Field> {
    let field = |line: &[u8]| (Bytes::from_static(name.as_bytes()), Bytes::copy_from_slice(line));
    payload.split(|byte| *byte == 0).map(field).collect()
}
