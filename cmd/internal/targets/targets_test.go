package targets_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rudderpost/rudderpost/cmd/internal/targets"
	"github.com/rudderpost/rudderpost/transport/unix"

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
		dialer, err := targets.Parse(target)
		require.NoError(t, err, target)
		require.Equal(t, path, dialer.(*unix.Transport).Path, target)
	}
	for target, want := range map[string]string{
		"":                  `"" has no scheme`,
		"control":           `"control" has no scheme; write unix:///path/of/the/socket`,
		"tcp://host:7443":   `there is no transport "tcp"`,
		"unix://host/path":  "names no socket",
		"unix://":           "names no socket",
		"unix:":             "names no socket",
		"unix:///run/x?y":   "has a ? or # in it; write them as %3F and %23",
		"unix:run/x#1":      "has a ? or # in it",
		"unix:run/%zz":      "is no URL",
		"http://[::1":       "is no URL",
		"carrier-pigeon://": `there is no transport "carrier-pigeon"`,
	} {
		_, err := targets.Parse(target)
		require.ErrorContains(t, err, want, target)
	}
}

// What the daemon prints, steer can be given.
func TestUnixURL(t *testing.T) {
	for _, path := range []string{"/run/x.sock", "/a b/c?d#e%41/é", "/a:b/c", "//x", "/:"} {
		dialer, err := targets.Parse(targets.UnixURL(path))
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
