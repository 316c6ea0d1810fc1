package main

import (
	"context"
	"errors"
	"io"

	"github.com/quic-go/webtransport-go"
)

const bufferSize = 64 << 10

// receiver and sender are the halves of a stream; both kinds of streams of the library have them.
type receiver interface {
	io.Reader
	CancelRead(webtransport.StreamErrorCode)
}

type sender interface {
	io.WriteCloser
	CancelWrite(webtransport.StreamErrorCode)
	Context() context.Context
}

// conversation says what an endpoint does with the streams and datagrams of a client.
type conversation struct {
	bidirectional  func(*webtransport.Session, *webtransport.Stream)
	unidirectional func(*webtransport.Session, *webtransport.ReceiveStream)
	datagram       func(*webtransport.Session, []byte)
}

var echo = conversation{
	bidirectional:  func(_ *webtransport.Session, stream *webtransport.Stream) { copyStream(stream, stream, nil) },
	unidirectional: echoUnidirectional,
	// A datagram that no longer fits the path, or finds a full queue, is lost like any other.
	datagram: func(session *webtransport.Session, payload []byte) { _ = session.SendDatagram(payload) },
}

// run serves a session until it ends, and returns how: a *webtransport.SessionError where a close message came.
// Only an accepting call outside the context of the session learns that.
func (c conversation) run(session *webtransport.Session) error {
	ctx := context.Background()
	go func() {
		for {
			stream, err := session.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			go c.unidirectional(session, stream)
		}
	}()
	go func() {
		for {
			payload, err := session.ReceiveDatagram(ctx)
			if err != nil {
				return
			}
			c.datagram(session, payload)
		}
	}()
	for {
		stream, err := session.AcceptStream(ctx)
		if err != nil {
			return err
		}
		go c.bidirectional(session, stream)
	}
}

// echoUnidirectional answers on a new stream as soon as the first byte or the end arrives.
func echoUnidirectional(session *webtransport.Session, incoming *webtransport.ReceiveStream) {
	first, err := readSome(incoming)
	outgoing, openError := session.OpenUniStreamSync(session.Context())
	if openError != nil {
		return
	}
	if err != nil && !errors.Is(err, io.EOF) {
		outgoing.CancelWrite(applicationCode(err))
		return
	}
	copyStream(outgoing, incoming, first)
}

// readSome waits for the first bytes; without any the error is io.EOF or the reset.
func readSome(from io.Reader) ([]byte, error) {
	buffer := make([]byte, bufferSize)
	for {
		length, err := from.Read(buffer)
		if length > 0 {
			return buffer[:length], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// copyStream sends back first and then what arrives, until the end, which it passes on. A reset or stop of
// one direction is passed on to the other with its application code.
func copyStream(to sender, from receiver, first []byte) {
	unwatch := context.AfterFunc(to.Context(), func() {
		if code, stopped := stopCode(to); stopped {
			from.CancelRead(code)
		}
	})
	defer unwatch()
	_, err := to.Write(first)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err == nil {
		_ = to.Close()
		return
	}
	code := applicationCode(err)
	to.CancelWrite(code)
	from.CancelRead(code)
}

// stopCode tells whether the peer stopped the sending direction, and with which code. The context of a
// stream knows only the code of the wire, a write knows it translated.
func stopCode(stream sender) (webtransport.StreamErrorCode, bool) {
	_, err := stream.Write(nil)
	var streamError *webtransport.StreamError
	if errors.As(err, &streamError) {
		return streamError.ErrorCode, streamError.Remote
	}
	return 0, false
}

func applicationCode(err error) webtransport.StreamErrorCode {
	var streamError *webtransport.StreamError
	if errors.As(err, &streamError) {
		return streamError.ErrorCode
	}
	return 0
}
