//! QPACK on a connection: the encoder and decoder streams of both sides (RFC 9204 §4.2), and field sections that wait
//! for them (§2.1.2).

use bytes::{Bytes, BytesMut};

use super::{
    Connection, Fault, Stream,
    incoming::{DECODER_STREAM, ENCODER_STREAM},
    request::{Phase, RequestStream, Step},
};
use crate::{
    Config, Feed, Field, QpackStreams, Rejection, Role, SessionId, StreamId, code, frame,
    qpack::{DecodeError, Decoded, Decoder, Encoder},
    settings::Settings,
    varint,
};

/// Both directions of QPACK, and the streams of ours for them.
#[derive(Debug, Default)]
pub(super) struct Compression {
    encoder: Encoder,
    decoder: Decoder,
    /// Without streams no side uses its dynamic table.
    streams: Option<QpackStreams>,
    /// Our streams whose type was sent, which is with the first instruction: most connections need none
    opened: Vec<StreamId>,
}

impl Compression {
    pub(super) fn new(ours: &Settings, streams: Option<QpackStreams>) -> Self {
        let decoder = Decoder::new(ours.qpack_max_table_capacity, ours.qpack_blocked_streams);
        Self { decoder, streams, ..Self::default() }
    }

    /// The peer's SETTINGS are in.
    pub(super) fn allow(&mut self, config: &Config, peer: &Settings) {
        if self.streams.is_some() {
            self.encoder.allow(
                peer.qpack_max_table_capacity,
                config.qpack_encoder_capacity,
                peer.qpack_blocked_streams,
            );
        }
    }

    /// Whether the stream is one of ours for instructions.
    pub(super) fn owns(&self, id: StreamId) -> bool {
        self.streams.is_some_and(|streams| streams.encoder == id || streams.decoder == id)
    }
}

/// A field section that waits for the peer's encoder stream, and what came behind it.
#[derive(Debug)]
pub(super) struct Waiting {
    section: BytesMut,
    rest: BytesMut,
    fin: bool,
}

impl Connection {
    /// Sends a HEADERS frame, and the instructions that it needs.
    pub(super) fn write_section(&mut self, id: StreamId, fields: &[Field], fin: bool) {
        let section = self.compression.encoder.encode(id, fields);
        let instructions = self.compression.encoder.take_instructions();
        if let Some(streams) = self.compression.streams {
            self.write_instructions(streams.encoder, ENCODER_STREAM, instructions);
        }
        let mut out = BytesMut::with_capacity(section.len() + 8);
        frame::encode(frame::HEADERS, &section, &mut out);
        self.write(id, out.freeze(), fin);
    }

    fn write_instructions(&mut self, id: StreamId, kind: u64, instructions: Bytes) {
        if instructions.is_empty() {
            return;
        }
        if self.compression.opened.contains(&id) {
            self.write(id, instructions, false);
            return;
        }
        self.compression.opened.push(id);
        let mut out = BytesMut::with_capacity(1 + instructions.len());
        varint::encode(kind, &mut out);
        out.extend_from_slice(&instructions);
        self.write(id, out.freeze(), false);
    }

    /// What our decoder has to say.
    fn answer_encoder(&mut self) {
        let instructions = self.compression.decoder.take_instructions();
        if let Some(streams) = self.compression.streams {
            self.write_instructions(streams.decoder, DECODER_STREAM, instructions);
        }
    }

    /// Bytes of the peer's decoder stream.
    pub(super) fn decoder_data(&mut self, data: &[u8]) -> Result<(), Fault> {
        let read = self.compression.encoder.decoder_stream(data);
        read.map_err(|error| Fault(code::QPACK_DECODER_STREAM_ERROR, error.0))
    }

    /// Bytes of the peer's encoder stream: requests that waited for them go on.
    pub(super) fn encoder_data(&mut self, data: &[u8]) -> Result<(), Fault> {
        if !data.is_empty() {
            // Entries that nothing refers to cost us answers (RFC 9204 §7.3)
            self.ignore_element()?;
        }
        let read = self.compression.decoder.encoder_stream(data);
        read.map_err(|error| Fault(code::QPACK_ENCODER_STREAM_ERROR, error.0))?;
        while let Some(id) = self.compression.decoder.unblocked() {
            if let Some(Stream::Request(request)) = self.streams.remove(&id) {
                self.resume(id, request)?;
            }
        }
        self.answer_encoder();
        Ok(())
    }

