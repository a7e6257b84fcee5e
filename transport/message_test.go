package transport_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
)

func TestFrame(t *testing.T) {
	for message, want := range map[string]string{
		`{}`:                        `{}`,
		` [ 1, {"a": "]}"} ] `:      `[ 1, {"a": "]}"} ]`,
		"# one\n{} // two\n/* x */": `{}`,
		"{/* x */}":                 "{       }",
		"{} # open":                 `{}`,
		`{} x`:                      `{} x`,
		`{}{}`:                      `{}{}`,
		`{} []`:                     `{} []`,
		`{} /x`:                     `{} /x`,
		` {"a":`:                    `{"a":`,
		`["`:                        `["`,
		``:                          ``,
		"\r\n\t ":                   ``,
		`// nothing`:                ``,
	} {
		got, err := transport.Frame([]byte(message))
		require.NoError(t, err, message)
		require.Equal(t, want, string(got), message)
	}
	for message, want := range map[string]transport.FrameError{
		`hello`:        {Reason: transport.BadFirstByte, Byte: 'h'},
		` "s"`:         {Reason: transport.BadFirstByte, Byte: '"', Offset: 1},
		"# c\n7":       {Reason: transport.BadFirstByte, Byte: '7', Offset: 4},
		"\xef\xbb\xbf": {Reason: transport.BadFirstByte, Byte: 0xef},
		`/x {}`:        {Reason: transport.BadComment, Byte: 'x'},
		`{"a": 1/2}`:   {Reason: transport.BadComment, Byte: '2', Offset: 7},
	} {
		_, err := transport.Frame([]byte(message))
		require.Equal(t, &want, err, message)
	}
}
