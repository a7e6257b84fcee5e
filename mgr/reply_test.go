package mgr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// returns returns a command whose handler returns out and err.
func returns[Out any](name string, out Out, err error) mgr.Command {
	return mgr.Func(name, "", mgr.Read, func(context.Context, mgr.None) (Out, error) { return out, err })
}

func TestReplyHasResultOfHandler(t *testing.T) {
	raw, err := wire.Encode([]int{1, 2})
	require.NoError(t, err)
	conflict := wire.Errorf(wire.CodeConflict, "", "there is one")
	for _, test := range []struct {
		command mgr.Command
		want    string
	}{
		{returns("a", mgr.None{}, nil), `{"id":7,"result":0}`},
		{returns("a", "text", nil), `{"id":7,"result":0,"arguments":"text"}`},
		{returns("a", raw, nil), `{"id":7,"result":0,"arguments":[1,2]}`},
		{returns("a", wire.Value(` { "a" : 1 } `), nil), `{"id":7,"result":0,"arguments":{"a":1}}`},
		{returns("a", wire.Value(nil), nil), `{"id":7,"result":0}`},
		{returns("a", (*int)(nil), nil), `{"id":7,"result":0,"arguments":null}`},
		{returns("a", map[string]int{"b": 1, "a": 2}, nil), `{"id":7,"result":0,"arguments":{"a":2,"b":1}}`},
		{returns("a", mgr.Result[int]{Code: 1001, Text: "odd", Arguments: 3}, nil), `{"id":7,"result":1001,"text":"odd","error":{"code":"result-1001","data":3}}`},
		{returns("a", mgr.Result[mgr.None]{Text: "done"}, nil), `{"id":7,"result":0,"text":"done"}`},
		{returns("a", mgr.Result[mgr.None]{Code: wire.CodeEmpty}, nil), `{"id":7,"result":3,"text":"empty"}`},
		{returns("a", mgr.Result[int]{Code: wire.CodeEmpty, Text: "none", Arguments: 0}, nil), `{"id":7,"result":3,"text":"none","arguments":0}`},
		{returns("a", wire.Reply{Code: 5, Text: "half", Arguments: true}, nil), `{"id":7,"result":5,"text":"half","error":{"code":"fatal","data":true}}`},
		{returns("a", wire.Reply{ID: wire.IntID(8), More: true}, nil), `{"id":7,"result":0}`},
		{returns("a", "ignored", errors.New("failed")), `{"id":7,"result":1,"text":"failed","error":{"code":"failed"}}`},
		{returns("a", "ignored", errors.New("")), `{"id":7,"result":1,"text":"failed","error":{"code":"failed"}}`},
		{returns("a", 0, fmt.Errorf("wrapped: %w", conflict)), `{"id":7,"result":4,"text":"there is one","error":{"code":"conflict"}}`},
		{returns("a", 0, context.Canceled), `{"id":7,"result":1,"text":"context canceled","error":{"code":"failed"}}`},
		{returns("a", wire.Value(`{`), nil), `{"id":7,"result":500,"text":"internal error; the daemon's log says more","error":{"code":"internal"}}`},
		{returns("a", "bad \xff byte", nil), `{"id":7,"result":0,"arguments":"bad ` + "\ufffd" + ` byte"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := start(t, nil, test.command)
			c := d.dial()
			defer c.close()
			c.send(`{"command":"a","id":7}`)
			require.Equal(t, test.want, c.receiveLine())
		})
	}
}
