package mgr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/rudderpost/rudderpost/mgr"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

const canaryBird = "canary-7f3a"

type account struct {
	Name     string     `json:"name"`
	Password mgr.Secret `json:"password"`
	PIN      int        `json:"pin,omitzero" schema:"secret"`
	Keys     []struct {
		Key string `json:"key" schema:"minlen=4,secret"`
	} `json:"keys,omitzero"`
	hidden mgr.Secret
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := mgr.NewSecret(canaryBird)
	require.Equal(t, canaryBird, s.Reveal())
	require.True(t, s.Equal(canaryBird))
	require.False(t, s.Equal(""))
	require.False(t, s.IsZero())
	require.True(t, mgr.Secret{}.IsZero())
	require.Empty(t, mgr.Secret{}.Reveal())

	in := account{Name: "ann", Password: s, hidden: s}
	for _, v := range []any{s, &s, in, &in, []mgr.Secret{s}, map[string]any{"x": s}, struct{ s mgr.Secret }{s}, [1]any{in}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%08.3f"} {
			require.NotContains(t, fmt.Sprintf(verb, v), canaryBird, verb)
			require.NotContains(t, fmt.Sprintf(verb, v), fmt.Sprintf("%x", canaryBird), verb)
		}
		require.NotContains(t, fmt.Sprint(v)+fmt.Sprintln(v), canaryBird)
		require.NotContains(t, fmt.Errorf("%v: %w", v, context.Canceled).Error(), canaryBird)
		one, _ := json.Marshal(v)
		two, _ := jsonv2.Marshal(v)
		require.NotContains(t, string(one)+string(two), canaryBird)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		require.NotContains(t, log.String(), canaryBird)
	}
	require.Equal(t, "***", fmt.Sprint(s))
	text, err := json.Marshal(in)
	require.NoError(t, err)
	require.Equal(t, `{"name":"ann","password":"***"}`, string(text))
	var out account
	require.NoError(t, json.Unmarshal([]byte(`{"password":"`+canaryBird+`"}`), &out))
	require.Equal(t, canaryBird, out.Password.Reveal())
}

// A secret in the arguments is not repeated: not in an error, not in the log, and not in the text of a panic.
func TestSecretArgumentsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got account
		d := start(t, nil,
			mgr.Func("account-add", "", mgr.Write, func(_ context.Context, in account) (account, error) {
				got = in
				return in, nil
			}),
			mgr.Func("account-lose", "", mgr.Write, func(_ context.Context, in account) (mgr.None, error) {
				panic(fmt.Sprintf("lost %+v", in))
			}),
			mgr.Func("account-fail", "", mgr.Write, func(_ context.Context, in account) (mgr.None, error) {
				return mgr.None{}, fmt.Errorf("cannot add %+v", in)
			}))
		r := d.call(`{"command":"account-add","arguments":{"name":"ann","password":"` + canaryBird + `"}}`)
		require.Equal(t, 0, r.Result, r.Text)
		require.Equal(t, canaryBird, got.Password.Reveal())
		said := fmt.Sprint(r)
		for _, request := range []string{
			`{"command":"account-lose","arguments":{"name":"ann","password":"` + canaryBird + `"}}`,
			`{"command":"account-fail","arguments":{"name":"ann","password":"` + canaryBird + `"}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":"` + canaryBird + `","pin":"` + canaryBird + `"}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":["` + canaryBird + `"]}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":{"` + canaryBird + `":1}}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":"","pin":70000000000000000000007}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":"","pin":7.25}}`,
			`{"command":"account-add","arguments":{"name":"ann","password":"","keys":[{"key":"can"}]}}`,
			`{"command":"account-add","arguments":"` + canaryBird + `"}`,
		} {
			r := d.call(request)
			require.NotZero(t, r.Result, request)
			said += fmt.Sprint(r)
		}
		synctest.Wait()
		for _, where := range []string{said, d.log.String()} {
			for _, secret := range []string{canaryBird, "70000000000000000000007", "7.25", `"can"`} {
				require.NotContains(t, where, secret)
			}
		}
		about := fmt.Sprint(d.call(`{"command":"describe-command","arguments":{"command":"account-add"}}`).Arguments)
		require.Contains(t, about, "password:map[type:string writeOnly:true]")
		require.Contains(t, about, "pin:map[type:integer writeOnly:true]")
	})
}
