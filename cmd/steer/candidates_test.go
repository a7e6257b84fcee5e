package main

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// serveHostile runs a daemon that answers list-commands with names, and describe-command with properties.
func serveHostile(t *testing.T, names []string, properties map[string]any) string {
	t.Helper()
	return serveRaw(t, func(conn net.Conn) {
		request := make([]byte, 4096)
		n, _ := conn.Read(request)
		var arguments any = names
		if strings.Contains(string(request[:n]), "describe-command") {
			arguments = map[string]any{"arguments": map[string]any{"properties": properties}}
		}
		_ = json.NewEncoder(conn).Encode(map[string]any{"result": 0, "arguments": arguments})
	})
}

// No candidate has a character that a shell treats as code, and no description has one that a terminal interprets. The
// scripts of cobra, which older versions installed, get the same candidates.
func TestCompletionPrintsOnlySafeText(t *testing.T) {
	names := []string{"", "-x", "a--b", "a-", "A", "a_b", "é", "a" + strings.Repeat("b", 200), "list-all", "lease4-get", "lease4-get"}
	properties := map[string]any{"Dhcp4": map[string]any{}, "-x": map[string]any{}, "": map[string]any{}, "valid.lft_2": map[string]any{}, "odd": 7}
	enum := []any{"a", "10.0.0.0/8", "a b", "", "é", "=x", 7, 1.5, true, nil, "a"}
	var all strings.Builder
	for c := range rune(0x250) {
		names = append(names, "a"+string(c)+"b", string(c)+"b")
		properties["a"+string(c)+"b"] = map[string]any{"description": "x" + string(c) + "y"}
		enum = append(enum, "a"+string(c)+"b", string(c))
		all.WriteRune(c)
	}
	for _, c := range "\u2028\u202e\u2066\ufeff\U000e0001\u009b" {
		all.WriteRune(c)
	}
	properties["level"] = map[string]any{"enum": enum, "description": all.String() + strings.Repeat("long", 1000)}
	socket := serveHostile(t, names, properties)
	safe := regexp.MustCompile(`^[A-Za-z0-9_./:@+,=-]*(\t[^\x00-\x1f\x7f-\x9f\x{ad}\x{2028}-\x{202e}\x{2066}\x{feff}\x{e0001}]*)?$`)
	for _, words := range [][]string{{""}, {"list-all", ""}, {"list-all", "level="}, {"list-all", "a"}, {"list-all", "level=a"}} {
		candidates := completionLines(t, socket, words...)
		require.NotEmpty(t, candidates)
		for _, line := range candidates {
			require.Regexp(t, safe, line)
			require.LessOrEqual(t, len([]rune(line)), 2*maxCandidateLen+maxDescription)
		}
		for _, shell := range []string{"zsh", "fish"} {
			got := steer(t, "", append([]string{"__offer", shell, "-s", socket}, words...)...)
			require.Zero(t, got.status)
			require.Greater(t, strings.Count(got.stdout, "\n"), 1)
			require.NotRegexp(t, `[^\n\tA-Za-z0-9]`+"[`$();|&<>\"'*?\\[{}~!#^ ]", regexp.MustCompile(`(?m)[\t:].*$`).ReplaceAllString(got.stdout, ""))
		}
		got := steer(t, "", "__offer", "bash", "9", "80", " \t\n\"'@><=;|&(:", "steer -s "+socket+" "+strings.Join(words, " "))
		require.Zero(t, got.status)
		require.Regexp(t, `^(words|nospace)\n([A-Za-z0-9_./:@+,=-]*\n)+$`, got.stdout)
	}
	require.Equal(t, []string{"a-b", "a0b"}, completionLines(t, socket, "")[:2])
	require.Contains(t, completionLines(t, socket, ""), "lease4-get")
	require.Contains(t, completionLines(t, socket, "list-all", ""), "Dhcp4=")
	require.Contains(t, completionLines(t, socket, "list-all", ""), "odd=")
	require.Contains(t, strings.Join(completionLines(t, socket, "list-all", ""), "\n"), "level=10.0.0.0/8\t")
	require.Contains(t, strings.Join(completionLines(t, socket, "list-all", ""), "\n"), "level=1.5\t")
}

// A word that is not the name of a command is not sent to the daemon.
func TestCompletionSendsNoUnsafeName(t *testing.T) {
	asked := make(chan struct{}, 10)
	socket := serveRaw(t, func(net.Conn) { asked <- struct{}{} })
	require.Empty(t, completionLines(t, socket, "$HOME", ""))
	require.Empty(t, asked)
}

// A daemon that lists very many commands does not fill the terminal.
func TestCompletionIsBounded(t *testing.T) {
	var names []string
	for i := range 10 * maxCandidates {
		names = append(names, fmt.Sprint("a", i))
	}
	require.Len(t, completionLines(t, serveHostile(t, names, nil), ""), maxCandidates)
}

