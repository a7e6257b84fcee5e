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

	"github.com/stretchr/testify/require"
)

// A talker is a client that writes and reads bytes.
type talker struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func newTalker(t *testing.T, conn net.Conn) *talker {
	return &talker{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// patience is how long a talker waits: for ever, for a test in virtual time.
const patience = time.Minute

// A reply is one as a client reads it.
type reply struct {
	ID        any    `json:"id"`
	Result    int    `json:"result"`
	Text      string `json:"text"`
	Arguments any    `json:"arguments"`
	Error     any    `json:"error"`
	More      bool   `json:"more"`
}

// say sends text, which need not be whole.
func (c *talker) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
}

// line waits for one line.
func (c *talker) line() string {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	line, err := c.in.ReadString('\n')
	require.NoError(c.t, err, "after %q", line)
	return strings.TrimSuffix(line, "\n")
}

// hear waits for one reply.
func (c *talker) hear() (r reply) {
	c.t.Helper()
	line := c.line()
	require.NoError(c.t, json.Unmarshal([]byte(line), &r), line)
	requireSpelling(c.t, line)
	return r
}

// hearAll waits for n replies, and returns them by their ids.
func (c *talker) hearAll(n int) map[any]reply {
	c.t.Helper()
	replies := map[any]reply{}
	for range n {
		r := c.hear()
		require.NotContains(c.t, replies, r.ID)
		replies[r.ID] = r
	}
	return replies
}

// eof waits until the daemon has closed the conn, without another word.
func (c *talker) eof() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(patience)))
	rest, err := io.ReadAll(c.in)
	require.NoError(c.t, err)
	require.Empty(c.t, string(rest))
}

// quiet checks, in virtual time, that the daemon says nothing now and has not closed the conn.
func (c *talker) quiet() {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(1)))
	_, err := c.in.Peek(1)
	require.ErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

// halfClose says the last word.
func (c *talker) halfClose() {
	c.t.Helper()
	require.NoError(c.t, c.conn.(interface{ CloseWrite() error }).CloseWrite())
}

// leave hangs up.
func (c *talker) leave() { _ = c.conn.Close() }
