package client_test

import (
	"context"
	"testing"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

type point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

func TestCall(t *testing.T) {
	c := dial(t, daemon(t, mgr.Limits{},
		mgr.Func("mirror", "", mgr.Read, func(_ context.Context, in point) (point, error) { return point{in.Y, in.X}, nil }),
		mgr.Func("empty", "", mgr.Read, func(context.Context, mgr.None) (mgr.Result[*point], error) {
			return mgr.Result[*point]{Code: wire.CodeEmpty, Text: "none"}, nil
		}),
		mgr.Func("nothing", "", mgr.Read, func(context.Context, mgr.None) (mgr.None, error) { return mgr.None{}, nil }),
		mgr.Func("newer", "", mgr.Read, func(context.Context, mgr.None) (map[string]int, error) {
			return map[string]int{"x": 1, "y": 2, "z": 3}, nil
		})))
	ctx := t.Context()

	for _, arguments := range []any{point{1, 2}, map[string]int{"x": 1, "y": 2}, wire.Value(`{"x":1,"y":2}`)} {
		got, err := client.Call[point](ctx, c, "mirror", arguments)
		require.NoError(t, err)
		require.Equal(t, point{2, 1}, got)
	}
	got, err := client.Call[point](ctx, c, "newer", nil)
	require.NoError(t, err)
	require.Equal(t, point{1, 2}, got)
	_, err = client.Call[mgr.None](ctx, c, "nothing", nil)
	require.NoError(t, err)
	none, err := client.Call[*point](ctx, c, "empty", nil)
	require.NoError(t, err)
	require.Nil(t, none)

	_, err = client.Call[point](ctx, c, "mirror", map[string]any{"x": "1"})
	var failed *wire.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, &wire.Error{
		Code: wire.CodeError, Word: "bad-arguments", Text: "Missing mandatory 'y' parameter. (and 1 more)",
		Fields: []wire.Field{
			{Pointer: "/y", Text: "Missing mandatory 'y' parameter."},
			{Pointer: "/x", Text: "'x' parameter expected to be an integer."},
		},
	}, failed)
	_, err = client.Call[point](ctx, c, "sing", nil)
	require.ErrorIs(t, err, &wire.Error{Code: wire.CodeUnsupported})
	_, err = client.Call[string](ctx, c, "mirror", point{1, 2})
	require.Error(t, err, "it is no text")
	_, err = client.Call[string](ctx, c, "mirror", make(chan int))
	require.ErrorContains(t, err, "the arguments: ")
}
