package mgr_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// speak connects to a way in: with bytes where it takes bytes, with whole messages where it takes
// those, and with a request for each of them where a conn is one request.
func speak(t *testing.T, tc alltransports.Case, addr net.Addr, id alltransports.Identity) speaker {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	if tc.Raw != nil {
		conn, err := tc.Raw(ctx, addr, id)
		require.NoError(t, err)
		return newTalker(t, conn)
	}
	m := &messenger{t: t, ctx: ctx, dialer: tc.Dial(addr, id), oneShot: tc.OneShot}
	if !m.oneShot {
		m.connect()
	}
	return m
}

// A messenger sends and receives messages.
type messenger struct {
	t       *testing.T
	ctx     context.Context
	dialer  transport.Dialer
	oneShot bool
	conn    transport.Conn // the last one
	begun   string         // what has been said of a value that is not whole
}

func (m *messenger) connect() {
	m.t.Helper()
	conn, err := m.dialer.Dial(m.ctx)
	require.NoError(m.t, err)
	m.conn = conn
}

// say sends each JSON value in text as a message, when it is whole; and what is none at once.
func (m *messenger) say(text string) {
	m.t.Helper()
	m.begun += text
	for {
		var value json.RawMessage
		values := json.NewDecoder(strings.NewReader(m.begun))
		err := values.Decode(&value)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return
		case err != nil:
			value, m.begun = json.RawMessage(strings.TrimSuffix(m.begun, "\n")), ""
		default:
			m.begun = m.begun[values.InputOffset():]
		}
		if m.oneShot {
			m.leave()
			m.connect()
		}
		require.NoError(m.t, m.conn.Send(m.ctx, value))
	}
}

func (m *messenger) line() string {
	m.t.Helper()
	frame, err := m.conn.Receive(m.ctx, nil)
	require.NoError(m.t, err)
	return string(frame)
}

func (m *messenger) eof() {
	m.t.Helper()
	_, err := m.conn.Receive(m.ctx, nil)
	require.ErrorIs(m.t, err, io.EOF)
}

func (m *messenger) quiet() {
	m.t.Helper()
	if m.oneShot {
		m.eof()
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, time.Millisecond)
	defer cancel()
	_, err := m.conn.Receive(ctx, nil)
	require.ErrorIs(m.t, err, context.DeadlineExceeded)
}

func (m *messenger) halfClose() { m.t.Fatal("a message cannot be half closed") }

func (m *messenger) leave() {
	if m.conn != nil {
		_ = m.conn.Close()
	}
}
