package mgr_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// Long replies without an id have Kea's spelling on every transport, also with arguments that are encoded already. Encoded
// arguments of more than 64 KiB keep their spelling. A reply with an id is compact.
func TestLongRepliesHaveKeaSpelling(t *testing.T) {
	type long struct {
		B string `json:"b"`
		A []int  `json:"a"`
	}
	var commands []mgr.Command
	sizes := map[string]int{"short": 100, "parts": 40 << 10, "kept": 65 << 10, "longer": 1 << 20}
	value := func(name string) long { return long{strings.Repeat("x", sizes[name]), []int{1, 2}} }
	for name := range sizes {
		raw, err := wire.Encode(value(name))
		require.NoError(t, err)
		commands = append(commands,
			mgr.Func(name+"-raw", "", mgr.Read, func(context.Context, mgr.None) (wire.Reply, error) {
				return wire.Reply{Text: "z", Arguments: raw}, nil
			}),
			mgr.Func(name+"-value", "", mgr.Read, func(context.Context, mgr.None) (mgr.Result[long], error) {
				return mgr.Result[long]{Text: "z", Arguments: value(name)}, nil
			}),
			mgr.Func(name+"-failed", "", mgr.Read, func(context.Context, mgr.None) (wire.Reply, error) {
				return wire.Reply{Code: 4, Text: "z", Arguments: raw}, nil
			}))
	}
	env := alltransports.New(t)
	for _, tc := range env.Cases() {
		t.Run(tc.Name, func(t *testing.T) {
			d := start(t, &mgr.Options{Authorizer: allowAll{}}, commands...)
			l, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
			require.NoError(t, err)
			ask := func(request string) string {
				c := dialTransport(t, tc, l.Addr(), env.Client)
				defer c.close()
				c.send(request)
				return c.receiveLine()
			}
			for name := range sizes {
				b := strings.Repeat("x", sizes[name])
				compact, spelled := `{"b":"`+b+`","a":[1,2]}`, `{ "a": [ 1, 2 ], "b": "`+b+`" }`
				require.Equal(t, `{ "arguments": `+spelled+`, "result": 0, "text": "z" }`, ask(`{"command":"`+name+`-value"}`), name)
				require.Equal(t, `{ "error": { "code": "conflict", "data": `+spelled+` }, "result": 4, "text": "z" }`, ask(`{"command":"`+name+`-failed"}`), name)
				require.Equal(t, `{"id":7,"result":0,"text":"z","arguments":`+compact+`}`, ask(`{"command":"`+name+`-raw","id":7}`), name)
				if name == "kept" || name == "longer" {
					spelled = compact
				}
				require.Equal(t, `{ "arguments": `+spelled+`, "result": 0, "text": "z" }`, ask(`{"command":"`+name+`-raw"}`), name)
			}
		})
	}
}

// A reply is compact until it is written: the loop, which makes it, does not spell it.
func TestReplyWaitsCompactUntilItIsWritten(t *testing.T) {
	const compact, spelled = `{"result":0,"arguments":{"b":1,"a":2}}`, `{ "arguments": { "a": 2, "b": 1 }, "result": 0 }`
	d := start(t, nil)
	waits, written := d.ReplyStates(wire.Reply{Arguments: wire.Value(`{"b":1,"a":2}`)})
	require.Equal(t, compact, waits.Text)
	require.Zero(t, waits.Buffered)
	require.Equal(t, spelled, written.Text)
	require.Zero(t, written.Buffered, "bytes that are booked are those that are freed")

	for _, n := range []int{20 << 10, 64<<10 - 2, 64<<10 - 1, 1 << 20} { // in parts
		raw, err := wire.Encode(strings.Repeat("x", n))
		require.NoError(t, err)
		waits, written = d.ReplyStates(wire.Reply{Arguments: raw})
		require.Equal(t, `{"result":0,"arguments":`+raw.String()+`}`, waits.Text)
		require.Zero(t, waits.Buffered)
		require.Equal(t, `{ "arguments": `+raw.String()+`, "result": 0 }`, written.Text)
		require.Zero(t, written.Buffered)
		require.Equal(t, n > 64<<10-2, written.InParts)
	}
}

// The reply to a refused conn has Kea's spelling, like the reply to a request without an id.
func TestRefusedConnGetsReplyInKeaSpelling(t *testing.T) {
	d := start(t, &mgr.Options{Authorizer: allowAll{}, Limits: mgr.Limits{MaxConns: 1}})
	tr := d.openAs(mgr.ListenerConfig{}, subject("user:ann")).tr // an idle conn of the owner would be closed
	first, err := tr.Dial(t.Context())
	require.NoError(t, err)
	defer first.Close()
	require.NoError(t, first.Send(t.Context(), []byte(`{"command":"whoami","id":1}`)))
	_, err = first.Receive(t.Context(), nil)
	require.NoError(t, err)
	second, err := tr.Dial(t.Context())
	require.NoError(t, err)
	defer second.Close()
	reply, err := second.Receive(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(reply, []byte(`{ "error": { "code": "too-many-conns" }, "result": 503, "text": "`)), string(reply))
}
