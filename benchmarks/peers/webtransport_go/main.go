// The benchmark on webtransport-go. Arguments and output as those of the other peers (see wire.py).
package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

const (
	chunk            = 64 << 10
	streams          = 1000
	connectionWindow = 16 << 20
	streamWindow     = 6 << 20
)

func main() {
	log.SetOutput(io.Discard)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 4 {
		return fmt.Errorf("server PORT CERT KEY, or client PORT WORKLOAD AMOUNT")
	}
	port, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	if arguments[0] == "server" {
		return serve(port, arguments[2], arguments[3])
	}
	amount, err := strconv.Atoi(arguments[3])
	if err != nil {
		return err
	}
	return measure(port, arguments[2], amount)
}

// configuration has the windows of the reference; the defaults of quic-go are smaller.
func configuration() *quic.Config {
	return &quic.Config{
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
		MaxIncomingStreams:               streams,
		InitialConnectionReceiveWindow:   connectionWindow,
		MaxConnectionReceiveWindow:       connectionWindow,
		InitialStreamReceiveWindow:       streamWindow,
		MaxStreamReceiveWindow:           streamWindow,
	}
}

func serve(port int, certFile, keyFile string) error {
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	server := &webtransport.Server{
		H3: &http3.Server{
			TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}),
			QUICConfig: configuration(),
			Handler:    mux,
		},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	webtransport.ConfigureHTTP3Server(server.H3)
	mux.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		if session, err := server.Upgrade(writer, request); err == nil {
			answerSession(session)
		}
	})
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return server.Serve(socket)
}

func answerSession(session *webtransport.Session) {
	ctx := context.Background()
	var datagrams atomic.Uint64
	go func() {
		for {
			data, err := session.ReceiveDatagram(ctx)
			if err != nil {
				return
			}
			datagrams.Add(1)
			if len(data) > 0 && data[0] == 'e' {
				_ = session.SendDatagram(data)
			}
		}
	}()
	for {
		stream, err := session.AcceptStream(ctx)
		if err != nil {
			return
		}
		go answerStream(stream, &datagrams)
	}
}

func answerStream(stream *webtransport.Stream, datagrams *atomic.Uint64) {
	defer stream.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(stream, first); err != nil {
		return
	}
	if first[0] == 's' {
		total, _ := io.CopyBuffer(discard{}, stream, make([]byte, chunk))
		_, _ = stream.Write(number(uint64(total)))
		return
	}
	rest, err := io.ReadAll(stream)
	if err != nil {
		return
	}
	switch first[0] {
	case 'e':
		_, _ = stream.Write(append(first, rest...))
	case 'n':
		_, _ = stream.Write(number(datagrams.Load()))
	case 'm':
		_, _ = stream.Write(number(residentBytes()))
	case 'd':
		sendZeros(stream, int(binary.BigEndian.Uint64(rest)))
	}
}

// discard has no ReadFrom of its own, so that the buffer of the copy is used.
type discard struct{}

func (discard) Write(data []byte) (int, error) { return len(data), nil }

func sendZeros(stream io.Writer, size int) error {
	block := make([]byte, chunk)
	for size > 0 {
		part := min(size, chunk)
		if _, err := stream.Write(block[:part]); err != nil {
			return err
		}
		size -= part
	}
	return nil
}

func number(value uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, value)
}

func residentBytes() uint64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	seconds := func(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
