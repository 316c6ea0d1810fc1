package main

import "github.com/quic-go/webtransport-go"

// pattern returns the bytes that a server makes up: byte(i) = i mod 251.
func pattern(length int) []byte {
	result := make([]byte, length)
	for i := range result {
		result[i] = byte(i % 251)
	}
	return result
}

// opened is a stream of the server; incoming is nil on a unidirectional one.
type opened struct {
	outgoing sender
	incoming receiver
}

// openStreams opens streams of the server as flow control allows and hands each over once its bytes are sent.
func openStreams(session *webtransport.Session, uni, bidi, bytes int, then func(opened)) {
	content := pattern(bytes)
	start := func(stream opened) {
		if _, err := stream.outgoing.Write(content); err == nil {
			then(stream)
		}
	}
	for range uni {
		stream, err := session.OpenUniStreamSync(session.Context())
		if err != nil {
			return
		}
		go start(opened{outgoing: stream})
	}
	for range bidi {
		stream, err := session.OpenStreamSync(session.Context())
		if err != nil {
			return
		}
		go start(opened{outgoing: stream, incoming: stream})
	}
}
