package audit_test

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/audit"
	"github.com/rudderpost/rudderpost/audit/record"
	"github.com/rudderpost/rudderpost/mgr"

	"github.com/stretchr/testify/require"
)

// A login has secrets at all depths.
type login struct {
	Name     string                `json:"name"`
	Password mgr.Secret            `json:"password"`
	Old      *mgr.Secret           `json:"old,omitzero"`
	Keys     []mgr.Secret          `json:"keys,omitzero"`
	Hosts    map[string]mgr.Secret `json:"hosts,omitzero"`
	Nested   struct {
		Deep []login `json:"deep,omitzero"`
		Port int     `json:"port"`
		Any  any     `json:"any,omitzero"`
	} `json:"nested"`
}

var secretCommand = func() *mgr.Command {
	cmd := mgr.Func("login-set", "Set a login.", mgr.Write, func(context.Context, login) (mgr.None, error) { return mgr.None{}, nil })
	return &cmd
}()

// The file has no secrets, and a digest does not depend on them, so that they cannot be guessed from it.
func TestSecretsAreNeitherInTextNorInDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log := open(t, audit.Options{Path: path, Arguments: audit.Clear, Sync: audit.SyncNone})
	cases := []struct{ arguments, hidden string }{
		{`{"name":"ann","password":"hunter2","nested":{"port":1}}`, `{"name":"ann","password":"***","nested":{"port":1}}`},
		{`{"name":"\u0061nn", "password":"hunter2"}`, `{"name":"\u0061nn","password":"***"}`},
		{`{"old":null,"keys":["hunter2","hunter2"],"hosts":{"a":"hunter2"}}`, `{"old":"***","keys":["***","***"],"hosts":{"a":"***"}}`},
		{`{"nested":{"deep":[{"password":"hunter2"}],"any":{"password":"hunter2"}}}`, `{"nested":{"deep":["***"],"any":"***"}}`},
		{`{"Password":"hunter2","name":["hunter2"],"nested":"hunter2"}`, `{"Password":"***","name":"***","nested":"***"}`},
		{`"hunter2"`, `"***"`},
		{`["hunter2"]`, `"***"`},
		{`{}`, `{}`},
	}
	for _, c := range cases {
		call := newCall(secretCommand, c.arguments)
		require.NoError(t, log.Begin([]*mgr.Call{call}))
		log.End([]mgr.CallResult{{Call: call}})
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "hunter2")
	all := entries(t, path)[1:]
	for i, c := range cases {
		for _, e := range all[2*i : 2*i+2] {
			require.Equal(t, record.Hash(sha256.Sum256([]byte(c.hidden))), e.Digest, c.arguments)
			require.Nil(t, e.Arguments)
		}
	}
}

// Entries have the text of arguments only with the option Clear, and only if no part can be secret.
func TestArgumentsInClear(t *testing.T) {
	long := `{"n":` + strings.Repeat("1", 5000) + `}`
	for name, c := range map[string]struct {
		how       audit.Arguments
		cmd       *mgr.Command
		arguments string
		want      string
	}{
		"wanted":              {audit.Clear, commands[1], " {\n\"n\": 1}", `{"n":1}`},
		"a name":              {audit.Clear, commands[1], "{\"\u202e\":1}", `{"\u202e":1}`},
		"not wanted":          {audit.Digest, commands[1], `{"n":1}`, ""},
		"not described":       {audit.Clear, commands[2], `{"n":1}`, ""},
		"no such command":     {audit.Clear, nil, `{"n":1}`, ""},
		"a secret":            {audit.Clear, secretCommand, `{"name":"ann"}`, ""},
		"too long":            {audit.Clear, commands[1], long, ""},
		"very long":           {audit.Clear, commands[1], `{"n":"` + strings.Repeat(" ", 100<<10) + `"}`, ""},
		"long by white space": {audit.Clear, commands[1], `{"n":` + strings.Repeat(" ", 5000) + `1}`, `{"n":1}`},
		"null":                {audit.Clear, commands[1], `null`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			log := open(t, audit.Options{Path: path, Arguments: c.how})
			log.End([]mgr.CallResult{{Call: newCall(c.cmd, c.arguments)}, {Call: newCall(c.cmd, "")}})
			all := entries(t, path)
			require.Equal(t, c.want, string(all[1].Arguments))
			if c.cmd != secretCommand {
				require.Equal(t, record.Hash(sha256.Sum256([]byte(c.arguments))), all[1].Digest)
			}
			require.Nil(t, all[2].Arguments)
			require.True(t, all[2].Digest.IsZero())
		})
	}
}
