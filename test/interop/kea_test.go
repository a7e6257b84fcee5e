package interop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/internal/testkit"
	"github.com/rudderpost/rudderpost/internal/testkit/testdaemon"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/mgr/schema"
	"github.com/rudderpost/rudderpost/mgr/std"
	"github.com/rudderpost/rudderpost/transport/pipe"
	"github.com/rudderpost/rudderpost/transport/unix"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

// Replays transcripts of Kea's UNIX socket: those that depend on time over a pipe in virtual time, the others over a UNIX
// socket. testdata/kea/README.md describes their format.
func TestRepliesMatchTranscriptsOfKea(t *testing.T) {
	path := filepath.Join(testkit.ShortDir(t), "kea.sock")
	testdaemon.Serve(t, keaDaemon(t), &unix.Transport{Path: path})
	counts := map[string]map[string]int{}
	for _, file := range []string{"a1.txt", "a2.txt", "a3.txt", "a4.txt", "a5.txt", "a6.txt"} {
		counts[file] = map[string]int{}
		rows := keaRows(t, filepath.Join("testdata", "kea", file))
		for _, row := range rows {
			counts[file]["rows"]++
			counts[file][row.verdict]++
			t.Run(row.name, func(t *testing.T) {
				switch {
				case row.verdict == "not ours":
					require.NotEmpty(t, row.why)
				case file == "a5.txt":
					synctest.Test(t, func(t *testing.T) {
						place := pipe.New()
						stop := testdaemon.Serve(t, keaDaemon(t), place)
						conn, err := place.DialBytes(t.Context())
						require.NoError(t, err)
						row.replay(t, conn)
						require.NoError(t, stop())
					})
				default:
					row.replay(t, testdaemon.DialRaw(t, path))
				}
			})
		}
	}
	checkKeaCounts(t, counts)
}

// keaDaemon returns the manager of the rows.
func keaDaemon(t *testing.T) *mgr.CommandMgr {
	t.Helper()
	stats := std.NewStatistics()
	stats.Add("pkt4-received", 0)
	m := mgr.New(&mgr.Options{Logger: slog.New(slog.DiscardHandler), Observer: stats.Observer()})
	started := time.Now()
	require.NoError(t, m.Register(slices.Concat(
		[]mgr.Command{
			std.Version("0.1.0", ""), std.BuildReport(), std.Shutdown(func(int) {}),
			std.StatusGet(func() std.Status { return std.StatusOf(started, started) }),
			mgr.Func("server-tag-get", "Return the server's tag.", mgr.Read, func(context.Context, mgr.None) (map[string]string, error) {
				return map[string]string{"server-tag": ""}, nil
			}, mgr.AnyArguments()),
		},
		std.Configuration("Dhcp4", &keaConfig{section: wire.Value(`{"authoritative":false}`)}),
		std.LogLevel(new(slog.LevelVar)),
		stats.Commands(),
	)...))
	return m
}

// keaConfig is a configuration that accepts every value.
type keaConfig struct{ section wire.Value }

var _ std.Configurable = (*keaConfig)(nil)

func (*keaConfig) Schema() *schema.Schema                 { return nil }
func (c *keaConfig) Shown() any                           { return c.section }
func (c *keaConfig) Hash() (string, error)                { return std.HashConfig("Dhcp4", c.section) }
func (*keaConfig) Test(context.Context, wire.Value) error { return nil }

func (c *keaConfig) Set(ctx context.Context, section wire.Value, _ std.Change) (applied std.Applied, err error) {
	err = mgr.OnLoop(ctx, func() error {
		c.section = section
		applied.Hash, err = c.Hash()
		return err
	})
	return applied, err
}

func (c *keaConfig) Reload(ctx context.Context, how std.Change) (std.Applied, error) {
	return c.Set(ctx, wire.Value(`{"authoritative":false}`), how)
}

func (*keaConfig) Write(_ context.Context, name string) (std.Written, error) {
	return std.Written{Filename: name, Size: 1}, nil
}

