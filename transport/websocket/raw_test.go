package websocket_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// Opcodes of RFC 6455, section 5.2.
const (
	more   = 0x0
	text   = 0x1
	binry  = 0x2
	closer = 0x8
	ping   = 0x9
	pong   = 0xA

	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame returns a client's frame: masked, with the shortest form of its length.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n > 0xffff:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	case n > 125:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = append(b, 0x80|byte(n))
	}
	return append(append(b, maskKey[:]...), masked(payload)...)
}

// announced returns the head of a frame of n bytes, and some of its bytes.
func announced(first byte, length uint64, payload string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length)
	return append(append(b, maskKey[:]...), masked(payload)...)
}

func masked(payload string) []byte {
	b := []byte(payload)
	for i := range b {
		b[i] ^= maskKey[i%4]
	}
	return b
}

// code returns the payload of a close frame.
func code(n uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, n)) + reason
}

// A client writes and reads WebSocket frames byte by byte.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

const opening = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Authorization: Bearer sesame\r\n"

// connect opens a WebSocket to a listener.
func connect(t testing.TB, addr net.Addr) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return open(t, c)
}

// open does the opening handshake on a connection.
func open(t testing.TB, c net.Conn) *client {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(testkit.Timeout))
	_, err := io.WriteString(c, opening+"\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	_ = answer.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", answer.Header.Get("Sec-Websocket-Accept"))
	_ = c.SetDeadline(time.Time{})
	return &client{c, t, in}
}

// say writes frames with one write.
func (c *client) say(frames ...[]byte) {
	c.t.Helper()
	_, err := c.Write(bytes.Join(frames, nil))
	require.NoError(c.t, err)
}

// hear returns the next frame: "text …", "ping …", "pong …", "close 1000 …", or "end".
func (c *client) hear() string {
	c.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.in, head); err != nil {
		require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
		return "end"
	}
	require.Zero(c.t, head[1]&0x80, "the server masks")
	require.Equal(c.t, byte(fin), head[0]&0xf0, "the server cuts messages, or sets reserved bits")
	n := uint64(head[1])
	if size := map[uint64]int{126: 2, 127: 8}[n]; size > 0 {
		long := make([]byte, 8)
		_, err := io.ReadFull(c.in, long[8-size:])
		require.NoError(c.t, err)
		n = binary.BigEndian.Uint64(long)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(c.in, payload)
	require.NoError(c.t, err)
	switch head[0] & 0xf {
	case text:
		return "text " + string(payload)
	case ping:
		return "ping " + string(payload)
	case pong:
		return "pong " + string(payload)
	case closer:
		if n == 0 {
			return "close"
		}
		return strings.TrimSpace(fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(payload), payload[2:]))
	}
	return fmt.Sprintf("opcode %x", head[0])
}

// hears requires exactly these frames. The text of a close frame may be longer.
func (c *client) hears(want ...string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(testkit.Timeout))
	for _, w := range want {
		got := c.hear()
		if strings.HasPrefix(w, "close ") {
			got = got[:min(len(got), len("close 1000"))]
		}
		require.Equal(c.t, short(w), short(got))
	}
}

func short(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%s… (%d bytes)", s[:100], len(s))
	}
	return s
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

var errTimeout = os.ErrDeadlineExceeded
