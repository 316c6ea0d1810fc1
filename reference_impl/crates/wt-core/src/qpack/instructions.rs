//! The peer's encoder and decoder streams where neither side uses the dynamic table (RFC 9204 §4.3, §4.4).

/// A connection error on a QPACK stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionError(pub &'static str);

/// Instructions of the peer's encoder. With capacity 0 the only valid one sets the capacity to 0.
#[derive(Debug, Default, Clone)]
pub struct EncoderInstructions;

impl EncoderInstructions {
    /// Reads the next bytes.
    pub fn read(&mut self, input: &[u8]) -> Result<(), InstructionError> {
        // Set Dynamic Table Capacity (001 and five bits) to 0 is this one byte; a longer encoding of 0 does
        // not exist. Everything else inserts, or asks for more than was allowed (RFC 9204 §3.2.2, §4.3.1).
        match input.iter().all(|byte| *byte == 0b0010_0000) {
            true => Ok(()),
            false => Err(InstructionError("an instruction for a table that has no capacity")),
        }
    }
}

/// Instructions of the peer's decoder. As nothing is inserted, only Stream Cancellation is valid.
#[derive(Debug, Default, Clone)]
pub struct DecoderInstructions {
    /// Bytes of an integer that continues, 0 between instructions
    continued: u8,
}

impl DecoderInstructions {
    /// Reads the next bytes.
    pub fn read(&mut self, input: &[u8]) -> Result<(), InstructionError> {
        for byte in input {
            if self.continued > 0 {
                self.continued = if byte & 0x80 == 0 { 0 } else { self.continued + 1 };
                // More than 62 bits (RFC 9204 §4.1.1)
                if self.continued > 9 {
                    return Err(InstructionError("an integer is too large"));
                }
                continue;
            }
            match byte >> 6 {
                // Stream Cancellation: 01 and six bits (RFC 9204 §4.4.2)
                0b01 => self.continued = u8::from(byte & 0x3f == 0x3f),
                // Insert Count Increment: 00 and six bits (RFC 9204 §4.4.3)
                0b00 => return Err(InstructionError("an increment beyond what was inserted")),
                // Section Acknowledgment: 1 and seven bits (RFC 9204 §4.4.1)
                _ => return Err(InstructionError("an acknowledgment of a section without references")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoder_stream() {
        let mut stream = EncoderInstructions;
        assert!(stream.read(&[0x20, 0x20]).is_ok());
        // Capacity 1; Insert with Name Reference; Insert with Literal Name; Duplicate
        for byte in [0x21, 0xc1, 0x41, 0x00] {
            assert!(stream.read(&[byte]).is_err(), "{byte:#x}");
        }
    }

    #[test]
    fn decoder_stream() {
        let mut stream = DecoderInstructions::default();
        assert!(stream.read(&[0x44]).is_ok());
        assert!(stream.read(&[0x7f]).is_ok());
        assert!(stream.read(&[0xff]).is_ok());
        assert!(stream.read(&[0x01, 0x40]).is_ok());
        assert!(stream.read(&[0x00]).is_err(), "increment of 0");
        assert!(stream.read(&[0x05]).is_err(), "increment of 5");
        assert!(stream.read(&[0x80]).is_err(), "acknowledgment of stream 0");
        assert!(DecoderInstructions::default().read(&[&[0x7f][..], &[0xff; 10]].concat()).is_err());
    }
}