// A keaRow is one exchange with Kea.
type keaRow struct {
	name, title string
	steps       []func(t *testing.T, c keaConn)
	keepsOpen   bool
	reply       string // Kea's; "": the stream ended without one
	cut         bool   // the reply was noted in part
	verdict     string // same, shape, differs, not ours
	why         string
	ours        string // our reply, where it differs
}

// A keaConn is a conn of a client that can close its writing half.
type keaConn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// keaRows reads a file of rows.
func keaRows(t *testing.T, path string) []*keaRow {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows []*keaRow
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if strings.HasPrefix(block, "#") {
			continue
		}
		lines := strings.Split(block, "\n")
		row := &keaRow{}
		row.name, row.title, _ = strings.Cut(lines[0], " ")
		var each time.Duration
		for _, line := range lines[1:] {
			word, rest, _ := strings.Cut(line, " ")
			switch {
			case line == "half-close":
				row.steps = append(row.steps, func(t *testing.T, c keaConn) { require.NoError(t, c.CloseWrite()) })
			case line == "keeps-open":
				row.keepsOpen = true
			case word == "pause":
				pause := duration(t, rest)
				row.steps = append(row.steps, func(*testing.T, keaConn) { time.Sleep(pause) })
			case word == "each-byte":
				each = duration(t, rest)
			case word == ">":
				row.steps = append(row.steps, write(keaBytes(t, rest), each))
			case word == "<~":
				row.reply, row.cut = rest, true
			case line == "< (no bytes)":
			case word == "<":
				row.reply = rest
			case word == "=":
				row.ours = rest
			case line == "same", line == "shape":
				row.verdict = line
			case word == "differs":
				row.verdict, row.why = word, rest
				require.Regexp(t, `^(contract §\d|decision \d)`, rest, row.name)
			case strings.HasPrefix(line, "not ours "):
				row.verdict, row.why = "not ours", rest
			default:
				require.Fail(t, "what is this line?", "%s: %s", row.name, line)
			}
		}
		require.NotEmpty(t, row.verdict, row.name)
		require.Equal(t, row.verdict == "differs", row.ours != "", row.name)
		rows = append(rows, row)
	}
	return rows
}

// write writes bytes at once or one by one. It ignores errors, since the daemon may have closed the conn.
func write(b []byte, each time.Duration) func(*testing.T, keaConn) {
	return func(t *testing.T, c keaConn) {
		if each == 0 {
			_, err := c.Write(b)
			require.True(t, err == nil || errors.Is(err, syscall.EPIPE), "%v", err)
			return
		}
		for i := range b {
			if i > 0 {
				time.Sleep(each)
			}
			_, err := c.Write(b[i : i+1])
			require.NoError(t, err)
		}
	}
}

// keaBytes returns the bytes of a line after ">".
func keaBytes(t *testing.T, line string) []byte {
	t.Helper()
	if strings.HasPrefix(line, `"`) {
		return []byte(literals(t, line)[0])
	}
	kind, rest, _ := strings.Cut(line, " ")
	number, rest, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	require.NoError(t, err, line)
	s := literals(t, rest)
	switch {
	case kind == "repeat" && len(s) == 3: // unit, before, behind
		return []byte(s[1] + strings.Repeat(s[0], n) + s[2])
	case kind == "nest" && len(s) == 4: // open, close, before, behind
		return []byte(s[2] + strings.Repeat(s[0], n) + strings.Repeat(s[1], n) + s[3])
	case kind == "nest" && len(s) == 5: // open, close, inside, before, behind
		return []byte(s[3] + strings.Repeat(s[0], n) + s[2] + strings.Repeat(s[1], n) + s[4])
	}
	require.Fail(t, "what is this?", line)
	return nil
}

