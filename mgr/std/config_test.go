package std_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// A box is a Configurable that keeps one text.
type box struct {
	text, hash string
	draining   int
}

func (b *box) Schema() *schema.Schema { return nil }
func (b *box) Shown() any             { return wire.Value(b.text) }
func (b *box) Hash() (string, error)  { return b.hash, nil }

func (b *box) Test(_ context.Context, section wire.Value) error {
	if string(section) == `{"BOGUS":1}` {
		return errors.New("unsupported global configuration parameter: BOGUS")
	}
	return nil
}

func (b *box) Set(ctx context.Context, section wire.Value, how std.Change) (std.Applied, error) {
	if how.IfHash != "" && how.IfHash != b.hash {
		return std.Applied{}, std.ErrChanged
	}
	if err := b.Test(ctx, section); err != nil {
		return std.Applied{}, err
	}
	b.text, b.hash = string(section), b.hash+"1"
	return std.Applied{Hash: b.hash, Draining: b.draining}, nil
}

func (b *box) Reload(_ context.Context, how std.Change) (std.Applied, error) {
	if how.IfHash != "" && how.IfHash != b.hash {
		return std.Applied{}, std.ErrChanged
	}
	return std.Applied{Hash: b.hash, Draining: b.draining}, nil
}

func (b *box) Write(_ context.Context, name string) (std.Written, error) {
	if name != "" {
		return std.Written{}, errors.New("Error during config-write: not allowed to write config into " + name)
	}
	return std.Written{Filename: "/etc/kea.conf", Size: 7}, nil
}

