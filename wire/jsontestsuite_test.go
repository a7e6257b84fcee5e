package wire_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/wire"
)

var update = flag.Bool("update", false, "write testdata/jsontestsuite.txt anew")

// Files of JSONTestSuite that each parser must accept, and that DecodeRequest refuses, with the reason.
var refusedByUs = map[string]string{
	"y_object_duplicated_key.json":           "no key twice",
	"y_object_duplicated_key_and_value.json": "no key twice",
}

// JSONTestSuite's files as the arguments of a command and as a whole message. The verdicts are in
// testdata/jsontestsuite.txt; the files themselves are not in the repository; the test is skipped without them.
func TestJSONTestSuite(t *testing.T) {
	directory := filepath.Join("..", "..", "shared", "JSONTestSuite", "test_parsing")
	files, err := filepath.Glob(filepath.Join(directory, "*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("JSONTestSuite is not beside the repository, in " + directory)
	}
	var got bytes.Buffer
	got.WriteString("# Our verdict on each file of JSONTestSuite, as a command's arguments and as a whole message.\n" +
		"# Written by: go test ./wire -run TestJSONTestSuite -update\n")
	for _, path := range files {
		name := filepath.Base(path)
		content, err := os.ReadFile(path)
		require.NoError(t, err)

		r, bad := wire.DecodeRequest(fmt.Appendf(nil, `{"command":"a","arguments":%s}`, content))
		switch {
		case bad == nil:
			require.NotEqual(t, "n", name[:1], "%s is accepted", name)
			require.Equal(t, string(bytes.TrimSpace(content)), string(r.Arguments), name)
		case name[0] == 'y':
			require.Contains(t, refusedByUs, name)
			require.Equal(t, "duplicate-key", bad.Word, name)
		}
		require.Equal(t, bad == nil, wire.Value(content).Valid(), name)
		require.Equal(t, bad == nil, isJSON(content), name)

		_, whole := wire.DecodeRequest(content)
		require.NotNil(t, whole, "%s is no request", name)
		require.Equal(t, bad == nil, whole.Word == "bad-request", name)
		fmt.Fprintf(&got, "\n%s\n\targuments: %s\n\tmessage: %s\n", name, verdict(bad), verdict(whole))
	}

	table := filepath.Join("testdata", "jsontestsuite.txt")
	if *update {
		require.NoError(t, os.WriteFile(table, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(table)
	require.NoError(t, err)
	require.Equal(t, strings.Split(string(want), "\n\n"), strings.Split(got.String(), "\n\n"))
}

func verdict(bad *wire.Error) string {
	if bad == nil {
		return "accepted"
	}
	return bad.Word + " " + strconv.QuoteToASCII(bad.Text)
}

// The table is complete without the files: each file that must be accepted is accepted, apart from refusedByUs, and no
// file that must be refused is accepted.
func TestJSONTestSuiteTable(t *testing.T) {
	table, err := os.ReadFile(filepath.Join("testdata", "jsontestsuite.txt"))
	require.NoError(t, err)
	entries := strings.Split(string(table), "\n\n")[1:]
	require.Len(t, entries, 318)
	for _, entry := range entries {
		name, rest, ok := strings.Cut(entry, "\n\targuments: ")
		require.True(t, ok, entry)
		accepted := strings.HasPrefix(rest, "accepted\n")
		switch name[0] {
		case 'y':
			_, refused := refusedByUs[name]
			require.Equal(t, !refused, accepted, name)
			if refused {
				require.True(t, strings.HasPrefix(rest, "duplicate-key "), name)
			}
		case 'n':
			require.False(t, accepted, name)
		}
	}
}
