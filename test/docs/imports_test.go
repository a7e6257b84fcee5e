package docs

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/stretchr/testify/require"
)

const module = "github.com/rudderpost/rudderpost/"

// A linked has the dependencies of a package.
type linked struct {
	imports []string // the packages that it imports, without its tests
	deps    []string // the packages that are linked with it
}

// goList returns the packages that match the patterns, by import path. It runs go list.
func goList(t *testing.T, patterns ...string) map[string]linked {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-f", `{{.ImportPath}}|{{join .Imports ","}}|{{join .Deps ","}}`}, patterns...)...)
	cmd.Dir = testkit.ModuleRoot(t)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	packages := map[string]linked{}
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSpace(line), "|")
		packages[part[0]] = linked{strings.Split(part[1], ","), strings.Split(part[2], ",")}
	}
	return packages
}

// within reports whether path is our package ours, or a package below it. With a slash at its end, as in "transport/", ours
// stands for the packages below only.
func within(path, ours string) bool {
	path, ok := strings.CutPrefix(path, module)
	if below, only := strings.CutSuffix(ours, "/"); only {
		return ok && strings.HasPrefix(path, below+"/")
	}
	return ok && (path == ours || strings.HasPrefix(path, ours+"/"))
}

// below is within for packages of other modules.
func below(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

func anyOf(paths []string, is func(string) bool) string {
	if i := slices.IndexFunc(paths, is); i >= 0 {
		return paths[i]
	}
	return ""
}

// Each package imports only packages below it, and only some packages import large modules.
func TestImportsFollowTheRules(t *testing.T) {
	packages := goList(t, "./...")
	require.Contains(t, packages, module+"mgr")

	// These rules are about all packages that are linked with a package.
	for _, rule := range []struct{ from, to, why string }{
		{"transport", "mgr", "a transport never sees a command"},
		{"transport", "wire", "a transport looks at nothing inside a frame"},
		{"transport", "loop", "a transport does its own waiting"},
		{"mgr", "transport/", "the manager never sees a socket; it serves whatever keeps the interfaces of transport"},
		{"wire", "transport", "what is in a frame does not depend on how it travels"},
		{"wire", "loop", "what is in a frame is nothing to wait for"},
		{"wire", "mgr", "the manager builds on wire"},
		{"loop", "wire", "a loop runs functions, whatever they are about"},
		{"loop", "transport", "a loop does no I/O"},
		{"loop", "mgr", "the manager builds on loop"},
		{"client", "mgr", "a client has no commands of its own"},
		{"client", "loop", "a client has no loop"},
		{"client", "transport/", "a client takes any transport.Dialer"},
		{"cmd/steer", "mgr", "a client has no commands of its own"},
		{"cmd/steer", "loop", "a client has no loop"},
		{"hooks", "transport/", "a hook is a process, however its callers come"},
		{"hooks", "client", "a hook is called by the daemon, and is no client of it"},
		{"mgr", "hooks", "the manager knows layers of commands, not where they come from"},
		{"cmd/steer", "hooks", "a client has no hooks"},
		{"feed", "mgr", "a feed is of use without a manager"},
		{"audit/record", "mgr", "whoever reads a record has no use for a daemon"},
		{"audit/record", "transport", "the same, of ways into one"},
		{"audit", "transport/", "what is recorded does not depend on how it came"},
	} {
		for path, p := range packages {
			if !within(path, rule.from) {
				continue
			}
			bad := anyOf(p.deps, func(dep string) bool { return within(dep, rule.to) })
			require.Empty(t, bad, "%s needs %s: %s", path, bad, rule.why)
		}
	}

	// These rules are about the packages that a package imports itself.
	for _, rule := range []struct{ what, only, why string }{
		{"github.com/gorilla/websocket", "transport/websocket", "only this package knows WebSocket"},
		{"github.com/quic-go/quic-go", "transport/quic", "only this package knows QUIC"},
		{"github.com/BurntSushi/toml", "cmd/daemon", "only the daemon reads TOML"},
		{"github.com/prometheus", "cmd/daemon", "metrics are the daemon's; the core tells an Observer"},
		{"github.com/spf13/cobra", "cmd/steer", "only the command-line client parses such command lines"},
		{"github.com/stretchr/testify", "nothing", "testify is for tests; exported test packages do without, so that their users need not have it"},
		{"go.uber.org/goleak", "nothing", "goleak is for tests"},
		{"github.com/anishathalye/porcupine", "nothing", "porcupine is for tests"},
		{"testing", "", "only packages that test others import testing"},
	} {
		for path, p := range packages {
			allowed := within(path, rule.only) || within(path, "internal/alltransports") // it has all transports
			if rule.only == "" {
				allowed = strings.HasSuffix(path, "test") || within(path, "internal/testkit") || within(path, "internal/alltransports")
			}
			bad := anyOf(p.imports, func(dep string) bool { return below(dep, rule.what) })
			require.False(t, bad != "" && !allowed, "%s imports %s: %s", path, bad, rule.why)
		}
	}
}

// The packages wire, loop and transport use only the standard library, and wire one JSON package.
func TestFoundationUsesTheStandardLibraryOnly(t *testing.T) {
	standard := goList(t, "std")
	packages := goList(t, "./...")
	for _, base := range []string{"wire", "loop", "transport", "feed"} {
		p, ok := packages[module+base]
		if !ok {
			continue
		}
		bad := anyOf(p.deps, func(dep string) bool {
			_, std := standard[dep]
			json := base == "wire" && below(dep, "github.com/go-json-experiment/json")
			return !std && !json && !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "vendor/")
		})
		require.Empty(t, bad, "%s needs %s: whoever embeds the daemon side gets it too, so it is the standard library alone (and wire's JSON package)", base, bad)
	}
}

// A daemon that embeds mgr and transport/unix links no web server, no TLS, no QUIC and no WebSocket.
func TestSmallDaemonStaysSmall(t *testing.T) {
	greeter := goList(t, "./examples/greeter")[module+"examples/greeter"]
	require.Contains(t, greeter.deps, module+"mgr")
	require.Contains(t, greeter.deps, module+"transport/unix")
	for _, heavy := range []string{"net/http", "crypto/tls", "github.com/quic-go", "github.com/gorilla", "github.com/BurntSushi", "github.com/spf13", "github.com/prometheus"} {
		bad := anyOf(greeter.deps, func(dep string) bool { return below(dep, heavy) })
		require.Empty(t, bad, "a daemon that embeds only mgr and transport/unix links %s, which it has no use for", bad)
	}
}
