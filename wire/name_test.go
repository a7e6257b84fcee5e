package wire_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/stretchr/testify/require"
)

func TestValidNameAgreesWithNamePattern(t *testing.T) {
	pattern := regexp.MustCompile(wire.NamePattern)
	for _, name := range []string{
		"", "a", "z", "0", "-", "a-", "-a", "a-b", "a--b", "a-b-", "a1", "1a", "a-1", "A", "aB", "a_b", "a.b", "a b", "a\n", "é", "aé", "a\x00",
		"list-commands", "zone-add-7", "a-b-c-d", strings.Repeat("a", 64),
	} {
		require.Equal(t, pattern.MatchString(name), wire.ValidName(name), "%q", name)
	}
	require.False(t, wire.ValidName(strings.Repeat("a", 65)))
}
