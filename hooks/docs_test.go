package hooks_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

var transcript = regexp.MustCompile("(?s)```hook\n(.*?)```")

// TestTranscripts plays the hook's and the client's part of each transcript in docs/reference/hooks.md. The daemon's
// part must be the same, byte for byte; … stands for anything.
func TestTranscripts(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/hooks.md")
	require.NoError(t, err)
	found := transcript.FindAllStringSubmatch(string(text), -1)
	require.Len(t, found, 3)
	for _, each := range found {
		lines := strings.Split(strings.TrimSpace(each[1]), "\n")
		synctest.Test(t, func(t *testing.T) { playTranscript(t, lines) })
	}
}

func playTranscript(t *testing.T, lines []string) {
	var a *fakeProcess
	fromDaemon, toDaemon := make(chan string), make(chan string)
	d := start(t, func(s *hooks.Set) {
		s.StopTimeout = 0
		s.StartWith(func(*hooks.Config) (hooks.Process, error) {
			a = newFakeProcess(func(a *fakeProcess) {
				go func() {
					defer close(fromDaemon)
					for {
						line, err := a.stdin.ReadString('\n')
						if err != nil {
							return
						}
						fromDaemon <- line
					}
				}()
				for {
					select {
					case line := <-toDaemon:
						a.send("%s", line)
					case <-a.exited:
						return
					}
				}
			})
			return a, nil
		})
	})
	pipes := pipe.New()
	_, err := d.Open(t.Context(), &mgr.ListenerConfig{Transport: peerTransport{pipes, "uid:1000"}, Name: "local"})
	require.NoError(t, err)
	loaded := make(chan error, 1)
	go func() {
		loaded <- d.load(hooks.Config{Name: "backup", Exec: []string{"/backup"}, Parameters: wire.Value(`{"target": "/srv"}`)})
	}()
	replied := make(chan string, 1)
	for _, line := range lines {
		speaker, what, _ := strings.Cut(line, ":")
		what = strings.TrimSpace(what)
		switch speaker {
		case "daemon":
			parts := strings.Split(what, "…")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			require.Regexp(t, "^"+strings.Join(parts, ".*")+"\n$", <-fromDaemon)
		case "hook":
			toDaemon <- what
			if strings.Contains(what, "introduce") {
				require.NoError(t, <-loaded)
			}
		case "client":
			r, bad := wire.DecodeRequest([]byte(what))
			require.Nil(t, bad)
			go func() {
				reply, err := client.Do(t.Context(), pipes, r)
				if err != nil {
					replied <- err.Error()
					return
				}
				reply.ID = wire.ID{}
				text, _ := wire.AppendReply(nil, reply)
				replied <- string(wire.AppendKea(nil, text))
			}()
		case "reply":
			require.Equal(t, what, <-replied)
		default:
			require.Fail(t, "no such speaker", line)
		}
	}
	a.exit()
	<-fromDaemon
}

// The example in docs/reference/hooks.md is the file of the repository.
func TestDocsShowTheExample(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/hooks.md")
	require.NoError(t, err)
	hello, err := os.ReadFile("../examples/hooks/hello.py")
	require.NoError(t, err)
	require.Contains(t, string(text), "```python\n"+string(hello)+"```")
}
