package quic_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/quic"
)

// isRetry reports whether a packet is a Retry of QUIC version 1 (RFC 9000, section 17.2.5).
func isRetry(p []byte) bool { return len(p) > 5 && p[0]&0xf0 == 0xf0 && p[4] == 1 }

// A spoofer sends packets with the address of another host, and receives no answer.
type spoofer struct {
	n    *network
	from *net.UDPAddr
	done chan struct{}
	once sync.Once
}

func (s *spoofer) WriteTo(p []byte, to net.Addr) (int, error) {
	return len(p), s.n.SendPacket(simnet.Packet{From: s.from, To: to, Data: append([]byte(nil), p...)})
}

func (s *spoofer) ReadFrom([]byte) (int, net.Addr, error) {
	<-s.done
	return 0, nil, net.ErrClosed
}

func (s *spoofer) end() error                       { s.once.Do(func() { close(s.done) }); return nil }
func (s *spoofer) Close() error                     { return s.end() }
func (s *spoofer) SetReadDeadline(time.Time) error  { return s.end() } // quic-go ends reading so
func (s *spoofer) SetDeadline(time.Time) error      { return nil }
func (s *spoofer) SetWriteDeadline(time.Time) error { return nil }
func (s *spoofer) SetReadBuffer(int) error          { return nil }
func (s *spoofer) SetWriteBuffer(int) error         { return nil }
func (s *spoofer) LocalAddr() net.Addr              { return s.from }

// flood begins handshakes from many spoofed addresses.
func flood(t *testing.T, n *network, from func(i int) net.IP, count int) {
	t.Helper()
	config, err := client(t, "ops.example").Config("10.0.0.1", quic.Protocol)
	require.NoError(t, err)
	for i := range count {
		s := &spoofer{n: n, from: &net.UDPAddr{IP: from(i), Port: 1000 + i}, done: make(chan struct{})}
		tr := &quicgo.Transport{Conn: s}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
		_, err := tr.Dial(ctx, daemonAddr, config, &quicgo.Config{})
		cancel()
		require.Error(t, err)
		require.NoError(t, tr.Close())
	}
}

// Under a flood of handshakes from spoofed addresses, clients must prove their address. No address receives more than three
// times the bytes that were sent with it, and a good client is served.
func TestFloodOfHandshakesNeedsRetry(t *testing.T) {
	const spoofed, pace = 500, 50
	onRefused, reported := refusals()
	overBadNetwork(t, time.Millisecond, 0, func(at *quic.Transport) {
		at.OnRefused = onRefused
		at.SetPace(pace)
	}, func(t *testing.T, n *network) {
		serveEcho(n.l)
		in, out := map[string]int{}, map[string]int{}
		retries := map[string]bool{}
		n.with(func() {
			n.seen = func(p simnet.Packet) {
				if p.To.String() == daemonAddr.String() {
					in[p.From.String()] += len(p.Data)
				} else {
					out[p.To.String()] += len(p.Data)
					if isRetry(p.Data) {
						retries[p.To.String()] = true
					}
				}
			}
		})
		flood(t, n, func(i int) net.IP { return net.IPv4(10, 7, byte(i>>8), byte(i)).To4() }, spoofed)
		began := time.Now()
		c := dial(t, n.client)
		send(t, c, "{}")
		require.Equal(t, "{}", receive(t, c))
		require.Less(t, time.Since(began), time.Second)
		time.Sleep(20 * time.Second) // the handshakes are retransmitted and then closed
		n.with(func() {
			assert.Len(t, in, spoofed+1)
			for addr, bytes := range out {
				if addr != clientAddr.String() {
					assert.LessOrEqual(t, bytes, 3*in[addr]+1280, addr) // quic-go finishes the packet that crosses the line
				}
			}
			t.Logf("%d of %d had to prove their address", len(retries), len(in))
			assert.Greater(t, len(retries), spoofed-3*pace)
		})
		require.NoError(t, c.Close())
		synctest.Wait()
		require.NotEmpty(t, reported, "handshakes that were closed")
	})
}

// Spoofed packets cannot use up the connections of an address.
func TestSpoofedPacketsDoNotUseUpConnections(t *testing.T) {
	overBadNetwork(t, time.Millisecond, 0, func(at *quic.Transport) {
		at.MaxPerSource = 10
		at.SetPace(100000)
	}, func(t *testing.T, n *network) {
		serveEcho(n.l)
		proved := false
		n.with(func() {
			n.seen = func(p simnet.Packet) { proved = proved || isRetry(p.Data) && p.To.String() == clientAddr.String() }
		})
		flood(t, n, func(int) net.IP { return clientAddr.IP }, 50)
		c := dial(t, n.client)
		send(t, c, "{}")
		require.Equal(t, "{}", receive(t, c))
		n.with(func() { assert.True(t, proved) })
	})
}

func TestConnectionAboveLimitIsRefused(t *testing.T) {
	for name, limit := range map[string]func(*quic.Transport){
		"at all":            func(at *quic.Transport) { at.MaxConns = 3 },
		"from this address": func(at *quic.Transport) { at.MaxPerSource = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			onRefused, reported := refusals()
			at := place(t)
			at.OnRefused = onRefused
			limit(at)
			l := listen(t, at)
			var dialers []*quic.Transport
			var first transport.Conn
			for i := range 3 {
				dialer := to(t, l.Addr())
				c, _ := pair(t, l, dialer)
				if i == 0 {
					first = c
				}
				dialers = append(dialers, dialer)
			}
			fourth := to(t, l.Addr())
			_, err := fourth.Dial(within(t, testkit.Timeout))
			require.ErrorContains(t, err, "accepts no more connections")
			require.ErrorContains(t, next(t, reported).Err, "too many connections")
			require.NoError(t, first.Close())
			pair(t, l, dialers[1]) // on the connection that is there
			_, err = fourth.Dial(within(t, testkit.Timeout))
			require.Error(t, err, "the daemon has not closed its end")
		})
	}
}

func TestSourceOfAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:1":              "192.0.2.7/32",
		"[::ffff:192.0.2.7]:1":     "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64",
		"[fe80::1:2:3:4%eth0]:1":   "fe80::/64",
	} {
		at := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
		require.Equal(t, want, quic.Source(at).String())
	}
}

func TestIPv6Loopback(t *testing.T) {
	at := place(t)
	at.Address = "[::1]:0"
	l, err := at.Listen(t.Context())
	if err != nil {
		t.Skip("there is no IPv6 here: ", err)
	}
	defer l.Close()
	pair(t, l, to(t, l.Addr()))
}
