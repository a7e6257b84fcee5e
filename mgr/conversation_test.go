package mgr_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/alltransports"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// TestConversations runs the files in testdata/conversations. They specify the frames that a client and the daemon exchange
// on one conn. After the prose and a line "-- conversation --", each line is one of
//
//	> {"command":"count"}   the client sends this and a newline
//	> "{\"comm"             the same for any bytes, in Go's quotes, without the newline
//	< {"result":0}          the daemon sends this line, compared as JSON; "*" stands for any value,
//	                        and, as the name of a member, for any other members
//	<= { "result": 0 }      the daemon sends this line, compared byte by byte
//	<* {"result":0}         the same as <, but such lines that follow each other come in any order
//	half-close              the client closes its writing side
//	wait 10s                time passes
//	open                    the daemon sends nothing now, and has not closed the conn
//	eof                     the daemon closes the conn
//
// A reply without an id must have Kea's spelling, and a reply with one must be compact.
//
// Every file runs over the pipe in virtual time. Unless its prose has the line "Time: virtual", it also runs over every
// transport that supports its lines. With -update a "<" line is replaced with the reply that came.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	env := alltransports.New(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		prose, script, ok := strings.Cut(string(text), "-- conversation --\n")
		require.True(t, ok, file)
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name+"/pipe", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
				seen := runScript(t, d.dial(), script, true)
				if *update {
					require.NoError(t, os.WriteFile(file, []byte(prose+"-- conversation --\n"+seen), 0o644))
				}
			})
		})
		if strings.Contains(prose, "Time: virtual\n") {
			continue
		}
		for _, tc := range env.Cases() {
			if !canRun(tc, script) {
				continue
			}
			t.Run(name+"/"+tc.Name, func(t *testing.T) {
				d := start(t, &mgr.Options{Authorizer: allowAll{}}, newTestCommands().commands()...)
				l, err := d.Open(t.Context(), tc.Listen(t, alltransports.Limits{}))
				require.NoError(t, err)
				runScript(t, dialTransport(t, tc, l.Addr(), env.Client), script, false)
			})
		}
	}
}

// canRun reports whether a transport supports all lines of a script.
func canRun(tc alltransports.Case, script string) bool {
	unanswered := 0
	for line := range strings.Lines(script) {
		switch {
		case strings.HasPrefix(line, `> "`) && tc.Raw == nil, line == "half-close\n" && !tc.HalfClose:
			return false
		case strings.HasPrefix(line, ">"):
			unanswered += strings.Count(line, `"command"`)
		case strings.HasPrefix(line, "<"):
			unanswered--
		}
		if tc.OneShot && (unanswered > 1 || strings.Contains(line, `"cancel"`)) { // several requests on one conn
			return false
		}
	}
	return true
}

// A conversationClient is the client's end of a conn.
type conversationClient interface {
	send(text string)
	receiveLine() string
	closeWrite()
	requireEOF()
	requireSilence()
	close()
}

// runScript runs the client's part, and returns the script with the replies that came.
func runScript(t *testing.T, c conversationClient, script string, virtual bool) (seen string) {
	defer c.close()
	var some []string // expected lines that may come in any order
	lines := strings.SplitAfter(script, "\n")
	for i, line := range lines {
		verb, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out := line
		switch verb {
		case "", "#":
		case ">":
			if text, err := strconv.Unquote(rest); err == nil {
				c.send(text)
			} else {
				c.send(rest + "\n")
			}
		case "<":
			out = verb + " " + matchLine(t, c.receiveLine(), []string{rest}, new(int)) + "\n"
		case "<=":
			came := c.receiveLine()
			requireSpelling(t, came)
			if !*update {
				require.Equal(t, rest, came)
			}
			out = verb + " " + came + "\n"
		case "<*":
			some = append(some, rest)
			if strings.HasPrefix(lines[min(i+1, len(lines)-1)], "<*") {
				continue
			}
			out = ""
			for len(some) > 0 {
				var which int
				out += verb + " " + matchLine(t, c.receiveLine(), some, &which) + "\n"
				some = slices.Delete(some, which, which+1)
			}
		case "half-close":
			c.closeWrite()
		case "wait":
			pause, err := time.ParseDuration(rest)
			require.NoError(t, err)
			time.Sleep(pause)
		case "open":
			if virtual {
				c.requireSilence()
			}
		case "eof":
			c.requireEOF()
		default:
			require.Fail(t, "no such line", line)
		}
		seen += out
	}
	return seen
}

// matchLine looks for the reply among the expected lines, and returns the line for the script.
func matchLine(t *testing.T, came string, expected []string, which *int) string {
	t.Helper()
	requireSpelling(t, came)
	for i, line := range expected {
		if matches(decode(t, line), decode(t, came)) {
			*which = i
			return line
		}
	}
	if !*update {
		require.Fail(t, "unexpected reply", "got  %s\nwant %s", came, strings.Join(expected, "\n or  "))
	}
	return came
}

// requireSpelling checks the spelling of a reply.
func requireSpelling(t *testing.T, line string) {
	t.Helper()
	var reply struct {
		ID any `json:"id"`
	}
	if line == "" && *update {
		return
	}
	require.NoError(t, json.Unmarshal([]byte(line), &reply), line)
	if reply.ID == nil {
		require.Equal(t, string(wire.AppendKea(nil, []byte(line))), line)
		require.GreaterOrEqual(t, len(line), 15, "Ansible's module takes it for no reply")
		return
	}
	compact := jsontext.Value(line)
	require.NoError(t, compact.Compact(jsontext.PreserveRawStrings(true)))
	require.Equal(t, string(compact), line)
}

func decode(t *testing.T, line string) (v any) {
	t.Helper()
	if line == "" && *update {
		return nil
	}
	require.NoError(t, json.Unmarshal([]byte(line), &v), line)
	return v
}

// matches compares JSON values; "*" is any value.
func matches(want, got any) bool {
	switch want := want.(type) {
	case string:
		return want == "*" || want == got
	case map[string]any:
		m, ok := got.(map[string]any)
		_, more := want["*"]
		if !ok || len(m) != len(want) && !more {
			return false
		}
		for name := range want {
			if name == "*" {
				continue
			}
			if v, ok := m[name]; !ok || !matches(want[name], v) {
				return false
			}
		}
		return true
	case []any:
		l, ok := got.([]any)
		if !ok || len(l) != len(want) {
			return false
		}
		for i := range want {
			if !matches(want[i], l[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}
