package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

// As in wire.py.
const (
	warmUp         = 200
	warmUpSessions = 50
	idleSessions   = 200
	step           = 400 * time.Millisecond
	tick           = time.Millisecond
	wantedShare    = 0.95
	highestRate    = 2e6
)

type figures map[string]float64

type client struct {
	transport *webtransport.Transport
	url       string
	session   *webtransport.Session
}

var errLost = errors.New("octets were lost")

func request() []byte {
	return append([]byte{'e'}, make([]byte, 63)...)
}

func measure(port int, workload string, amount int) error {
	c := &client{
		transport: &webtransport.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}},
			QUICConfig:      configuration(),
		},
		url: fmt.Sprintf("https://127.0.0.1:%d/", port),
	}
	var err error
	if c.session, err = c.connect(); err != nil {
		return err
	}
	if workload != "sessions" && workload != "memory" {
		for range warmUp {
			if _, err := c.exchange(request()); err != nil {
				return err
			}
		}
	}
	workloads := map[string]func(int) (figures, error){
		"bulk_up": c.bulkUp, "bulk_down": c.bulkDown, "bulk_duplex": c.bulkDuplex,
		"latency": c.latency, "concurrent": c.concurrent,
		"datagram_rtt": c.datagramRoundTrips, "datagram_rate": c.datagramRate,
		"sessions": c.sessions, "memory": c.memory,
	}
	run, ok := workloads[workload]
	if !ok {
		return fmt.Errorf("unknown workload %s", workload)
	}
	before := cpuSeconds()
	result, err := run(amount)
	if err != nil {
		return err
	}
	result["client_cpu_s"] = cpuSeconds() - before
	return json.NewEncoder(os.Stdout).Encode(result)
}

func (c *client) connect() (*webtransport.Session, error) {
	_, session, err := c.transport.Dial(context.Background(), c.url, nil)
	return session, err
}

func (c *client) exchange(data []byte) ([]byte, error) {
	stream, err := c.session.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(data); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	return io.ReadAll(stream)
}

func (c *client) number(question string) (uint64, error) {
	answer, err := c.exchange([]byte(question))
	if err != nil || len(answer) != 8 {
		return 0, errors.Join(err, errLost)
	}
	return binary.BigEndian.Uint64(answer), nil
}

func (c *client) up(size int) error {
	stream, err := c.session.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	if _, err := stream.Write([]byte("s")); err != nil {
		return err
	}
	if err := sendZeros(stream, size); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	answer, err := io.ReadAll(stream)
	if err != nil || !bytes.Equal(answer, number(uint64(size))) {
		return errors.Join(err, errLost)
	}
	return nil
}

func (c *client) down(size int) error {
	stream, err := c.session.OpenStreamSync(context.Background())
	if err != nil {
		return err
	}
	if _, err := stream.Write(append([]byte("d"), number(uint64(size))...)); err != nil {
		return err
	}
	if err := stream.Close(); err != nil {
		return err
	}
	total, err := io.CopyBuffer(discard{}, stream, make([]byte, chunk))
	if err != nil || total != int64(size) {
		return errors.Join(err, errLost)
	}
	return nil
}

func rate(size int, transfer func() error) (figures, error) {
	begin := time.Now()
	err := transfer()
	return figures{"bytes_per_s": float64(size) / time.Since(begin).Seconds()}, err
}

func (c *client) bulkUp(size int) (figures, error) {
	return rate(size, func() error { return c.up(size) })
}

func (c *client) bulkDown(size int) (figures, error) {
	return rate(size, func() error { return c.down(size) })
}

func (c *client) bulkDuplex(size int) (figures, error) {
	return rate(2*size, func() error {
		other := make(chan error)
		go func() { other <- c.up(size) }()
		return errors.Join(c.down(size), <-other)
	})
}

func (c *client) latency(count int) (figures, error) {
	times := make([]float64, 0, count)
	for range count {
		begin := time.Now()
		if _, err := c.exchange(request()); err != nil {
			return nil, err
		}
		times = append(times, microseconds(begin))
	}
	return figures{"p50_us": quantile(times, 0.5), "p99_us": quantile(times, 0.99)}, nil
}

