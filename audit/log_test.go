package audit_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A credential has its text as its subject.
type credential string

func (c credential) Subject() string { return string(c) }

var described = &schema.Schema{Type: "object", Properties: map[string]*schema.Schema{"n": {Type: "integer"}}}

var commands = []*mgr.Command{
	{Name: "lease-get", Level: mgr.Read, Args: described},
	{Name: "lease-add", Level: mgr.Write, Args: described},
	{Name: "shutdown", Level: mgr.Admin},
}

// newCall returns a call as the manager makes it.
func newCall(cmd *mgr.Command, arguments string) *mgr.Call {
	call := &mgr.Call{
		Name: "lease-sell", Command: cmd, Via: &mgr.ListenerConfig{Name: "/run/control.sock"},
		Peer: transport.Peer{Transport: "unix", Session: "unix-7", Creds: []transport.Credential{credential("uid:1000")}},
	}
	if cmd != nil {
		call.Name = cmd.Name
	}
	if arguments != "" {
		call.Arguments = wire.Value(arguments)
	}
	return call
}

// entries returns the entries of a log.
func entries(t *testing.T, path string) []record.Entry {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var all []record.Entry
	for e, err := range record.Read(f) {
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

func open(t *testing.T, o audit.Options) *audit.Log {
	t.Helper()
	log, err := audit.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func TestEntriesHaveOneLineEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		log := open(t, audit.Options{Path: path, Arguments: audit.Clear})

		write := newCall(commands[1], `{"n": 1}`)
		require.NoError(t, log.Begin([]*mgr.Call{write}))
		require.EqualValues(t, 2, write.Record)
		time.Sleep(1500 * time.Microsecond)
		log.End([]mgr.CallResult{{Call: write, Duration: 1500 * time.Microsecond}})
		log.End([]mgr.CallResult{
			{Call: newCall(commands[0], `{"n":2}`), Code: wire.CodeEmpty},
			{Call: newCall(commands[1], ""), Code: wire.CodeForbidden, Duration: 2 * time.Second},
			{Call: newCall(nil, `{"secret":1}`), Code: wire.CodeUnsupported},
		})
		log.Refused(transport.Refusal{
			Transport: "https", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711},
			Claim: transport.Claim{User: "ann", Password: "hunter2"}, Err: transport.ErrWrongCredentials,
		})
		log.Refused(transport.Refusal{Transport: "wss", Claim: transport.Claim{Token: "rpt_hunter2"}, Err: transport.ErrWrongCredentials})
		require.NoError(t, log.Close())

		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(text), "hunter2")
		if *update {
			require.NoError(t, os.WriteFile("testdata/lines.jsonl", text, 0o600))
		}
		golden, err := os.ReadFile("testdata/lines.jsonl")
		require.NoError(t, err)
		require.Equal(t, strings.Split(string(golden), "\n"), strings.Split(string(text), "\n"))
		summary, err := record.Verify(bytes.NewReader(text), nil)
		require.NoError(t, err)
		require.Equal(t, 9, summary.Records)
	})
}

func TestSetChangesTheOptionsOfAnOpenLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, err := audit.Open(audit.Options{Path: path, Sync: audit.SyncNone})
	require.NoError(t, err)
	look := &mgr.Call{Name: "look", Command: &mgr.Command{Name: "look", Level: mgr.Read}, Arguments: wire.Value("{}")}
	count := func() int {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.Count(string(text), `"look"`)
	}
	l.End([]mgr.CallResult{{Call: look}})
	require.Equal(t, 1, count())
	l.Set(audit.Options{NoReads: true, Sync: audit.SyncAll})
	l.End([]mgr.CallResult{{Call: look}})
	require.Equal(t, 1, count())
	l.Set(audit.Options{Sync: 9})
	l.End([]mgr.CallResult{{Call: look}})
	require.Equal(t, 2, count())
	require.NoError(t, l.Close())
}
