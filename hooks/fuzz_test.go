package hooks_test

import (
	"testing"

	"github.com/rudderpost/rudderpost/hooks"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// FuzzUnderstand: each frame of a process is decoded or refused, without a panic. Each registered command can be
// described, and its schema checks any arguments.
func FuzzUnderstand(f *testing.F) {
	for _, frame := range []string{
		`{"introduce":{"commands":[{"name":"a","summary":"","access":"read","arguments":{"type":"object","properties":{"n":{"type":["integer","null"],"enum":[1,2]}},"required":["n"]},"returns":{"type":"string","pattern":"^a"}}]}}`,
		`{"id":1,"result":0,"arguments":[]}`, `{"call":"x","for":1,"command":"c"}`, `{"log":"info","text":""}`, `{"refuse":""}`, `{}`,
	} {
		f.Add([]byte(frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		commands, err := hooks.Understand(frame)
		if err != nil {
			return
		}
		for _, cmd := range commands {
			_, err := json.Marshal(cmd.Args)
			require.NoError(t, err)
			if cmd.Args != nil {
				cmd.Args.Check([]byte(`{"n":1,"a":["",null,1.5]}`))
			}
		}
		m := mgr.New(nil)
		if m.SetLayer(mgr.Layer{Commands: commands}) == nil {
			require.Len(t, m.Commands(), 4+len(commands))
		}
		_ = wire.Value(frame).Valid()
	})
}
