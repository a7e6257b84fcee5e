package http

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
)

func TestOneFrameRefusesOtherBodies(t *testing.T) {
	for message, want := range map[string]string{
		`{}`:                        `{}`,
		` [ 1, {"a": "]}"} ] `:      `[ 1, {"a": "]}"} ]`,
		"# one\n{} // two\n/* x */": `{}`,
		"{/* x */}":                 "{       }",
		"{} # open":                 `{}`,
		"{} /":                      `{}`, // as at the end of a stream
	} {
		got, err := oneFrame([]byte(message))
		require.NoError(t, err, message)
		require.Equal(t, want, string(got), message)
	}
	for _, message := range []string{``, "\r\n\t ", `// nothing`, `/* open`, `/`} {
		_, err := oneFrame([]byte(message))
		require.Equal(t, io.EOF, err, message)
	}
	for message, want := range map[string]transport.FrameError{
		`hello`:  {Reason: transport.BadFirstByte, Byte: 'h'},
		`{} x`:   {Reason: transport.BadFirstByte, Byte: 'x', Offset: 3},
		`/x {}`:  {Reason: transport.BadComment, Byte: 'x'},
		`{} /x`:  {Reason: transport.BadComment, Byte: 'x', Offset: 3},
		` {"a":`: {Reason: transport.CutOff, Discarded: 5},
		`["`:     {Reason: transport.CutOff, Discarded: 2},
	} {
		_, err := oneFrame([]byte(message))
		require.Equal(t, &want, err, message)
	}
	for _, message := range []string{`{}{}`, `{} []`, `{} {`} {
		_, err := oneFrame([]byte(message))
		require.Error(t, err, message)
	}
}
