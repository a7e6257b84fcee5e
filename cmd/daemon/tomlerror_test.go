package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The texts of the TOML library would name Go types.
func TestWrongTypeErrorSaysWhatToWrite(t *testing.T) {
	const (
		table    = "transport = \"unix\"\npath = \"a\"\n"
		brackets = "write [[listen]], with two brackets, once for each listener"
		octal    = "FILE:5: listen.mode: write it as a string, in quotes: mode = \"0660\""
	)
	for _, c := range []struct{ name, config, want string }{
		{"one bracket", "# it\n[listen]\n" + table, "FILE:2: listen: " + brackets},
		{"one bracket of a subtable only", "\n[listen.unix]\npath = \"a\"\n", "FILE:2: listen: " + brackets},
		{"one bracket, then two", "[listen]\n" + table + "[[listen]]\n" + table, "FILE:1: listen: " + brackets},
		{"two brackets, then one", "[[listen]]\n" + table + "[listen]\n" + table, "FILE:4: listen: " + brackets},
		{"an inline table", "listen = {transport = \"unix\", path = \"a\"}\n", "FILE:1: listen: " + brackets},
		{"a string for a table", "listen = \"a\"\n", "FILE:1: listen: " + brackets},
		{"a list of strings", "listen = [\"a\"]\n", "FILE:1: listen: " + brackets},
		{"role", oneSocket + "[role]\nname = \"a\"\n", "FILE:5: role: write [[role]], with two brackets, once for each role"},
		{"principal", oneSocket + "[principal]\nrole = \"a\"\n", "FILE:5: principal: write [[principal]], with two brackets, once for each principal"},
		{"hook", oneSocket + "[hook]\nname = \"a\"\n", "FILE:5: hook: write [[hook]], with two brackets, once for each hook"},
		{"two brackets of one", oneSocket + "[[limits]]\nmax-rate = 1\n", "FILE:5: limits: write [limits], with one bracket, and its keys below it"},
		{"a number for a table", "access = 1\n" + oneSocket, "FILE:1: access: write [access], with one bracket, and its keys below it"},
		{"mode 0660", oneSocket + "mode = 0660\n", octal},
		{"mode 660", oneSocket + "mode = 660 # group\n", octal},
		{"mode 0o660", oneSocket + "mode = 0o660\n", octal},
		{"mode 0640", oneSocket + "mode=0640\n", strings.Replace(octal, "0660", "0640", 1)},
		{"mode of no octal digits", oneSocket + "mode = 980\n", octal},
		{"mode true", oneSocket + "mode = true\n", octal},
		{"mode of an inline table", "listen = [{transport = \"unix\", path = \"a\", mode = 0640}]\n", "FILE:1: listen.mode: write it as a string, in quotes: mode = \"0640\""},
		{"a group's number", oneSocket + "group = 27\n", "FILE:5: listen.group: write it as a string, in quotes: group = \"27\""},
		{"a list for a string", oneSocket + "group = [\"adm\"]\n", "FILE:5: listen.group: write it as a string, in quotes"},
		{"a string for a list", oneSocket + "allow-hosts = \"a\"\n", "FILE:5: listen.allow-hosts: write a list, in brackets: allow-hosts = [ … ]"},
		{"a string for a boolean", oneSocket + "[access]\nowner = \"yes\"\n", "FILE:6: access.owner: write true or false, without quotes"},
		{"a fraction", "config-backups = 1.5\n" + oneSocket, "FILE:1: config-backups: write a whole number, without quotes"},
		{"leading zeroes", "config-backups = 010\n" + oneSocket, "FILE:1: config-backups: write the number without leading zeroes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, t.TempDir(), c.config)
			status, _, stderr := runCheck(file)
			require.Equal(t, 1, status)
			require.Equal(t, "rudderpostd: "+c.want+"\n", strings.ReplaceAll(stderr, file, "FILE"))
		})
	}
}