func (c *client) concurrent(count int) (figures, error) {
	begin, results := time.Now(), make(chan error)
	var started atomic.Int64
	for range 100 {
		go func() {
			for started.Add(1) <= int64(count) {
				if answer, err := c.exchange(request()); err != nil || len(answer) != 64 {
					results <- errors.Join(err, errLost)
					return
				}
			}
			results <- nil
		}()
	}
	for range 100 {
		if err := <-results; err != nil {
			return nil, err
		}
	}
	return figures{"requests_per_s": float64(count) / time.Since(begin).Seconds()}, nil
}

func (c *client) datagramRoundTrips(count int) (figures, error) {
	times := make([]float64, 0, count)
	for range count {
		begin := time.Now()
		if err := c.session.SendDatagram(request()); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if _, err := c.session.ReceiveDatagram(ctx); err == nil {
			times = append(times, microseconds(begin))
		}
		cancel()
	}
	if len(times) < count/2 {
		return nil, errLost
	}
	return figures{"p50_us": quantile(times, 0.5)}, nil
}

func (c *client) datagramRate(start int) (figures, error) {
	best, good, bad, rate, failedOnce := 0.0, 0.0, 0.0, float64(start), false
	for refinements := 0; refinements <= 4 && 1 <= rate && rate <= highestRate; {
		count := int(rate * step.Seconds())
		received, took, until, err := c.datagramStep(rate, count)
		if err != nil {
			return nil, err
		}
		inTime := took < step*5/4 && until < step*3/2
		if float64(received) >= wantedShare*float64(count) && inTime {
			best = max(best, float64(received)/max(took, step).Seconds())
			good = rate
		} else if !failedOnce {
			failedOnce = true
			continue
		} else {
			bad = rate
		}
		failedOnce = false
		switch {
		case bad == 0:
			rate *= 2
		case good == 0:
			rate = bad / 2
		default:
			rate, refinements = math.Sqrt(good*bad), refinements+1
		}
	}
	return figures{"datagrams_per_s": best}, nil
}

// datagramStep says how many arrived, how long the sending took, and how long it was until all had arrived.
func (c *client) datagramStep(rate float64, count int) (int, time.Duration, time.Duration, error) {
	before, err := c.number("n")
	if err != nil {
		return 0, 0, 0, err
	}
	payload := append([]byte{'c'}, make([]byte, 999)...)
	begin, sent := time.Now(), 0
	for sent < count {
		due := min(count, int(time.Since(begin).Seconds()*rate)+1)
		for ; sent < due; sent++ {
			if err := c.session.SendDatagram(payload); err != nil {
				return 0, 0, 0, err
			}
		}
		time.Sleep(tick)
	}
	took := time.Since(begin)
	received, last, until := uint64(0), uint64(math.MaxUint64), took
	for received != last {
		last, until = received, time.Since(begin)
		time.Sleep(50 * time.Millisecond)
		now, err := c.number("n")
		if err != nil {
			return 0, 0, 0, err
		}
		received = now - before
	}
	return int(received), took, until, nil
}

func (c *client) sessions(count int) (figures, error) {
	times, start := make([]float64, 0, count), time.Now()
	for range count {
		begin := time.Now()
		session, err := c.connect()
		if err != nil {
			return nil, err
		}
		times = append(times, microseconds(begin))
		_ = session.CloseWithError(0, "")
	}
	perSecond := float64(count) / time.Since(start).Seconds()
	return figures{"sessions_per_s": perSecond, "p50_us": quantile(times, 0.5)}, nil
}

func (c *client) memory(int) (figures, error) {
	open := func(count int) error {
		for range count {
			if _, err := c.connect(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := open(warmUpSessions); err != nil {
		return nil, err
	}
	before, err := c.number("m")
	if err != nil {
		return nil, err
	}
	if err := open(idleSessions); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond)
	after, err := c.number("m")
	if err != nil {
		return nil, err
	}
	return figures{"bytes_per_session": (float64(after) - float64(before)) / idleSessions}, nil
}

func microseconds(begin time.Time) float64 {
	return float64(time.Since(begin)) / 1e3
}

func quantile(values []float64, share float64) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, int(share*float64(len(values))))]
}
