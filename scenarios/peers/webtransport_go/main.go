// A WebTransport server on webtransport-go for the conformance suite: the endpoints of
// docs/endpoints.md as far as the library's public API reaches them.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

// Limits of the QUIC connection: generous enough for 200 streams at once and transfers of 100 MB.
const (
	maxStreams       = 1024
	connectionWindow = 16 << 20
	streamWindow     = 4 << 20
	idleTimeout      = 30 * time.Second
)

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "UDP port to listen on, 0 for a free one")
	certFile := flag.String("cert", "", "certificate chain (PEM); a self-signed one is made without it")
	keyFile := flag.String("key", "", "private key of the certificate (PEM)")
	flag.Parse()

	if err := run(*host, *port, *certFile, *keyFile); err != nil {
		fmt.Fprintln(os.Stderr, "webtransport-go peer:", err)
		os.Exit(1)
	}
}

func run(host string, port int, certFile, keyFile string) error {
	certificate, err := loadCertificate(certFile, keyFile)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host), Port: port})
	if err != nil {
		return err
	}
	log.SetOutput(os.Stderr)

	server := newServer(certificate)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })

	address := socket.LocalAddr().(*net.UDPAddr)
	fmt.Printf("listening on https://%s/\n", net.JoinHostPort(host, fmt.Sprint(address.Port)))
	err = server.Serve(socket)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func newServer(certificate tls.Certificate) *webtransport.Server {
	h3 := &http3.Server{
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		QUICConfig: &quic.Config{
			MaxIdleTimeout:                 idleTimeout,
			MaxIncomingStreams:             maxStreams,
			MaxIncomingUniStreams:          maxStreams,
			InitialConnectionReceiveWindow: connectionWindow,
			MaxConnectionReceiveWindow:     connectionWindow,
			InitialStreamReceiveWindow:     streamWindow,
			MaxStreamReceiveWindow:         streamWindow,
		},
	}
	server := &webtransport.Server{H3: h3, CheckOrigin: acceptEveryOrigin}
	webtransport.ConfigureHTTP3Server(h3)
	h3.Handler = newApplication(server)
	return server
}

// acceptEveryOrigin: which origins are welcome is the business of the endpoint, not of the server.
func acceptEveryOrigin(*http.Request) bool { return true }
