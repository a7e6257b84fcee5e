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

func TestParse(t *testing.T) {
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
		dialer, err := targets.Parse(target, targets.Identity{})
		require.NoError(t, err, target)
		require.Equal(t, path, dialer.(*unix.Transport).Path, target)
	}
	for target, want := range map[string]string{
		"":                  `"" has no scheme`,
		"control":           `"control" has no scheme; write unix:///path/of/the/socket, or tls://host:port`,
		"tls://host":        `"tls://host" names no port; write tls://host:port`,
		"tls://:7443":       `names no host; write tls://host:port`,
		"tls://host:7443/x": "has a path, and there is nothing to choose behind a port",
		"quic://host:1?x=y": "has a ? or # in it, which mean nothing here",
		"https://a:b@host":  "has a name or a password in it, where others can see it; use --user, or --token-file",
		"tls://host:x":      "is no URL",
		"unix://host/path":  "names no socket",
		"unix://":           "names no socket",
		"unix:":             "names no socket",
		"unix:///run/x?y":   "has a ? or # in it; write them as %3F and %23",
		"unix:run/x#1":      "has a ? or # in it",
		"unix:run/%zz":      "is no URL",
		"http://[::1":       "is no URL",
		"carrier-pigeon://": `there is no transport "carrier-pigeon"; there are unix, tls, tcp, quic, https, http, wss and ws`,
	} {
		_, err := targets.Parse(target, targets.Identity{})
		require.ErrorContains(t, err, want, target)
	}
}

func TestParseNet(t *testing.T) {
	pki := targets.Identity{PKI: "pki"}
	ann := targets.Identity{Claim: transport.Claim{User: "ann", Password: "x"}}
	admin := tlsconf.ClientFrom("pki", "")
	for _, c := range []struct {
		url  string
		id   targets.Identity
		want transport.Dialer
	}{
		{"tcp://127.0.0.1:7440", targets.Identity{}, &tcp.Transport{Address: "127.0.0.1:7440"}},
		{"tls://ns1.example:7443", pki, &tcp.Transport{Address: "ns1.example:7443", Client: admin}},
		{"tls://[::1]:7443/", pki, &tcp.Transport{Address: "[::1]:7443", Client: admin}},
		{"quic://ns1.example:7443", pki, &quic.Transport{Address: "ns1.example:7443", Client: admin}},
		{"http://localhost", ann, &http.Transport{Address: "localhost:80", Path: "/", Credentials: ann.Claim}},
		{"https://host:8443/a%20b", pki, &http.Transport{Address: "host:8443", Path: "/a%20b", Client: admin}},
		{"ws://host/up", ann, &websocket.Transport{Address: "host:80", Path: "/up", Credentials: ann.Claim}},
		{"wss://host", ann, &websocket.Transport{Address: "host:443", Path: "/", Client: &tlsconf.Client{}, Credentials: ann.Claim}},
		{"tls://h:1", targets.Identity{CA: "ca", Cert: "c", Key: "k", Pin: "sha256:00"},
			&tcp.Transport{Address: "h:1", Client: &tlsconf.Client{CA: "ca", Cert: "c", Key: "k", Pin: "sha256:00"}}},
	} {
		dialer, err := targets.Parse(c.url, c.id)
		require.NoError(t, err, c.url)
		require.Equal(t, c.want, dialer, c.url)
	}
	for _, c := range []struct {
		url  string
		id   targets.Identity
		want string
	}{
		{"tcp://h:1", pki, "there are no certificates in tcp://; write tls://, or leave out --pki"},
		{"http://h", pki, "write https://"},
		{"ws://h", targets.Identity{Pin: "x"}, "write wss://"},
		{"tls://h:1", ann, "there are no passwords and no tokens in tls://; a certificate says there who you are"},
		{"tls://h:1", targets.Identity{Cert: "c"}, "--cert and --key belong together"},
	} {
		_, err := targets.Parse(c.url, c.id)
		require.ErrorContains(t, err, c.want, c.url)
	}
}

// What the daemon prints, steer can be given.
func TestUnixURL(t *testing.T) {
	for _, path := range []string{"/run/x.sock", "/a b/c?d#e%41/é", "/a:b/c", "//x", "/:"} {
		dialer, err := targets.Parse(targets.UnixURL(path), targets.Identity{})
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
