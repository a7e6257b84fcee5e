package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A tap forwards connections to a listener unchanged, and records the bytes in both directions.
type tap struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	conns   []*tappedConn
	changed chan struct{} // closed and replaced when bytes are recorded
}

// A tappedConn has the bytes of one connection.
type tappedConn struct{ requests, responses bytes.Buffer }

// An exchange is a request and its response.
type exchange struct {
	*http.Request
	status    int    // 0: the response is not HTTP
	rawAnswer string // all bytes from the listener, if they are not HTTP
}

// newTap opens a tap in front of addr, until the test ends.
func newTap(t *testing.T, addr net.Addr) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &tap{listener: l, target: addr.String(), changed: make(chan struct{})}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.running.Wait()
	})
	return p
}

func (p *tap) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &tappedConn{}
		p.mu.Lock()
		p.conns = append(p.conns, l)
		p.mu.Unlock()
		p.running.Go(func() { p.pass(server, client, &l.requests) })
		p.running.Go(func() { p.pass(client, server, &l.responses) })
	}
}

// pass forwards bytes, and closes both connections when one of them ends. The test needs no half-close.
func (p *tap) pass(to, from net.Conn, kept *bytes.Buffer) {
	defer to.Close()
	defer from.Close()
	chunk := make([]byte, 16<<10)
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			p.mu.Lock()
			kept.Write(chunk[:n])
			close(p.changed)
			p.changed = make(chan struct{})
			p.mu.Unlock()
			if _, err := to.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// exchangesOf returns the requests of a case that have a response. A request names its case in the query.
func (p *tap) exchangesOf(name string) (found []exchange, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.conns {
		for _, x := range l.exchanges() {
			if x.URL.Query().Get("case") == name {
				found = append(found, x)
			}
		}
	}
	return found, p.changed
}

// exchanges parses the bytes of the connection.
func (l *tappedConn) exchanges() (all []exchange) {
	asked := bufio.NewReader(bytes.NewReader(l.requests.Bytes()))
	answered := bufio.NewReader(bytes.NewReader(l.responses.Bytes()))
	for {
		request, err := http.ReadRequest(asked)
		if err != nil {
			return all
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if answered.Buffered() == 0 && l.responses.Len() == 0 {
			return all
		}
		response, err := http.ReadResponse(answered, request)
		if err != nil {
			if len(all) == 0 {
				all = append(all, exchange{Request: request, rawAnswer: l.responses.String()})
			}
			return all
		}
		all = append(all, exchange{Request: request, status: response.StatusCode})
		if response.StatusCode == http.StatusSwitchingProtocols {
			return all
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// wait waits for a request of a case, and returns nil if ctx ends first.
func (p *tap) wait(ctx context.Context, name string) []exchange {
	for {
		found, changed := p.exchangesOf(name)
		if len(found) > 0 {
			return found
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
