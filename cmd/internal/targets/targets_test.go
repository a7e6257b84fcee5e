package targets_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
	"github.com/rudderpost/rudderpost/transport/quic"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/transport/websocket"

	"github.com/stretchr/testify/require"
)

func TestParseUnixAndWrongURLs(t *testing.T) {
	for target, path := range map[string]string{
		"unix:///run/x.sock":     "/run/x.sock",
		"unix:/run/x.sock":       "/run/x.sock",
		"unix:run/x.sock":        "run/x.sock",
		"unix:x":                 "x",
		"unix:///run/a%20b%3F":   "/run/a b?",
		"/run/x.sock":            "/run/x.sock",
		"./x":                    "./x",
		"x.sock":                 "x.sock",
		"run/x y#z?.sock":        "run/x y#z?.sock",
		"UNIX:///run/x.sock":     "/run/x.sock",
		"unix:run/a%20b":         "run/a b",
		"unix:///run/caf%C3%A9":  "/run/café",
		"unix:///run/x.sock%00a": "/run/x.sock\x00a", // the transport refuses it
	} {
		dialer, err := targets.Parse(target, targets.ClientConfig{})
		require.NoError(t, err, target)
		require.Equal(t, path, dialer.(*unix.Transport).Path, target)
	}
	for target, want := range map[string]string{
		"":                  `"" has no scheme`,
		"control":           `"control" has no scheme; write unix:///path/of/the/socket, or tls://host:port`,
		"tls://host":        `"tls://host" names no port; write tls://host:port`,
		"tls://:7443":       `names no host; write tls://host:port`,
		"tls://host:7443/x": "has a path, and tls:// URLs have none",
		"quic://host:1?x=y": "has a ? or # in it, which this URL cannot have",
		"https://a:b@host":  "the URL contains a name or a password, which other users can see; use --user or --token-file",
		"tls://host:x":      "is not a URL",
		"unix://host/path":  "names no socket",
		"unix://":           "names no socket",
		"unix:":             "names no socket",
		"unix:///run/x?y":   "has a ? or # in it; write them as %3F and %23",
		"unix:run/x#1":      "has a ? or # in it",
		"unix:run/%zz":      "is not a URL",
		"http://[::1":       "is not a URL",
		"carrier-pigeon://": `there is no transport "carrier-pigeon"; there are unix, tls, tcp, quic, https, http, wss and ws`,
	} {
		_, err := targets.Parse(target, targets.ClientConfig{})
		require.ErrorContains(t, err, want, target)
	}
}

func TestParseNetworkURLs(t *testing.T) {
	pki := targets.ClientConfig{PKI: "pki"}
	ann := targets.ClientConfig{Claim: transport.Claim{User: "ann", Password: "x"}}
	admin := tlsconf.ClientFrom("pki", "")
	for _, c := range []struct {
		url  string
		id   targets.ClientConfig
		want transport.Dialer
	}{
		{"tcp://127.0.0.1:7440", targets.ClientConfig{}, &tcp.Transport{Address: "127.0.0.1:7440"}},
		{"tls://ns1.example:7443", pki, &tcp.Transport{Address: "ns1.example:7443", Client: admin}},
		{"tls://[::1]:7443/", pki, &tcp.Transport{Address: "[::1]:7443", Client: admin}},
		{"quic://ns1.example:7443", pki, &quic.Transport{Address: "ns1.example:7443", Client: admin}},
		{"http://localhost", ann, &http.Transport{Address: "localhost:80", Path: "/", Credentials: ann.Claim}},
		{"https://host:8443/a%20b", pki, &http.Transport{Address: "host:8443", Path: "/a%20b", Client: admin}},
		{"ws://host/up", ann, &websocket.Transport{Address: "host:80", Path: "/up", Credentials: ann.Claim}},
		{"wss://host", ann, &websocket.Transport{Address: "host:443", Path: "/", Client: &tlsconf.Client{}, Credentials: ann.Claim}},
		{"tls://h:1", targets.ClientConfig{CA: "ca", Cert: "c", Key: "k", Pin: "sha256:00"},
			&tcp.Transport{Address: "h:1", Client: &tlsconf.Client{CA: "ca", Cert: "c", Key: "k", Pin: "sha256:00"}}},
	} {
		dialer, err := targets.Parse(c.url, c.id)
		require.NoError(t, err, c.url)
		require.Equal(t, c.want, dialer, c.url)
	}
	for _, c := range []struct {
		url  string
		id   targets.ClientConfig
		want string
	}{
		{"tcp://h:1", pki, "tcp:// has no certificates; write tls://, or leave out --pki"},
		{"http://h", pki, "write https://"},
		{"ws://h", targets.ClientConfig{Pin: "x"}, "write wss://"},
		{"tls://h:1", ann, "tls:// has no passwords and tokens; use a client certificate"},
		{"tls://h:1", targets.ClientConfig{Cert: "c"}, "--cert and --key must be given together"},
	} {
		_, err := targets.Parse(c.url, c.id)
		require.ErrorContains(t, err, c.want, c.url)
	}
}

// Parse accepts each URL that UnixURL returns.
func TestUnixURLCanBeParsed(t *testing.T) {
	for _, path := range []string{"/run/x.sock", "/a b/c?d#e%41/é", "/a:b/c", "//x", "/:"} {
		dialer, err := targets.Parse(targets.UnixURL(path), targets.ClientConfig{})
		require.NoError(t, err, targets.UnixURL(path))
		require.Equal(t, filepath.Clean(path), dialer.(*unix.Transport).Path)
	}
	here, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, "unix://"+filepath.Join(here, "run", "x"), targets.UnixURL("run/x"))
}

func TestDefaultSocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	path, err := targets.DefaultSocket()
	require.NoError(t, err)
	require.Equal(t, "/run/user/7/rudderpost/control.sock", path)
	for _, place := range []string{"", "relative"} {
		t.Setenv("XDG_RUNTIME_DIR", place)
		path, err = targets.DefaultSocket()
		if os.Geteuid() == 0 {
			require.NoError(t, err)
			require.Equal(t, "/run/rudderpost/control.sock", path)
		} else {
			require.ErrorContains(t, err, "XDG_RUNTIME_DIR is not set")
		}
	}
}