    fn resume(&mut self, id: StreamId, mut request: RequestStream) -> Result<(), Fault> {
        let Some(waiting) = request.waiting.take() else {
            self.streams.insert(id, Stream::Request(request));
            return Ok(());
        };
        let Waiting { section, rest, fin } = *waiting;
        match self.field_section(id, &mut request, section)? {
            Step::Go => self.request_data(id, request, rest.freeze(), fin).map(|_| ()),
            Step::Wait(section) => {
                self.wait(id, request, section, &rest, fin);
                Ok(())
            }
            Step::Done => Ok(()),
        }
    }

    /// A complete field section.
    pub(super) fn field_section(
        &mut self,
        id: StreamId,
        request: &mut RequestStream,
        section: BytesMut,
    ) -> Result<Step, Fault> {
        let fields = match self.decode_section(id, &section) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Ok(Step::Wait(section)),
            Err(DecodeError::TooLarge) => return Ok(self.large_section(id, request)),
            Err(DecodeError::Failed(reason)) => return Err(Fault(code::QPACK_DECOMPRESSION_FAILED, reason)),
        };
        request.sections = request.sections.saturating_add(1);
        Ok(match request.phase {
            Phase::Start => self.request_fields(id, request, fields),
            Phase::Asking => self.response_fields(id, request, fields),
            // Trailers: pseudo-header fields make them malformed (RFC 9114 §4.3)
            _ if fields.iter().any(|(name, _)| name.first() == Some(&b':')) => {
                self.stop_request(id, code::H3_MESSAGE_ERROR);
                Step::Done
            }
            _ => Step::Go,
        })
    }

    /// A section that was not read for its length; nor will be those that follow, as none can be acknowledged
    /// after a cancellation.
    pub(super) fn oversized_section(&mut self, id: StreamId, request: &mut RequestStream) -> Step {
        if !std::mem::replace(&mut request.skips_sections, true) {
            self.cancel_sections(id);
        }
        self.large_section(id, request)
    }

    fn large_section(&mut self, id: StreamId, request: &mut RequestStream) -> Step {
        request.sections = request.sections.saturating_add(1);
        match request.phase {
            // RFC 9114 §4.2.2
            Phase::Start => {
                self.respond(id, request, 431, &[]);
                Step::Go
            }
            Phase::Asking => {
                self.abandon(SessionId(id), Rejection::Malformed("the response is too large"));
                Step::Done
            }
            _ => Step::Go,
        }
    }

    /// The field lines of a section; `None` if it has to wait. The peer's encoder is told of what was read.
    fn decode_section(&mut self, id: StreamId, section: &[u8]) -> Result<Option<Vec<Field>>, DecodeError> {
        let max_size = self.config.max_field_section_size;
        let decoded = self.compression.decoder.decode(id, section, max_size);
        self.answer_encoder();
        Ok(match decoded? {
            Decoded::Fields(fields) => Some(fields),
            Decoded::Blocked => None,
        })
    }

    /// Keeps a section that cannot be read yet, and what came behind it.
    pub(super) fn wait(
        &mut self,
        id: StreamId,
        mut request: RequestStream,
        section: BytesMut,
        rest: &[u8],
        fin: bool,
    ) -> Feed {
        request.waiting = Some(Box::new(Waiting { section, rest: BytesMut::new(), fin: false }));
        self.keep_behind(id, request, rest, fin)
    }

    /// Keeps what comes behind a section that waits; too much of it ends the request.
    pub(super) fn keep_behind(
        &mut self,
        id: StreamId,
        mut request: RequestStream,
        data: &[u8],
        fin: bool,
    ) -> Feed {
        let max = self.config.max_early_capsule_bytes;
        if let Some(waiting) = &mut request.waiting
            && waiting.rest.len() + data.len() <= max
        {
            waiting.rest.extend_from_slice(data);
            waiting.fin = fin;
            self.streams.insert(id, Stream::Request(request));
            return Feed::Core;
        }
        let session = SessionId(id);
        match self.role {
            Role::Client => {
                self.abandon(session, Rejection::Malformed("too much before the response can be read"));
            }
            Role::Server => {
                self.cut_connect_stream(session, code::H3_EXCESSIVE_LOAD);
                self.forget_request(session);
            }
        }
        Feed::Discard
    }

    /// Reads no more of a request stream; its sections release the peer's entries (RFC 9204 §2.2.2.2).
    pub(super) fn stop_request(&mut self, id: StreamId, code: u64) {
        self.stop(id, code);
        self.cancel_sections(id);
    }

    /// Nothing more is read from a request stream, or its sections are not.
    pub(super) fn cancel_sections(&mut self, id: StreamId) {
        self.compression.decoder.cancel(id);
        self.answer_encoder();
    }
}
