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

// A tap stands before a listener, passes bytes on unchanged, and remembers them: it knows what a
// browser has really sent there, and what it was told.
type tap struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex
	lines   []*line
	changed chan struct{} // closed, and another one made, when there is more
}

// A line is one connection, and what went over it.
type line struct{ asked, answered bytes.Buffer }

// An exchange is a request and its answer.
type exchange struct {
	*http.Request
	status int    // 0: the answer is not HTTP
	answer string // all that the connection said, where the answer is not HTTP
}

// newTap opens a tap in front of addr, which lasts as long as the test.
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
		l := &line{}
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
		p.running.Go(func() { p.pass(server, client, &l.asked) })
		p.running.Go(func() { p.pass(client, server, &l.answered) })
	}
}

// pass passes on what from says, and closes both when either has ended: nothing here half-closes.
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

// of returns the requests of a case, which they name in their query, that have an answer.
func (p *tap) of(name string) (found []exchange, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		for _, x := range l.exchanges() {
			if x.URL.Query().Get("case") == name {
				found = append(found, x)
			}
		}
	}
	return found, p.changed
}

// exchanges takes a connection's bytes apart.
func (l *line) exchanges() (all []exchange) {
	asked := bufio.NewReader(bytes.NewReader(l.asked.Bytes()))
	answered := bufio.NewReader(bytes.NewReader(l.answered.Bytes()))
	for {
		request, err := http.ReadRequest(asked)
		if err != nil {
			return all
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if answered.Buffered() == 0 && l.answered.Len() == 0 {
			return all
		}
		response, err := http.ReadResponse(answered, request)
		if err != nil {
			if len(all) == 0 {
				all = append(all, exchange{Request: request, answer: l.answered.String()})
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

// wait waits for a request of a case.
func (p *tap) wait(ctx context.Context, name string) []exchange {
	for {
		found, changed := p.of(name)
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
