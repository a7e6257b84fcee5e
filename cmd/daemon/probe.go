package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rudderpost/rudderpost/transport/unix"
)

// probeTimeout bounds one probe of a listener.
const probeTimeout = time.Second

// probe opens and closes one connection to a prepared listener that has no clients yet. The error says why a client on
// this machine could not connect. It blocks for at most probeTimeout. A listener that takes over the socket of its
// predecessor is not probed: that socket accepts connections now.
func (w *way) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	addr := w.Addr()
	switch {
	case w.shared:
		return nil
	case w.gated != nil:
		return w.gated.probe(ctx)
	case addr.Network() == "udp":
		return probeQUIC(ctx, addr)
	}
	conn, err := (&unix.Transport{Path: addr.String()}).Dial(ctx)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

// local returns an address at which this machine reaches a listener: the name localhost, which the dialer tries with IPv6
// and IPv4, for a listener at all addresses.
func local(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr.String()
	} else if ip.To4() == nil {
		return net.JoinHostPort("localhost", port)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// probe connects to the socket and accepts that connection, so that the transport never sees it. Other clients that are
// accepted meanwhile are kept for Accept.
func (g *gatedListener) probe(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", local(g.Addr()))
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := g.SetDeadline(deadline); err != nil {
		return err
	}
	defer func() { _ = g.SetDeadline(time.Time{}) }()
	for {
		c, err := g.TCPListener.Accept()
		if err != nil {
			return fmt.Errorf("the connection to %s was not accepted: %w", g.Addr(), err)
		}
		if c.RemoteAddr().String() == conn.LocalAddr().String() {
			return c.Close()
		}
		g.mu.Lock()
		g.early = append(g.early, c)
		g.mu.Unlock()
	}
}

// probeQUIC asks for a version of QUIC that does not exist. A listener answers with a Version Negotiation packet (RFC
// 9000, section 6), before it allocates anything for a connection.
func probeQUIC(ctx context.Context, addr net.Addr) error {
	conn, err := net.Dial("udp", local(addr))
	if err != nil {
		return err
	}
	defer conn.Close()
	packet := make([]byte, 1200)
	packet[0] = 0xc0                                   // a long header
	binary.BigEndian.PutUint32(packet[1:], 0x1a2a3a4a) // reserved to force version negotiation
	packet[5], packet[14] = 8, 8                       // lengths of both connection ids
	_, _ = rand.Read(packet[6:14])
	_, _ = rand.Read(packet[15:23])
	answer := make([]byte, 1500)
	for ctx.Err() == nil {
		_ = conn.SetDeadline(time.Now().Add(probeTimeout / 4))
		if _, err = conn.Write(packet); err != nil {
			return err
		}
		n, readErr := conn.Read(answer)
		if err = readErr; err == nil && n > 5 && answer[0]&0x80 != 0 && binary.BigEndian.Uint32(answer[1:]) == 0 {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("no answer from udp %s", addr), err)
}
