package mgr_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// A rawClient is a client that writes and reads bytes.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func newRawClient(t *testing.T, conn net.Conn) *rawClient {
	return &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// receiveTimeout is the time that a client waits for a reply. It is longer than every wait of a test in virtual time.
const receiveTimeout = 2 * testkit.Timeout

// A reply is a reply as a client decodes it.
type reply struct {
	ID        any    `json:"id"`
	Result    int    `json:"result"`
	Text      string `json:"text"`
	Arguments any    `json:"arguments"`
	Error     any    `json:"error"`
	More      bool   `json:"more"`
}

// send writes text, which need not be a complete frame.
func (c *rawClient) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
}

// receiveLine waits for one line.
func (c *rawClient) receiveLine() string {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(receiveTimeout)))
	line, err := c.in.ReadString('\n')
	require.NoError(c.t, err, "after %q", line)
	return strings.TrimSuffix(line, "\n")
}

// receive waits for one reply.
func (c *rawClient) receive() (r reply) {
	c.t.Helper()
	line := c.receiveLine()
	require.NoError(c.t, json.Unmarshal([]byte(line), &r), line)
	requireSpelling(c.t, line)
	return r
}

// receiveAll waits for n replies, and returns them by their ids.
func (c *rawClient) receiveAll(n int) map[any]reply {
	c.t.Helper()
	replies := map[any]reply{}
	for range n {
		r := c.receive()
		require.NotContains(c.t, replies, r.ID)
		replies[r.ID] = r
	}
	return replies
}

// requireEOF waits until the daemon has closed the conn, and checks that it sent no more bytes.
func (c *rawClient) requireEOF() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(receiveTimeout)))
	rest, err := io.ReadAll(c.in)
	require.NoError(c.t, err)
	require.Empty(c.t, string(rest))
}

// requireSilence checks, in virtual time, that the daemon sends nothing now and has not closed the conn.
func (c *rawClient) requireSilence() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(1)))
	_, err := c.in.Peek(1)
	require.ErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

// closeWrite closes the writing side of the conn.
func (c *rawClient) closeWrite() {
	c.t.Helper()
	require.NoError(c.t, c.conn.(interface{ CloseWrite() error }).CloseWrite())
}

// close closes the conn.
func (c *rawClient) close() { _ = c.conn.Close() }
