package websocket

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestCloseTextFitsIntoAControlFrame(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"short":                         "short",
		strings.Repeat("x", 123):        strings.Repeat("x", 123),
		strings.Repeat("x", 124):        strings.Repeat("x", 120) + "…",
		strings.Repeat("ä", 62):         strings.Repeat("ä", 60) + "…",
		"x" + strings.Repeat("ä", 1000): "x" + strings.Repeat("ä", 59) + "…",
		"bad \xff":                      "bad \ufffd",
	} {
		got := closeText(in)
		require.Equal(t, want, got)
		require.LessOrEqual(t, len(got), 123)
		require.True(t, utf8.ValidString(got))
	}
}
