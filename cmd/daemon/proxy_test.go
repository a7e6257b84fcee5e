package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/internal/testkit"

	"github.com/stretchr/testify/require"
)

// Behind a trusted proxy each client has its own address: in whoami, in the log, in the audit, and in the limit of
// failed logins. A client that is not a trusted proxy cannot choose its address.
func TestClientsBehindATrustedProxyHaveTheirOwnAddresses(t *testing.T) {
	dir := testkit.ShortDir(t)
	users, err := secrets.OpenUsers(filepath.Join(dir, "users"))
	require.NoError(t, err)
	require.NoError(t, users.Add("ann", "admin", "correct horse"))
	p := startIn(t, dir, `
state-dir = "."
auth.users-file = "users"
audit.file = "audit.jsonl"
listen = [
  { transport = "unix", path = "control.sock" },
  { transport = "http", address = "127.0.0.1:0", insecure = true, trusted-proxies = ["127.0.0.1"] },
  { transport = "http", address = "127.0.0.1:0", insecure = true, trusted-proxies = ["127.0.0.1/32"], proxy-protocol = true },
  { transport = "http", address = "127.0.0.1:0", insecure = true },
]
`)
	urls := p.urls(4)
	whoami := func(url, forwarded, password string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"command":"whoami"}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", forwarded)
		r.SetBasicAuth("ann", password)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	status, body := whoami(urls[1], "127.0.0.1, 203.0.113.9", "correct horse")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, "203.0.113.9")
	require.NotContains(t, body, `"address":"127.0.0.1:`)
	status, body = whoami(urls[3], "203.0.113.9", "correct horse")
	require.Equal(t, http.StatusOK, status, body)
	require.NotContains(t, body, "203.0.113.9")

	status, _ = whoami(urls[1], "nonsense", "correct horse")
	require.Equal(t, http.StatusBadRequest, status)

	c, err := net.Dial("tcp", strings.TrimPrefix(urls[2], "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(testkit.Timeout)))
	_, err = io.WriteString(c, "PROXY TCP4 203.0.113.11 127.0.0.1 4000 80\r\n"+
		"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n"+
		"Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2U=\r\n\r\n"+`{"command":"whoami"}`)
	require.NoError(t, err)
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Contains(t, string(answer), "203.0.113.11:4000")

	c, err = net.Dial("tcp", strings.TrimPrefix(urls[2], "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(testkit.Timeout)))
	_, err = io.WriteString(c, "PROXY nonsense\r\n")
	require.NoError(t, err)
	testkit.Eventually(t, func() bool { return strings.Contains(p.Err.String(), "malformed PROXY protocol header") }, "the malformed header is not in the log")

	slow := false
	for i := range 20 {
		status, _ = whoami(urls[1], "203.0.113.66", fmt.Sprint("guess ", i))
		slow = slow || status == http.StatusTooManyRequests
	}
	require.True(t, slow, "the guessing client is not delayed")
	status, body = whoami(urls[1], "203.0.113.10", "correct horse")
	require.Equal(t, http.StatusOK, status, "another address than the guessing client's is not delayed: %s", body)
	p.stop()
	log := p.Err.String()
	require.Contains(t, log, "from=203.0.113.66")
	require.Contains(t, log, "malformed X-Forwarded-For header from the trusted proxy 127.0.0.1")
	record, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	require.NoError(t, err)
	for _, address := range []string{"203.0.113.9", "203.0.113.66", "203.0.113.10", "203.0.113.11:4000"} {
		require.Contains(t, string(record), `"`+address+`"`)
	}
}