// literals returns the Go string literals of a line, and ignores the words between them.
func literals(t *testing.T, line string) (texts []string) {
	t.Helper()
	for {
		start := strings.IndexByte(line, '"')
		if start < 0 {
			return texts
		}
		quoted, err := strconv.QuotedPrefix(line[start:])
		require.NoError(t, err, line)
		text, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		texts = append(texts, text)
		line = line[start+len(quoted):]
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// replay sends the bytes of Kea's client, and compares our reply.
func (row *keaRow) replay(t *testing.T, conn keaConn) {
	for _, step := range row.steps {
		step(t, conn)
	}
	last := time.Now()
	if row.keepsOpen {
		row.compare(t, row.readFirst(t, conn))
		write([]byte(`{"command":"server-tag-get"}`), 0)(t, conn)
		require.Equal(t, wire.CodeSuccess, testdaemon.ReadReply(t, conn).Code) // and the end
		require.NoError(t, conn.Close())
		return
	}
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	if silent := time.Since(last); strings.Contains(row.reply, "timed out") && row.name != "A5.07" && strings.HasPrefix(row.name, "A5") {
		require.Equal(t, 10*time.Second, silent)
	}
	require.NoError(t, conn.Close())
	if row.reply == "" {
		require.Empty(t, string(text))
		return
	}
	require.True(t, strings.HasSuffix(string(text), "\n"), "%q", text)
	row.compare(t, text[:len(text)-1])
}

// readFirst reads one reply, without waiting for the end.
func (row *keaRow) readFirst(t *testing.T, conn keaConn) []byte {
	var text []byte
	one := make([]byte, 1)
	for {
		_, err := conn.Read(one)
		require.NoError(t, err)
		if one[0] == '\n' {
			return text
		}
		text = append(text, one[0])
	}
}

func (row *keaRow) compare(t *testing.T, frame []byte) {
	got, err := wire.DecodeReply(frame)
	require.NoError(t, err, "%.300q", frame)
	if row.verdict == "shape" {
		row.compareShape(t, got)
		return
	}
	expected := row.reply
	if row.verdict == "differs" {
		expected = row.ours
	}
	want, err := wire.DecodeReply([]byte(expected))
	require.NoError(t, err)
	require.Equal(t, want.Text, got.Text, "%s", row.title)
	require.Equal(t, want.Code, got.Code, "%s", row.title)
	if row.verdict == "same" && want.Code == wire.CodeSuccess && want.Arguments != nil {
		require.JSONEq(t, string(want.Arguments.(wire.Value)), string(got.Arguments.(wire.Value)))
	}
	if row.verdict == "same" && want.Code == wire.CodeSuccess && want.Arguments == nil {
		require.Nil(t, got.Arguments)
	}
}

var (
	keaArguments = regexp.MustCompile(`^\{ "arguments": (.)`)
	keaResult    = regexp.MustCompile(`"result": (\d+)(, "text": )?`)
)

// compareShape compares the kinds of JSON values. A reply that was noted in part has them at its ends.
func (row *keaRow) compareShape(t *testing.T, got wire.Reply) {
	result := keaResult.FindAllStringSubmatch(row.reply, -1)
	require.NotEmpty(t, result)
	last := result[len(result)-1]
	require.Equal(t, last[1], strconv.Itoa(int(got.Code)))
	if last[2] != "" {
		require.NotEmpty(t, got.Text)
	}
	kind := ""
	if first := keaArguments.FindStringSubmatch(row.reply); first != nil {
		kind = wire.Value(first[1]).Kind()
	}
	if kind == "" {
		require.Nil(t, got.Arguments)
		return
	}
	require.NotNil(t, got.Arguments)
	require.Equal(t, kind, got.Arguments.(wire.Value).Kind())
}

// checkKeaCounts requires that the verdicts are those of the table in the README.
func checkKeaCounts(t *testing.T, counts map[string]map[string]int) {
	t.Helper()
	all := map[string]int{}
	for _, file := range counts {
		for what, n := range file {
			all[what] += n
		}
	}
	counts["all"] = all
	t.Logf("%d rows: %d same, %d shape, %d differ on purpose, %d are not ours",
		all["rows"], all["same"], all["shape"], all["differs"], all["not ours"])
	readme, err := os.ReadFile(filepath.Join("testdata", "kea", "README.md"))
	require.NoError(t, err)
	for name, c := range counts {
		line := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \|[^|]*(\|.*)$`).FindStringSubmatch(string(readme))
		require.NotNil(t, line, name)
		require.Equal(t, fmt.Sprintf("| %d | %d | %d | %d | %d |", c["rows"], c["same"], c["shape"], c["differs"], c["not ours"]), line[1], name)
	}
}
