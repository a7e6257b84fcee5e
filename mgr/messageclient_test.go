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

// dialTransport connects to a listener: with a byte stream if the transport has one, otherwise with messages, and with one
// conn for each request if the transport needs that.
func dialTransport(t *testing.T, tc alltransports.Case, addr net.Addr, id alltransports.Identity) conversationClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), receiveTimeout)
	t.Cleanup(cancel)
	if tc.Raw != nil {
		conn, err := tc.Raw(ctx, addr, id)
		require.NoError(t, err)
		return newRawClient(t, conn)
	}
	m := &messageClient{t: t, ctx: ctx, dialer: tc.Dial(addr, id), oneShot: tc.OneShot}
	if !m.oneShot {
		m.connect()
	}
	return m
}

// A messageClient sends and receives messages.
type messageClient struct {
	t       *testing.T
	ctx     context.Context
	dialer  transport.Dialer
	oneShot bool
	conn    transport.Conn // the newest one
	begun   string         // the sent part of an incomplete JSON value
}

func (m *messageClient) connect() {
	m.t.Helper()
	conn, err := m.dialer.Dial(m.ctx)
	require.NoError(m.t, err)
	m.conn = conn
}

// send sends each complete JSON value in text as a message, and text that is no JSON at once.
func (m *messageClient) send(text string) {
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
			m.close()
			m.connect()
		}
		require.NoError(m.t, m.conn.Send(m.ctx, value))
	}
}

func (m *messageClient) receiveLine() string {
	m.t.Helper()
	frame, err := m.conn.Receive(m.ctx, nil)
	require.NoError(m.t, err)
	return string(frame)
}

func (m *messageClient) requireEOF() {
	m.t.Helper()
	_, err := m.conn.Receive(m.ctx, nil)
	require.ErrorIs(m.t, err, io.EOF)
}

func (m *messageClient) requireSilence() {
	m.t.Helper()
	if m.oneShot {
		m.requireEOF()
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, time.Millisecond)
	defer cancel()
	_, err := m.conn.Receive(ctx, nil)
	require.ErrorIs(m.t, err, context.DeadlineExceeded)
}

func (m *messageClient) closeWrite() { m.t.Fatal("a message cannot be half closed") }

func (m *messageClient) close() {
	if m.conn != nil {
		_ = m.conn.Close()
	}
}