// bash replaces only the text after the last word break. Only a list has descriptions.
func TestBashCandidatesFitWordBreaks(t *testing.T) {
	socket := serveHostile(t, []string{"honest", "other"}, map[string]any{
		"level": map[string]any{"description": "How much.", "enum": []string{"debug", "deb:x"}}, "count": map[string]any{},
	})
	const breaks = " \t\n\"'@><=;|&(:"
	complete := func(compType, words string) string {
		got := steer(t, "", "__offer", "bash", compType, "60", breaks, "X=1 steer -s "+socket+" "+words)
		require.Zero(t, got.status, got.stderr)
		return got.stdout
	}
	require.Equal(t, "words\nhonest\nother\n", complete("9", ""))
	require.Equal(t, "words\nhonest\n", complete("9", "h"))
	require.Equal(t, "words\n", complete("9", "x"))
	require.Equal(t, "nospace\ncount=\n", complete("9", "honest c"))
	require.Equal(t, "words\ncount=\nlevel=deb:x\nlevel=debug\n", complete("9", "honest "))
	require.Equal(t, "words\ncount=\nlevel=deb:x  (How much.)\nlevel=debug  (How much.)\n", complete("63", "honest "))
	require.Equal(t, "words\ndeb:x\ndebug\n", complete("9", "honest level=d"))
	require.Equal(t, "words\nx\n", complete("9", "honest level=deb:"))
	require.Equal(t, "words\nlevel=deb:x\nlevel=debug\n", complete("9", "honest count=7 "))
	require.Equal(t, "files\n", complete("9", "honest > "))
	require.Equal(t, "files\n", complete("9", "honest `x"))
	require.Equal(t, "words\n", complete("9", `honest "`))
	require.Equal(t, "files\n", steer(t, "", "__offer", "bash", "9", "60", breaks, "steer audit show ").stdout)
	require.Equal(t, "words\n--role\n", steer(t, "", "__offer", "bash", "9", "60", breaks, "steer user add f n --ro").stdout)
	require.Equal(t, "words\nmonitor\n", steer(t, "", "__offer", "bash", "9", "60", breaks, "steer user add f n --role=m").stdout)
	require.Equal(t, "words\n--role=monitor\n", steer(t, "", "__offer", "fish", "user", "add", "f", "n", "--role=m").stdout)
	require.Equal(t, "files\n", steer(t, "", "__offer", "tcsh", "x").stdout)
}

func TestSplitLine(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	t.Setenv("PLACE", "unix:a b")
	for line, want := range map[string]struct {
		words []string
		last  string
	}{
		"":                                 {nil, ""},
		"steer":                            {nil, "steer"},
		"steer ":                           {[]string{"steer"}, ""},
		"A=1 B=x\\ y steer a=1 ":           {[]string{"steer", "a=1"}, ""},
		"steer  'a b'\t\"c d\" e\\ f g":    {[]string{"steer", "a b", "c d", "e f"}, "g"},
		`steer "a\"b\$c\d" '' "" x`:        {[]string{"steer", `a"b$c\d`, "", ""}, "x"},
		"steer -s $PLACE -s ${PLACE}/x y":  {[]string{"steer", "-s", "unix:a b", "-s", "unix:a b/x"}, "y"},
		`steer "$PLACE" '$PLACE' \$PLACE `: {[]string{"steer", "unix:a b", "$PLACE", "$PLACE"}, ""},
		"steer ~/x a~/y ~ ":                {[]string{"steer", "/home/ann/x", "a~/y", "~"}, ""},
		"steer 'a":                         {[]string{"steer"}, "'a"},
		`steer "a b`:                       {[]string{"steer"}, `"a b`},
		`steer a\`:                         {[]string{"steer"}, `a\`},
		"steer $nothing-here é $ x":        {[]string{"steer", "-here", "é", "$"}, "x"},
		"steer a#b c":                      {[]string{"steer", "a#b"}, "c"},
	} {
		words, last, ok := splitLine(line)
		require.True(t, ok, line)
		require.Equal(t, want.words, words, line)
		require.Equal(t, want.last, last, line)
	}
	for _, line := range []string{
		"steer `x` ", "steer $(x) ", "steer \"$(x)\" ", "steer \"`x`\" ", "steer ${x:-y} ", "steer $((1)) ", "steer $'a' ", "steer $[1] ", "steer a;b ",
		"steer a|b ", "steer a>b ", "steer <a ", "steer a&b ", "steer (a ", "steer a\nb ", "steer #a ", "steer \\\nb ", "steer $* ", "steer $1 ", "steer \"$'\" ",
	} {
		_, _, ok := splitLine(line)
		require.False(t, ok, line)
	}
}