// The commands have Kea's texts (contract, A.6 and A.7), apart from the texts of defects in the configuration,
// and a message without a map, for which Kea returns the text of an internal exception.
func TestConfigurationCommandsHaveKeasTexts(t *testing.T) {
	d := start(t, nil, std.Configuration("Dhcp4", &box{text: "{}", hash: "0"})...)
	for _, test := range []struct {
		request   string
		code      wire.Code
		text      string
		arguments string
	}{
		{`{"command":"config-test"}`, 1, "Missing mandatory 'arguments' parameter.", ""},
		{`{"command":"config-test","arguments":[1]}`, 1, "invalid command 'config-test': expected 'arguments' to be a map, got list instead", ""},
		{`{"command":"config-test","arguments":"x"}`, 1, "invalid command 'config-test': expected 'arguments' to be a map, got string instead", ""},
		{`{"command":"config-set","arguments":null}`, 1, "invalid command 'config-set': expected 'arguments' to be a map, got null instead", ""},
		{`{"command":"config-test","arguments":{}}`, 1, "Missing mandatory 'Dhcp4' parameter.", ""},
		{`{"command":"config-test","arguments":{"Dhcp6":{}}}`, 1, "Missing mandatory 'Dhcp4' parameter.", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":1}}`, 1, "'Dhcp4' parameter expected to be a map.", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{},"X":{}}}`, 1, "Unsupported 'X' parameter.", ""},
		{`{"command":"config-test","arguments":{"A":1,"Dhcp4":1}}`, 1, "'Dhcp4' parameter expected to be a map.", ""},
		{`{"command":"config-test","arguments":{"A":1}}`, 1, "Missing mandatory 'Dhcp4' parameter.", ""},
		{`{"command":"config-set","arguments":{"Z":1,"Dhcp4":{},"Y":{},"X":[]}}`, 1, "Unsupported 'X' parameter (and 'Y') (and 'Z').", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{},"hash":"0"}}`, 0, "Configuration seems sane. Listeners, hook libraries and files were tried, but not applied.", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{},"hash":"9"}}`, 4, "the configuration is not the one with the hash that was given; get it again", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{},"if-hash":"0"}}`, 1, "Unsupported 'if-hash' parameter.", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{"BOGUS":1}}}`, 1, "unsupported global configuration parameter: BOGUS", ""},
		{`{"command":"config-test","arguments":{"Dhcp4":{}}}`, 0, "Configuration seems sane. Listeners, hook libraries and files were tried, but not applied.", ""},
		{`{"command":"config-set"}`, 1, "Missing mandatory 'arguments' parameter.", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"BOGUS":1}}}`, 1, "unsupported global configuration parameter: BOGUS", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":7}}`, 1, "'if-hash' parameter expected to be a string.", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":"9"}}`, 4, "the configuration is not the one with the hash that was given; get it again", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":"0"}}`, 0, "Configuration successful.", `{"hash":"01"}`},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":"0"}}`, 4, "the configuration is not the one with the hash that was given; get it again", ""},
		{`{"command":"config-get","arguments":{"x":1}}`, 0, "", `{"Dhcp4":{"a":1},"hash":"01"}`},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":"0"}}`, 4, "the configuration is not the one with the hash that was given; get it again", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":"01","if-hash":"0"}}`, 1, "'hash' parameter is another hash than 'if-hash'", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":""}}`, 1, "'hash' parameter is empty; give the hash that config-get returns, or leave it out", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":null}}`, 1, "'hash' parameter expected to be a string.", ""},
		{`{"command":"config-hash-get"}`, 0, "", `{"hash":"01"}`},
		{`{"command":"config-reload"}`, 0, "Configuration successful.", `{"hash":"01"}`},
		{`{"command":"config-reload","arguments":{"x":1}}`, 0, "Configuration successful.", `{"hash":"01"}`},
		{`{"command":"config-reload","arguments":"x"}`, 0, "Configuration successful.", `{"hash":"01"}`},
		{`{"command":"config-reload","arguments":{"if-hash":"0"}}`, 4, "the configuration is not the one with the hash that was given; get it again", ""},
		{`{"command":"config-reload","arguments":{"if-hash":0}}`, 1, "'if-hash' parameter expected to be a string.", ""},
		{`{"command":"config-reload","arguments":{"if-hash":null}}`, 1, "'if-hash' parameter expected to be a string.", ""},
		{`{"command":"config-reload","arguments":{"if-hash":""}}`, 1, "'if-hash' parameter is empty; give the hash that config-get returns, or leave it out", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":""}}`, 1, "'if-hash' parameter is empty; give the hash that config-get returns, or leave it out", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"if-hash":null}}`, 1, "'if-hash' parameter expected to be a string.", ""},
		{`{"command":"config-reload","arguments":{"force":null}}`, 1, "'force' parameter expected to be a boolean.", ""},
		{`{"command":"config-reload","arguments":{"hash":"0"}}`, 0, "Configuration successful.", `{"hash":"01"}`},
		{`{"command":"config-reload","arguments":{"force":"yes"}}`, 1, "'force' parameter expected to be a boolean.", ""},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":"01"}}`, 0, "Configuration successful.", `{"hash":"011"}`},
		{`{"command":"config-set","arguments":{"Dhcp4":{"a":1},"hash":"011","if-hash":"011"}}`, 0, "Configuration successful.", `{"hash":"0111"}`},
		{`{"command":"config-write"}`, 0, "Configuration written to /etc/kea.conf successful", `{"filename":"/etc/kea.conf","size":7}`},
		{`{"command":"config-write","arguments":{"filename":5}}`, 1, "passed parameter 'filename' is not a string", ""},
		{`{"command":"config-write","arguments":"x"}`, 1, "Argument must be a map", ""},
		{`{"command":"config-write","arguments":{"filename":"/nonexistent/x.json"}}`, 1, "Error during config-write: not allowed to write config into /nonexistent/x.json", ""},
	} {
		reply, arguments := d.ask(test.request)
		require.Equal(t, test.code, reply.Code, test.request)
		require.Equal(t, test.text, reply.Text, test.request)
		if test.arguments != "" {
			require.JSONEq(t, test.arguments, arguments, test.request)
		}
	}
}

// The reply says how many conns are drained, where there are some. Kea's clients read the hash only.
func TestReplyToAChangeSaysHowManyConnsAreDrained(t *testing.T) {
	for draining, want := range map[int][2]string{
		0: {"Configuration successful.", `{"hash":"0"}`},
		1: {"Configuration successful. 1 conn of a removed listener is drained.", `{"hash":"0","draining":1}`},
		3: {"Configuration successful. 3 conns of removed listeners are drained.", `{"hash":"0","draining":3}`},
	} {
		d := start(t, nil, std.Configuration("Dhcp4", &box{text: "{}", hash: "0", draining: draining})...)
		reply, arguments := d.ask(`{"command":"config-reload"}`)
		require.Equal(t, want[0], reply.Text)
		require.JSONEq(t, want[1], arguments)
	}
}
