package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/transport/tcp"
	"github.com/rudderpost/rudderpost/transport/tlsconf"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// The steps of a change of the configuration.
var steps = []string{
	"before parse", "before state", "after state", "before log", "after log", "before audit", "after audit", "before identity", "after identity",
	"before listen", "after listen", "before metrics", "after metrics", "before hooks", "after hooks", "before swap",
	"after swap", "before close", "after close",
}

// swapped is the first step at which the new configuration is in force.
var swapped = slices.Index(steps, "after swap")

// A changer is a way to change the configuration of a daemon from the old one of a pair to the new one.
type changer struct {
	name string
	file bool // it reads the file
	give func(p *process, both pair) error
}

var changers = []changer{
	{"config-reload", true, func(p *process, _ pair) error { return p.tell("config-reload", "") }},
	{"config-set", false, func(p *process, both pair) error { return p.tell("config-set", both.onTheWire) }},
	{"SIGHUP", true, func(p *process, _ pair) error {
		before := len(p.Err.String())
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		var said string
		testkit.Eventually(p.t, func() bool {
			select {
			case <-p.Ended:
				return true
			default:
			}
			said = p.Err.String()[before:]
			return strings.Contains(said, "has been read again") || strings.Contains(said, "stays as it was") && strings.HasSuffix(said, "\n")
		}, "nothing comes of SIGHUP")
		if !strings.Contains(said, "has been read again") {
			return fmt.Errorf("%s", said)
		}
		return nil
	}},
}

// notify gives a command. The error says why there is no reply, or what is wrong.
func (p *process) tell(command, arguments string) error {
	request := wire.Request{Command: command}
	if arguments != "" {
		request.Arguments = wire.Value(arguments)
	}
	reply, err := client.Do(p.t.Context(), &unix.Transport{Path: p.listening()}, request)
	if err == nil {
		err = reply.Err()
	}
	return err
}

// effects is what comes of a configuration, apart from what the daemon says of it: its ceilings, its limits,
// how it logs, whom it lets in where.
func (p *process) effects(both pair) string {
	p.t.Helper()
	var all []string
	id := tlsconf.ClientFrom(filepath.Join(p.Dir, "run", "pki"), "")
	reply, err := client.Do(p.t.Context(), &tcp.Transport{Address: both.kept, Client: id}, wire.Request{Command: "statistic-reset-all"})
	require.NoError(p.t, err)
	all = append(all, "a write: "+reply.Code.String())
	all = append(all, "a long frame: "+fmt.Sprint(strings.Contains(p.say(`{"command":"version-get","arguments":"`+strings.Repeat("x", 100<<10)+`"}`), "max-frame")))
	for _, address := range []string{both.kept, both.gone, both.added} {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		all = append(all, fmt.Sprint(address, ": ", err == nil))
	}
	before := len(p.Err.String())
	p.give("build-report", "")
	testkit.Eventually(p.t, func() bool {
		for line := range strings.Lines(p.Err.String()[before:]) {
			if strings.Contains(line, "build-report") && strings.HasSuffix(line, "\n") {
				all = append(all, "the log: "+line[:1])
				return true
			}
		}
		return false
	}, "nothing is logged")
	return strings.Join(all, "\n")
}

// hooksIn waits until so many of the hooks in a folder run.
func hooksIn(t *testing.T, dir string, n int) {
	t.Helper()
	testkit.Eventually(t, func() bool { return countHooks(dir) == n }, "a hook is left over, or is gone")
}

// A apply of the configuration that fails at any step leaves everything as it was; one that is cut off by
// the daemon's end leaves a file with which it starts again. Either way it runs wholly the one or wholly
// the other.
func TestFaultsOfAChange(t *testing.T) {
	both := newPair(t)
	fail := filepath.Join(both.dir, "fail")
	begin := func(t *testing.T, file bool) *process {
		p := startIn(t, both.dir, both.old)
		if file {
			writeConfig(t, both.dir, both.new)
		}
		return p
	}
	p := begin(t, false)
	both.onTheWire = `{"Rudderpost":` + p.section(func(section map[string]any) {
		section["log-level"], section["log-format"] = "debug", "json"
		listeners := section["listen"].([]any)
		listeners[1].(map[string]any)["max-access"] = "read"
		listeners[2].(map[string]any)["max-access"] = "write"
		limits := section["limits"].(map[string]any)
		limits["max-rate"], limits["max-frame"] = 5000, "64KiB"
	}) + `}`
	old, effects := p.state(), p.effects(both)
	p.stop()
	for _, by := range changers {
		t.Run(by.name, func(t *testing.T) {
			p := begin(t, by.file)
			require.NoError(t, by.give(p, both))
			p.reachable()
			hooksIn(t, both.dir, 1)
			renewed, renewedEffects := p.state(), p.effects(both)
			require.NotEqual(t, old, renewed)
			require.NotEqual(t, effects, renewedEffects)
			p.stop()

			t.Run("error", func(t *testing.T) {
				p := begin(t, by.file)
				defer os.Remove(fail)
				for _, step := range steps[:swapped] { // as it was, so that one daemon will do for all
					require.NoError(t, os.WriteFile(fail, []byte(step+"=error"), 0o600))
					require.ErrorContains(t, by.give(p, both), "it was told to fail "+step)
					require.Equal(t, old, p.state(), step)
					hooksIn(t, both.dir, 1)
				}
				require.Equal(t, effects, p.effects(both))
				p.reachable()
				require.NoError(t, os.Remove(fail))
				require.NoError(t, by.give(p, both))
				require.Equal(t, renewed, p.state())
				require.Equal(t, renewedEffects, p.effects(both))
				p.stop()
				for _, step := range steps[swapped:] {
					p := begin(t, by.file)
					require.NoError(t, os.WriteFile(fail, []byte(step+"=error"), 0o600))
					require.NoError(t, by.give(p, both), step)
					require.Equal(t, renewed, p.state(), step)
					require.Equal(t, renewedEffects, p.effects(both), step)
					hooksIn(t, both.dir, 1)
					p.stop()
				}
			})
			for _, step := range steps {
				t.Run(step+" kill", func(t *testing.T) {
					p := begin(t, by.file)
					require.NoError(t, os.WriteFile(fail, []byte(step+"=kill"), 0o600))
					require.Error(t, by.give(p, both))
					p.wait()
					hooksIn(t, both.dir, 0)
					require.NoError(t, os.Remove(fail))
					again := start(t, both.dir, nil, "-c", "config.toml")
					again.reachable()
					if by.file {
						require.Equal(t, renewed, again.state())
					} else { // what was not written is gone
						require.Equal(t, old, again.state())
					}
					again.stop()
				})
			}
			hooksIn(t, both.dir, 0)
		})
	}
}
