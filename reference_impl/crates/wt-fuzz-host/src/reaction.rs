//! What an endpoint with an established session does on given bytes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use wt_core::{
    AcceptOptions, Action, Config, ConnectRequest, Connection, Draft, Event, Field, Input, QpackStreams,
    Role, SessionId, StreamId, TransportFacts, code, frame, qpack, settings::Settings,
};

use crate::codecs::{Failure, hex, role, take};

/// The session of every endpoint here
pub(crate) const SESSION: SessionId = SessionId(StreamId(0));

/// A SETTINGS frame that offers all drafts, as the start of a control stream
fn control_stream(peer: Role) -> Bytes {
    let mut out = BytesMut::from(&[0][..]);
    Settings::of(&Config::default(), peer).encode(None, &mut out);
    out.freeze()
}

fn headers_frame(fields: &[(&'static str, &'static str)]) -> Bytes {
    let fields: Vec<Field> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let mut out = BytesMut::new();
    frame::encode(frame::HEADERS, &qpack::encode(&fields), &mut out);
    out.freeze()
}

/// A CONNECT for a draft-16 session
pub(crate) fn connect_frame() -> Bytes {
    headers_frame(&[
        (":method", "CONNECT"),
        (":protocol", Draft::D16.facts().token),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/"),
    ])
}

/// An endpoint whose peer has sent nothing.
pub(crate) fn fresh(role: Role, config: Config) -> Connection {
    let mut conn = Connection::new(Arc::new(config), role);
    let facts =
        TransportFacts { peer_datagrams: true, peer_reset_stream_at: true, early_data_accepted: false };
    let first = if role == Role::Client { 2 } else { 3 };
    let qpack = Some(QpackStreams { encoder: StreamId(first + 4), decoder: StreamId(first + 8) });
    conn.handle(Input::Established { facts, control: StreamId(first), qpack });
    conn
}

/// An endpoint whose peer has sent SETTINGS with all drafts and flow control.
pub(crate) fn ready(role: Role, config: Config) -> Connection {
    let mut conn = fresh(role, config);
    let (theirs, peer) = match role {
        Role::Client => (3, Role::Server),
        Role::Server => (2, Role::Client),
    };
    conn.handle(Input::StreamData { stream: StreamId(theirs), data: control_stream(peer), fin: false });
    conn
}

/// The same with a session on stream 0. Nothing is pending.
pub(crate) fn established(role: Role, config: Config) -> Connection {
    let mut conn = ready(role, config);
    let feed = |conn: &mut Connection, data| {
        conn.handle(Input::StreamData { stream: SESSION.0, data, fin: false });
    };
    match role {
        Role::Server => {
            feed(&mut conn, connect_frame());
            // The request is valid and the first, so that it is accepted
            let _ = conn.accept(SESSION, AcceptOptions::default());
        }
        Role::Client => {
            let request =
                ConnectRequest { authority: "localhost".into(), path: "/".into(), ..Default::default() };
            let _ = conn.connect(SESSION.0, request);
            feed(&mut conn, headers_frame(&[(":status", "200")]));
        }
    }
    while conn.poll_action().is_some() {}
    while conn.poll_event().is_some() {}
    conn
}

/// Operation 9: bytes of one stream of the peer.
pub(crate) fn of(payload: &[u8]) -> Result<Value, Failure> {
    let ([receiver], payload) = take::<1>(payload)?;
    let (stream, payload) = take::<8>(payload)?;
    let ([fin], payload) = take::<1>(payload)?;
    let mut conn = established(role(receiver)?, Config::default());
    let stream = StreamId(u64::from_be_bytes(stream));
    conn.handle(Input::StreamData { stream, data: Bytes::copy_from_slice(payload), fin: fin != 0 });
    let actions: Vec<Value> =
        std::iter::from_fn(|| conn.poll_action()).map(|action| action_value(&action)).collect();
    let events: Vec<Value> =
        std::iter::from_fn(|| conn.poll_event()).map(|event| event_value(&event)).collect();
    Ok(json!({ "actions": actions, "events": events }))
}

fn action_value(action: &Action) -> Value {
    let named = |code: u64| code::name(code).map_or(json!(code), Value::from);
    match action {
        Action::Write { stream, data, fin } => {
            json!({ "name": "write", "stream": stream.0, "data": hex(data), "fin": fin })
        }
        Action::Reset { stream, code } => {
            json!({ "name": "reset", "stream": stream.0, "code": named(*code) })
        }
        Action::ResetAt { stream, code, reliable_size } => {
            json!({ "name": "reset_at", "stream": stream.0, "code": named(*code), "reliable_size": reliable_size })
        }
        Action::Stop { stream, code } => json!({ "name": "stop", "stream": stream.0, "code": named(*code) }),
        Action::CloseConnection { code, .. } => json!({ "name": "close", "code": named(*code) }),
    }
}

/// Events that bytes of one stream can lead to; the others by their debug form.
fn event_value(event: &Event) -> Value {
    match event {
        Event::IncomingStream { session, stream, body, fin, .. } => json!({
            "name": "incoming_stream", "session": session.0.0, "stream": stream.0, "body": hex(body), "fin": fin,
        }),
        Event::Datagram { session, payload } => {
            json!({ "name": "datagram", "session": session.0.0, "payload": hex(payload) })
        }
        Event::SessionClosed { session, end } => {
            json!({ "name": "session_closed", "session": session.0.0, "end": format!("{end:?}") })
        }
        other => json!({ "name": format!("{other:?}") }),
    }
}
